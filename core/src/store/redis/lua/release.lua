-- ARGV: ms of the tombstone or "", then a token for each lock.
-- Answers 1, or for each lock: 1 released, 2 left the queue, 3 neither held nor waited.
--
-- The lock that is held, alone and waited for by nobody comes first: the functions below cost more
-- than it. S stays as it is: the tenure is over because L is gone before its time.
if #KEYS == 4 and ARGV[1] == '' then
  if redis.pcall('GET', KEYS[1]) == ARGV[2] and redis.call('EXISTS', KEYS[4]) == 0 then
    redis.call('DEL', KEYS[1])
    return 1
  end
end
