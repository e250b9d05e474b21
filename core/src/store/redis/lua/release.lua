-- ARGV: ms of the tombstone or "", then a token for each lock.
-- Answers for each: 1 released, 2 left the queue, 3 neither held nor waited.
--
-- The lock that is held, alone and waited for by nobody comes first: the functions below cost more
-- than it.
if #KEYS == 4 and ARGV[1] == '' then
  local v = redis.call('HMGET', KEYS[2], 't', 'q')
  if v[1] == ARGV[2] and not v[2] and redis.pcall('GET', KEYS[1]) == v[1] then
    redis.call('DEL', KEYS[1])
    redis.call('HDEL', KEYS[2], 't', 'm')
    return { 1 }
  end
end
