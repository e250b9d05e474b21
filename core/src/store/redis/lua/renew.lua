-- ARGV, three for each lock: token, ms to keep, ms of those beyond what the holder is told, with "+"
-- before them where others may hold the lock beside this one.
-- Answers for each: 1 renewed, 2 revoked, 3 another holds it, 4 expired.
--
-- The lease that is prolonged as it was, by far the most, comes first. S says all that it must, and
-- outlives the tenure by half an hour at least.
local done = {}
do
  local call, sub, byte, keys, left = redis.call, string.sub, string.byte, {}, #KEYS / 4
  local time = redis.call('TIME')
  local now, locks = time[1] * 1000 + math.floor(time[2] / 1000), left
  for index = 1, locks do
    keys[index], keys[locks + index] = KEYS[4 * index - 3], KEYS[4 * index - 2]
  end
  -- What is no string is no token.
  local values = call('MGET', unpack(keys))
  for index = 1, locks do
    local token, s, L = ARGV[3 * index - 2], values[locks + index], keys[index]
    if s and values[index] == token then
      local span = ARGV[3 * index - 1]
      if sub(s, 31, 62) == token and sub(s, 2, 14) + sub(s, 18, 30) + 1800000 > now + span then
        local gap = string.find(s, ' ', 64, true)
        if byte(s, gap + 1) == 48 and sub(s, 64, gap - 1) == ARGV[3 * index]
          and call('PTTL', L) < span - 1 then
          call('PEXPIRE', L, span - 1)
          done[index], left = 1, left - 1
        end
      end
    end
  end
  if left == 0 then return done end
end
