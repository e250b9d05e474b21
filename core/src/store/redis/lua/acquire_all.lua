-- All or nothing where it is simplest: all are asked for alike, alone, and each is free and wanted by
-- nobody else. KEYS, two for each lock: L and S, as lock.lua has them. ARGV: ms to keep less 1, ms for S,
-- those ms in 13 digits, " grace claimed profile", and then a token for each lock.
--
-- Answers the fence that all have; or nothing, where it is not as simple: then all is as it was, and
-- acquire.lua decides. A thousand locks are nine thousand words there, and reading those costs the
-- server as much as the rest. So does a look at all states beforehand: each comes with its change, and
-- is put back where it was not as simple.
local call, sub = redis.call, string.sub
local time, states = redis.call('TIME'), {}
local fence = time[1] .. sub('00000' .. time[2], -6)
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if fence >= '9007199254740992' then return false end
-- When they end, not in how long: else the server rewrites each command for its replicas.
local L_ends, S_ends = string.format('%.0f', now + ARGV[1]), string.format('%.0f', now + ARGV[2])
local lasts, tail = ARGV[3], ARGV[4]
local behind = '0' .. fence
local head, early = behind .. lasts, '0' .. string.format('%016.0f', (now - lasts) * 1000)
local count = #KEYS / 2
for index = 1, count do
  local token, at = ARGV[4 + index], 2 * index
  local free = call('SET', KEYS[at - 1], token, 'NX', 'PXAT', L_ends)
  local s = free and redis.pcall('SET', KEYS[at], head .. token .. tail, 'GET', 'PXAT', S_ends)
  local odd = type(s) == 'table'
  states[index] = s
  local last = s and not odd and sub(s, 1, 17)
  -- As in acquire.lua: nobody waits and the last fence is behind, or it would not sort before; and its
  -- tenure was given back, or ran out long ago: one that lasts as long as these began late enough, mostly.
  local past = last and (last < early or sub(s, 18, 30) ~= lasts)
    and now - sub(s, 2, 14) - sub(s, 18, 30) or 0
  if not free or odd or s and (last >= behind or past > 0 and past <= 60000) then
    for before = 1, free and index or index - 1 do
      call('DEL', KEYS[2 * before - 1])
      -- For an hour more than any other: who waits is kept for an hour after a minute at most, and S
      -- has to outlive that.
      local old = states[before]
      if not old then
        call('DEL', KEYS[2 * before])
      elseif type(old) == 'string' then
        call('SET', KEYS[2 * before], old, 'PX', ARGV[2] + 3600000)
      end
    end
    return false
  end
end
return fence
