-- ARGV, five for each lock: token, ms to keep less 1, ms for S, "grace claimed profile", "" or
-- "alive claim limit rank channel"; and one more at the end for all or nothing.
--
-- Answers a fence, or for each lock: {1, fence} granted, {2, first, left, holder} queued, with
-- first 1 for the first in line behind a holder of ours, 2 behind another library's, 0 for the rest;
-- {3, left, holder} busy, {4, limit} the queue is full, {5} cancelled.
--
-- The lock that is free, alone and uncontended comes first: the functions below cost more than it.
-- Its numbers stay strings, of one width each, for Lua is slow to write them.
if #KEYS == 4 and #ARGV == 5 then
  local s = redis.call('GET', KEYS[2])
  if not s or string.byte(s) == 48 then
    local time = redis.call('TIME')
    local micros = string.sub(1000000 + time[2], 2)
    local fence, now = time[1] .. micros, time[1] .. string.sub(micros, 1, 3)
    if (not s or (string.sub(s, 2, 17) < fence and string.sub(s, 18, 30) >= now))
      and fence < '9007199254740992'
      and redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
      s = '0' .. fence .. (now + ARGV[2]) .. ARGV[1] .. ' ' .. ARGV[4]
      redis.call('SET', KEYS[2], s, 'PX', ARGV[3])
      return fence
    end
  end
end
