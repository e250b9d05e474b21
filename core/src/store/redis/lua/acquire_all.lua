-- All or nothing where it is simplest: all are asked for alike, alone, and each is free and wanted by
-- nobody else. KEYS, two for each lock: L and S, as lock.lua has them. ARGV: ms to keep less 1, ms for S,
-- those ms in 13 digits, " grace claimed profile", and then a token for each lock.
--
-- Answers the fence that all have; or nothing, where it is not as simple and nothing was done:
-- acquire.lua decides then. A thousand locks are nine thousand words there, and reading those costs the
-- server as much as the rest.
local call, sub, byte = redis.call, string.sub, string.byte
local count, locks, states = #KEYS / 2, {}, {}
-- What Lua has room for on its stack.
if count > 4000 then return false end
local time = redis.call('TIME')
local fence, now = time[1] .. sub('00000' .. time[2], -6), time[1] * 1000 + time[2] / 1000
for index = 1, count do locks[index], states[index] = KEYS[2 * index - 1], KEYS[2 * index] end
if fence >= '9007199254740992' or call('EXISTS', unpack(locks)) > 0 then return false end
for _, s in ipairs(call('MGET', unpack(states))) do
  -- As in acquire.lua: nobody waits, the last fence is behind, and its tenure was given back.
  if s and (byte(s) ~= 48 or sub(s, 2, 17) >= fence or sub(s, 2, 14) + sub(s, 18, 30) < now) then
    return false
  end
end
local span, keep, head, tail = ARGV[1], ARGV[2], '0' .. fence .. ARGV[3], ARGV[4]
for index = 1, count do
  local token = ARGV[4 + index]
  call('SET', locks[index], token, 'PX', span)
  call('SET', states[index], head .. token .. tail, 'PX', keep)
end
return fence
