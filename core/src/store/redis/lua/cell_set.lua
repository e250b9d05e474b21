-- ARGV: the version to find, the ms to keep it or "", the value.
-- Answers {1, the new version} where it was written, and else {0, version, ms left, value}.
if version ~= tonumber(ARGV[1]) then return seen(0) end
version = math.max(last + 1, us)
if version > 9007199254740991 then error('LEASEHOLD_FENCE ' .. string.format('%.0f', version)) end
-- The watchers first: without the right to tell them nothing is done.
for _, channel in ipairs(call('ZRANGEBYSCORE', KEYS[2], now + 1, '+inf')) do
  call('PUBLISH', channel, 'cell ' .. KEYS[1])
end
call('DEL', KEYS[2])
local keep = tonumber(ARGV[2])
local word = string.format('%016.0f%016.0f', version, keep and now + keep or 0) .. ARGV[3]
if keep then
  call('SET', KEYS[1], word, 'PX', keep + KEEP)
else
  call('SET', KEYS[1], word)
end
return { 1, version }
