local channel = ARGV[2]

local function shown(s)
  return s.t and string.match(s.m or '', '^%S+ %S+ (.*)$') or ''
end

-- Whether `limit` live waiters are there. Counted only where that many entries are, and then not
-- again before one of them can have died.
local function crowded(s, limit)
  if limit == 0 then return true end
  if not s.q or redis.call('ZCARD', s.Q) < limit then return false end
  local due = tonumber(redis.call('HGET', s.H, 'z') or 0)
  if due > now then return true end
  due = math.huge
  for _, entry in ipairs(redis.call('ZRANGE', s.Q, 0, -1)) do
    local token = string.sub(entry, 27)
    local till = tonumber(redis.call('HGET', s.H, 'a' .. token) or 0)
    if till > now then
      due = math.min(due, till)
    else
      redis.call('ZREM', s.Q, entry)
      redis.call('HDEL', s.H, 'w' .. token, 'a' .. token)
    end
  end
  idle(s)
  if not s.q then return false end
  redis.call('HSET', s.H, 'z', due)
  return redis.call('ZCARD', s.Q) >= limit
end

local function taken(s, token, profile, wait)
  local span = left(s)
  if wait == '' then return { 3, span, shown(s) } end
  local lives, claim, limit, rank = string.match(wait, '^(%S+) (%S+) (%S+) (%S+)$')
  lives = tonumber(lives)
  local rest = ' ' .. claim .. ' ' .. channel .. ' ' .. profile
  local known = s.q and redis.call('HGET', s.H, 'w' .. token)
  if not known then
    if crowded(s, tonumber(limit)) then return { 4, tonumber(limit) } end
    local place = rank .. string.format('%016.0f', redis.call('HINCRBY', s.H, 's', 1))
    redis.call('HSET', s.H, 'q', 1, 'w' .. token, place .. rest, 'a' .. token, now + lives)
    redis.call('ZADD', s.Q, 0, place .. token)
    keep(s, math.max(lives, span))
    if not s.q then redis.call('PEXPIRE', s.Q, s.k - now) end
    s.q = '1'
  else
    local entry = string.sub(known, 1, 26) .. rest
    if entry ~= known then redis.call('HSET', s.H, 'w' .. token, entry) end
    redis.call('HSET', s.H, 'a' .. token, now + lives)
    keep(s, lives)
  end
  local due = tonumber(redis.call('HGET', s.H, 'z') or 0)
  if due > now + lives then redis.call('HSET', s.H, 'z', now + lives) end
  return { 2, head(s) == token and 1 or 0, span, shown(s) }
end

local function acquire(index)
  local at = 5 * (index - 1) + 2
  local token, span, grace = ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local profile, wait = ARGV[at + 4], ARGV[at + 5]
  local s = load(index)
  local held = holder(s)
  if tomb(s, token) then
    if not held then pass_on(s) end
    return { 5 }
  end
  if held == 1 and s.t == token then
    -- Asked before, or handed over: the same tenure, the same fence, never shorter.
    local rest = left(s)
    local told = math.max(rest - tonumber(string.match(s.m, '^%S+')), span - grace)
    rest = math.max(rest, span)
    redis.call('PEXPIRE', s.L, rest - 1)
    redis.call('HSET', s.H, 'm', (rest - told) .. ' 0 ' .. shown(s))
    keep(s, rest)
    return { 1, s.f }
  end
  if held == 2 and s.v == token then
    -- Our token without its tenure: the server lost the hash. The string decides who holds it.
    grant(s, token, next_fence(s), math.max(left(s), span), grace, 0, profile)
    return { 1, s.f }
  end
  if not held then
    local to = pass_on(s, token)
    if not to or to == token then
      local fence = next_fence(s)
      leave(s, token)
      grant(s, token, fence, span, grace, 0, profile)
      return { 1, fence }
    end
  end
  return taken(s, token, profile, wait)
end

-- Why `index` can't be granted now; nil where it can.
local function refusal(index)
  local token = ARGV[5 * (index - 1) + 3]
  for other = 1, index - 1 do
    if KEYS[4 * (other - 1) + 1] == KEYS[4 * (index - 1) + 1] then return { 3, -2, '' } end
  end
  local s = load(index)
  local held = holder(s)
  if tomb(s, token) then return { 5 } end
  if held and s.v ~= token then return { 3, left(s), shown(s) } end
  if not held then
    local first = head(s)
    if first and first ~= token then return { 3, -2, '' } end
  end
end

local answers, count = {}, #KEYS / 4
if ARGV[1] == '1' then
  local blocked = false
  for index = 1, count do
    answers[index] = refusal(index)
    blocked = blocked or answers[index]
  end
  if blocked then
    for index = 1, count do answers[index] = answers[index] or { 3, -2, '' } end
    return answers
  end
end
for index = 1, count do answers[index] = acquire(index) end
return answers
