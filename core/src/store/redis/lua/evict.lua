-- ARGV: the fence that the tenure must have, or "".
-- Answers {1, fence, profile} of the tenure that was ended, or {0}.
local s = load(1)
if s.kinds then
  local answer = kinds().evict(s, ARGV[1])
  save(s)
  return answer
end
local held = holder(s)
if not held or (ARGV[1] ~= '' and (held == 2 or tonumber(ARGV[1]) ~= s.f)) then
  if not held then pass_on(s) end
  save(s)
  return { 0 }
end
local ended, profile = s.f, shown(s)
local fence = next_fence(s)
if held == 1 then bury(s, s.t, REVOKED, now + ENDED) end
s.f = fence
-- Whoever has the second lock, it is a part of this one.
if dual then s.two.along = dual.held(s) end
let_go(s)
save(s)
return { 1, ended, profile }
