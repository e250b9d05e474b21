-- ARGV, three for each lock: token, ms to keep, ms of those beyond what the holder is told.
-- Answers for each: 1 renewed, 2 revoked, 3 another holds it, 4 expired.
local function renew(index)
  local at = 3 * (index - 1)
  local token, span, grace = ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local s = load(index)
  if s.v == token then
    local rest, old, claimed = left(s), 0, '0'
    if s.t == token then
      old, claimed = string.match(s.m, '^(%S+) (%S+)')
    else
      -- The server lost the hash; the string decides who holds the lock.
      redis.call('HSET', s.H, 't', token, 'f', s.f)
      s.m = '0 0 '
    end
    local told = math.max(rest - old, span - grace)
    if span > rest then
      redis.call('PEXPIRE', s.L, span - 1)
      rest = span
    end
    if claimed == '1' or rest - told ~= tonumber(old) then
      local profile = string.match(s.m, '^%S+ %S+ (.*)$')
      redis.call('HSET', s.H, 'm', (rest - told) .. ' 0 ' .. profile)
    end
    keep(s, rest)
    return 1
  end
  if tomb(s, token) == REVOKED then return 2 end
  if s.v or s.odd or (s.t and s.t ~= token) then return 3 end
  return 4
end

local answers = {}
for index = 1, #KEYS / 4 do answers[index] = renew(index) end
return answers
