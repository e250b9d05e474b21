-- Gives several locks back where it is simplest: all are held, and nobody waits for any. KEYS, two for
-- each lock: L and Q, as lock.lua has them. ARGV: a token for each.
--
-- Answers 1; or nothing, where it is not as simple and nothing was done: release.lua decides then.
local call, locks, queues = redis.call, {}, {}
for index = 1, #ARGV do locks[index], queues[index] = KEYS[2 * index - 1], KEYS[2 * index] end
if #ARGV > 4000 or call('EXISTS', unpack(queues)) > 0 then return false end
for index, token in ipairs(call('MGET', unpack(locks))) do
  if token ~= ARGV[index] then return false end
end
call('DEL', unpack(locks))
return 1
