-- ARGV: "1" for all or nothing, the caller's channel, then five for each lock: token, ms to keep,
-- ms of those beyond what the holder is told, profile, "" or "alive claim limit rank".
--
-- Answers for each lock: {1, fence} granted, {2, first, left, holder} queued, {3, left, holder}
-- busy, {4, limit} the queue is full, {5} cancelled.
--
-- The lock that is free, alone and uncontended comes first: the functions below cost more than it.
if #KEYS == 4 then
  local v = redis.call('HMGET', KEYS[2], 't', 'q', 'x', 'f', 'k')
  if not v[1] and not v[2] and not v[3] then
    local token, span = ARGV[3], tonumber(ARGV[4])
    local time = redis.call('TIME')
    local us = time[1] * 1000000 + time[2]
    local fence = math.max(tonumber(v[4] or 0) + 1, us)
    if fence <= 9007199254740991 and redis.call('SET', KEYS[1], token, 'NX', 'PX', span - 1) then
      local m, keep = ARGV[5] .. ' 0 ' .. ARGV[6], math.floor(us / 1000) + span
      if tonumber(v[5] or 0) < keep + 1800000 then
        redis.call('HSET', KEYS[2], 't', token, 'f', fence, 'm', m, 'k', keep + 3600000)
        redis.call('PEXPIRE', KEYS[2], span + 3600000)
      else
        redis.call('HSET', KEYS[2], 't', token, 'f', fence, 'm', m)
      end
      return { { 1, fence } }
    end
  end
end
