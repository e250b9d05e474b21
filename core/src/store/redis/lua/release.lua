-- ARGV, two for each lock: ms of the tombstone or "", token.
-- Answers 1, or for each lock: 1 released, 2 left the queue, 3 neither held nor waited, or an error.
--
-- Locks that are held, alone and waited for by nobody come first: the functions below cost more than
-- all of this. S stays as it is: the tenure is over because L is gone before its time.
local done = {}
for index = 1, #KEYS / 4 do
  local L = KEYS[4 * index - 3]
  if ARGV[2 * index - 1] == '' and redis.call('EXISTS', KEYS[4 * index]) == 0
    and redis.pcall('GET', L) == ARGV[2 * index] then
    redis.call('DEL', L)
    if #KEYS == 4 then return 1 end
    done[index] = 1
  end
end
