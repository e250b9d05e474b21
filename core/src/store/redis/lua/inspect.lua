-- ARGV: how many waiters to list for each lock; then, if who waits for what is asked, for each lock
-- the token of a waiter, and no waiters are listed or counted.
-- Answers for each: {kind, fence, left, grace, claimed, profile, waiting, ms alive, profile, …} with
-- kind 0 free, 1 ours, 2 another library's; or {3, how many hold it, {{fence, left, grace, claimed,
-- profile}, …}, 0, 0, "", waiting, …}. A profile may have a tag before it: see kinds.lua. With a
-- waiter: {that, rank, profile}; {} where it does not wait.
local function inspect(s)
  local kind, grace, claimed, profile = 0, '0', '0', ''
  local several, all = 0, false
  if s.t == MARK and s.v == MARK then
    several, all = kinds().all(s, tonumber(ARGV[1]))
    if several > 0 then kind = 3 end
  elseif s.t and s.v == s.t then
    kind = 1
    grace, claimed, profile = string.match(s.m, '^(%S+) (%S+) (.*)$')
  elseif s.v or s.odd or (dual and dual.held(s)) then
    kind = 2
  end
  local seen, waiting = { kind, s.f, left(s), tonumber(grace), tonumber(claimed), profile, 0 }, 0
  if kind == 3 then seen = { 3, several, all, 0, 0, '', 0 } end
  for _, entry in ipairs(s.q and not ARGV[2] and call('ZRANGEBYSCORE', s.Q, 0, 0) or {}) do
    local token = sub(entry, 27)
    local till = tonumber(call('HGET', s.H, 'a' .. token) or 0)
    if till > now then
      waiting = waiting + 1
      if waiting <= tonumber(ARGV[1]) then
        local waiter = call('HGET', s.H, 'w' .. token) or ''
        seen[#seen + 1] = till - now
        seen[#seen + 1] = string.match(waiter, '^%S+ %S+ %S+ (.*)$') or ''
      end
    end
  end
  seen[7] = waiting
  return seen
end

local answers = {}
for index = 1, #KEYS / EACH do
  local token, known = ARGV[1 + index], {}
  -- Of one that waits no more nothing else is read: most that are asked about may be such.
  if token then known = call('HMGET', KEYS[EACH * (index - 1) + 3], 'a' .. token, 'w' .. token) end
  if token and tonumber(known[1] or 0) <= now then
    answers[index] = {}
  else
    local s = load(index)
    answers[index] = inspect(s)
    if token then
      local rank, profile = string.match(known[2] or '', '^(..........)%S+ %S+ %S+ (.*)$')
      answers[index] = s.q and rank and { answers[index], rank, profile } or {}
    end
  end
end
return answers
