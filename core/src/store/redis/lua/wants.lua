-- KEYS: what one owner waits for, by the end of each wait's life.
-- ARGV: ms alive, then what it waits for: "token name" each.
-- Answers 0. Only says where to look: the queues themselves say who waits.
local time = redis.call('TIME')
local now = math.floor((time[1] * 1000000 + time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for index = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[index]) end
redis.call('PEXPIRE', KEYS[1], math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[1])))
return 0
