-- ARGV: the fence that the tenure must have, or "".
-- Answers {1, fence, profile} of the tenure that was ended, or {0}.
local s = load(1)
local held = holder(s)
if not held or (ARGV[1] ~= '' and (held == 2 or tonumber(ARGV[1]) ~= s.f)) then return { 0 } end
local ended, profile = s.f, ''
local fence = next_fence(s)
if held == 1 then
  profile = string.match(s.m or '', '^%S+ %S+ (.*)$') or ''
  bury(s, s.t, REVOKED, now + ENDED)
end
redis.call('HSET', s.H, 'f', fence)
s.f = fence
keep(s, 0)
let_go(s)
return { 1, ended, profile }
