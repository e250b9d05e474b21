-- ARGV: nothing; or the version that was seen, a channel, and for how many ms to tell it of the next
-- write if it is that version still.
-- Answers {1, version, ms left, value}; with 0 and no value where it is that version.
if not ARGV[1] or version ~= tonumber(ARGV[1]) then return seen(1) end
local span = tonumber(ARGV[3])
call('ZREMRANGEBYSCORE', KEYS[2], 0, now)
call('ZADD', KEYS[2], now + span, ARGV[2])
-- One less: a key is gone once the clock is past its time, a watch once the clock has reached it.
if call('PTTL', KEYS[2]) < span - 1 then call('PEXPIRE', KEYS[2], math.max(span - 1, 1)) end
return { 0, version, till == 0 and -1 or till - now, '' }
