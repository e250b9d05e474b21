-- ARGV, five for each lock: token, ms to keep less 1, ms for S, "those ms in 13 digits, token, grace
-- claimed profile", "" or "alive claim limit rank channel"; and one more at the end for all or
-- nothing.
--
-- Answers a fence, or for each lock that or: {1, fence} granted, {2, first, left, holder} queued,
-- with first 1 for the first in line behind a holder of ours, 2 behind another library's, 0 for the
-- rest; {3, left, holder} busy, {4, limit} the queue is full, {5} cancelled, an error.
--
-- Locks that are free, alone and uncontended come first: the functions below cost more than all of
-- this. Numbers stay strings, of one width each, for Lua is slow to write them.
local done = {}
if #ARGV % 5 == 0 then
  local call, sub, fence, now = redis.call, string.sub
  for index = 1, #KEYS / 4 do
    local at, S = 5 * index, KEYS[4 * index - 2]
    local s = call('GET', S)
    if not s or string.byte(s) == 48 then
      if not fence then
        local time = redis.call('TIME')
        fence = time[1] .. sub('00000' .. time[2], -6)
        now = time[1] * 1000 + time[2] / 1000
      end
      if (not s or (sub(s, 2, 17) < fence and sub(s, 2, 14) + sub(s, 18, 30) >= now))
        and fence < '9007199254740992'
        and call('SET', KEYS[4 * index - 3], ARGV[at - 4], 'NX', 'PX', ARGV[at - 3]) then
        call('SET', S, '0' .. fence .. ARGV[at - 1], 'PX', ARGV[at - 2])
        if #KEYS == 4 then return fence end
        done[index] = fence
      end
    end
  end
elseif #KEYS > 4 and #KEYS <= 16000 then
  -- All or nothing: looked at first, then taken. Whatever is not as simple is for the functions below;
  -- so is what Lua has no room for on its stack.
  local call, sub, locks, free = redis.call, string.sub, {}, true
  local time = redis.call('TIME')
  local fence, now = time[1] .. sub('00000' .. time[2], -6), time[1] * 1000 + time[2] / 1000
  for index = 1, #KEYS / 4 do
    local L, s = KEYS[4 * index - 3], call('GET', KEYS[4 * index - 2])
    free = free and not locks[L] and (not s or (string.byte(s) == 48 and sub(s, 2, 17) < fence
      and sub(s, 2, 14) + sub(s, 18, 30) >= now))
    if not free then break end
    locks[index], locks[L] = L, true
  end
  if free and fence < '9007199254740992' and call('EXISTS', unpack(locks)) == 0 then
    local answers = {}
    for index = 1, #locks do
      local at = 5 * index
      call('SET', locks[index], ARGV[at - 4], 'PX', ARGV[at - 3])
      call('SET', KEYS[4 * index - 2], '0' .. fence .. ARGV[at - 1], 'PX', ARGV[at - 2])
      answers[index] = fence
    end
    return answers
  end
end
