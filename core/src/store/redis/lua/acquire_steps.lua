-- Five for each lock, also where they have some in common.
if #ARGV[1] ~= 32 then
  local words = {}
  for index = 4, #ARGV do
    local own, at = ARGV[index], 5 * (index - 4)
    words[at + 1], words[at + 2], words[at + 3] = sub(own, 14, 45), ARGV[1], ARGV[2]
    words[at + 4], words[at + 5] = own, ARGV[3]
  end
  for index = 1, #words do ARGV[index] = words[index] end
end

-- Whether `limit` live waiters are there. Counted only where that many entries are, and then not
-- again before one of them can have died.
local function crowded(s, limit)
  if limit == 0 then return true end
  if not s.q or call('ZCOUNT', s.Q, 0, 0) < limit then return false end
  local due = tonumber(call('HGET', s.H, 'z') or 0)
  if due > now then return true end
  due = math.huge
  for _, entry in ipairs(call('ZRANGEBYSCORE', s.Q, 0, 0)) do
    local till = tonumber(call('HGET', s.H, 'a' .. sub(entry, 27)) or 0)
    if till > now then due = math.min(due, till) else strike(s, entry) end
  end
  if not first(s) then
    -- H went with the last of them, and Q may have: what was read of them is void.
    s.fresh = true
    return false
  end
  call('HSET', s.H, 'z', due)
  return call('ZCOUNT', s.Q, 0, 0) >= limit
end

-- `span` until there may be room, and `who` is there.
local function taken(s, token, m, wait, span, who)
  if wait == '' then return { 3, span, who } end
  local lives, claim, limit, rank, channel =
    string.match(wait, '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
  lives = tonumber(lives)
  local rest = ' ' .. claim .. ' ' .. channel .. ' ' .. string.match(m, '^%S+ %S+ (.*)$')
  local known = s.q and call('HMGET', s.H, 'w' .. token, 'k') or { false, false }
  if not known[1] then
    if crowded(s, tonumber(limit)) then return { 4, tonumber(limit) } end
    local place = rank .. string.format('%016.0f', call('HINCRBY', s.H, 's', 1))
    call('HSET', s.H, 'w' .. token, place .. rest, 'a' .. token, now + lives)
    call('ZADD', s.Q, 0, place .. token)
    s.changed = s.changed or not s.q
    s.q = true
    local due = tonumber(call('HGET', s.H, 'z') or 0)
    if due > now + lives then call('HSET', s.H, 'z', now + lives) end
  else
    local entry = sub(known[1], 1, 26) .. rest
    if entry == known[1] then
      call('HSET', s.H, 'a' .. token, now + lives)
    else
      call('HSET', s.H, 'w' .. token, entry, 'a' .. token, now + lives)
    end
  end
  keep(s, lives, not s.fresh and known[2])
  return { 2, head(s, token) == token and (s.t and 1 or 2) or 0, span, who }
end

-- "all", "held" or nil: each for itself.
local how = #ARGV % 5 == 1 and ARGV[#ARGV] or nil

local function acquire(s, index)
  local at = 5 * (index - 1)
  local token, span, m, wait = ARGV[at + 1], ARGV[at + 2] + 1, sub(ARGV[at + 4], 47), ARGV[at + 5]
  if dual and dual.torn(s, token) then return { 5 } end
  if ANY or s.kinds then return kinds().acquire(s, token, span, m, wait, taken, how) end
  local held = holder(s)
  if tomb(s, token) then
    if not held then pass_on(s) end
    return { 5 }
  end
  if held == 1 and s.t == token then
    -- Asked before, or handed over: the same tenure, the same fence, never shorter.
    local rest, grace = left(s), tonumber(string.match(m, '^%S+'))
    local told = math.max(rest - tonumber(string.match(s.m, '^%S+')), span - grace)
    rest = math.max(rest, span)
    prolong(s, rest)
    s.m, s.till, s.changed = (rest - told) .. ' 0 ' .. shown(s), now + rest, true
    return { 1, s.f }
  end
  if held == 2 and s.v == token then
    -- Our token without its tenure: the server lost S. The string decides who holds the lock.
    grant(s, token, next_fence(s, fences(claim_of(wait))), math.max(left(s), span), m)
    return { 1, s.f }
  end
  if how == 'held' then
    if not held then pass_on(s) end
    return { 5 }
  end
  if not held then
    local to = pass_on(s, token)
    if not to or to == token then
      local fence = next_fence(s, fences(claim_of(wait)))
      leave(s, token)
      grant(s, token, fence, span, m)
      return { 1, fence }
    end
  end
  return taken(s, token, m, wait, left(s), shown(s))
end

-- Why `index` can't be granted now; nil where it can.
local function refusal(s, index)
  local token = ARGV[5 * (index - 1) + 1]
  for other = 1, index - 1 do
    local at = EACH * (other - 1)
    if KEYS[at + 1] == s.L or (dual and dual.meets(s, at)) then return { 3, -2, '' } end
  end
  if dual and dual.torn(s, token) then return { 5 } end
  if ANY or s.kinds then
    return kinds().available(s, token, sub(ARGV[5 * (index - 1) + 4], 47))
  end
  local held = holder(s)
  if not held and pass_on(s) and s.t then held = 1 end
  if tomb(s, token) then return { 5 } end
  if held and s.v ~= token then return { 3, left(s), shown(s) } end
  if not held then
    local token_ahead = head(s)
    if token_ahead and token_ahead ~= token then return { 3, -2, '' } end
  end
end

if how == 'all' then
  local answers, blocked = each(refusal), false
  for _, answer in ipairs(answers) do blocked = blocked or answer end
  if blocked then
    for index = 1, #answers do answers[index] = answers[index] or { 3, -2, '' } end
    return answers
  end
end
return each(acquire, how ~= 'all')
