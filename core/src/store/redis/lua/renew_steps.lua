local function renew(s, index)
  local at = 3 * (index - 1)
  local token, span, grace = ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local ended = dual and dual.ended(s, token)
  if ended then return ended end
  if s.v == token then
    local rest = left(s)
    if s.t ~= token then
      -- The server lost S; the string decides who holds the lock.
      s.t, s.m, s.till, s.changed = token, '0 0 ', now, true
    end
    local old, claimed, profile = string.match(s.m, '^(%S+) (%S+) (.*)$')
    local told = math.max(rest - old, span - grace)
    if span > rest then
      prolong(s, span)
      rest = span
    end
    -- S is written only where it says something else, or would not outlive the tenure by much.
    if claimed == '1' or rest - told ~= tonumber(old) or s.till + KEEP / 2 < now + rest then
      s.m, s.till, s.changed = (rest - told) .. ' 0 ' .. profile, now + rest, true
    end
    return 1
  end
  if s.kinds then return kinds().renew(s, token, span, grace, sub(ARGV[at + 3], 1, 1) == '+') end
  if tomb(s, token) == REVOKED then return 2 end
  if s.v or s.odd or (s.t and s.t ~= token) then return 3 end
  return 4
end

return each(renew, true)
