-- What all steps share: one lock's state, its queue, its tombstones, its hand-off.
--
-- KEYS, four for each lock:
--   L  the lock itself: a string that holds the token, so that every SET NX library excludes us
--   H  hash: t token of the tenure, f last fence, m "grace claimed profile", q 1 while the queue may
--      have entries, x when the last tombstone ends, k when this hash ends, s last place given out,
--      z when the next waiter may be found dead, w<token> a waiter, a<token> until when it is alive
--   Q  sorted set: the queue by rank and arrival, each entry ending in the token
--   X  sorted set: tombstones, token by end * 4 + kind
-- All times are in ms of the server's clock. L ends on its own; H, Q and X end an hour later.
--
-- A tenure that ends at u is kept with PX one less: a key is gone once the clock is past its time,
-- a tenure once the clock has reached it.
local KEEP, ENDED = 3600000, 60000
local CANCELLED, REVOKED, EXPIRED = 1, 2, 3
local us, now

local function clock()
  if not now then
    local time = redis.call('TIME')
    us = time[1] * 1000000 + time[2]
    now = math.floor(us / 1000)
  end
end
clock()

local function load(index)
  local at = 4 * (index - 1)
  local s = { L = KEYS[at + 1], H = KEYS[at + 2], Q = KEYS[at + 3], X = KEYS[at + 4] }
  local v = redis.call('HMGET', s.H, 't', 'f', 'm', 'q', 'x', 'k')
  s.t, s.f, s.m, s.q = v[1], tonumber(v[2] or 0), v[3], v[4]
  s.x, s.k = tonumber(v[5] or 0), tonumber(v[6] or 0)
  s.v = redis.pcall('GET', s.L)
  if type(s.v) == 'table' then
    -- Not a string: held by a library with another layout.
    s.v, s.odd = false, true
  end
  return s
end

-- Has H outlive what is in it by half an hour at least.
local function keep(s, span)
  if s.k < now + span + KEEP / 2 then
    s.k = now + span + KEEP
    redis.call('HSET', s.H, 'k', s.k)
    redis.call('PEXPIRE', s.H, span + KEEP)
    redis.call('PEXPIRE', s.Q, span + KEEP)
  end
end

local function tomb(s, token)
  if s.x <= now then return nil end
  local score = tonumber(redis.call('ZSCORE', s.X, token) or 0)
  if math.floor(score / 4) > now then return score % 4 end
end

local function bury(s, token, kind, till)
  redis.call('ZREMRANGEBYSCORE', s.X, '-inf', now * 4 + 3)
  local old = tonumber(redis.call('ZSCORE', s.X, token) or 0)
  if old > 0 then
    kind, till = old % 4, math.max(till, math.floor(old / 4))
  end
  redis.call('ZADD', s.X, till * 4 + kind, token)
  s.x = math.max(s.x, till)
  redis.call('PEXPIRE', s.X, s.x - now + 1000)
  redis.call('HSET', s.H, 'x', s.x)
  keep(s, s.x - now)
end

-- 1: held by a tenure of ours; 2: by another library. A tenure that ran out is cleared away and its
-- token buried: a waiter that slept through its claim must not come back as a second tenure.
local function holder(s)
  if s.t then
    if s.v == s.t then return 1 end
    bury(s, s.t, EXPIRED, now + ENDED)
    redis.call('HDEL', s.H, 't', 'm')
    s.t, s.m = false, false
  end
  if s.v or s.odd then return 2 end
end

local function next_fence(s)
  local fence = math.max(s.f + 1, us)
  if fence > 9007199254740991 then error('LEASEHOLD_FENCE ' .. string.format('%.0f', fence)) end
  return fence
end

local function grant(s, token, fence, span, grace, claimed, profile)
  redis.call('SET', s.L, token, 'PX', math.max(span - 1, 1))
  s.t, s.v, s.f, s.m = token, token, fence, grace .. ' ' .. claimed .. ' ' .. profile
  redis.call('HSET', s.H, 't', token, 'f', fence, 'm', s.m)
  keep(s, span)
end

-- What is left of the tenure; -1 for one without an end.
local function left(s)
  local span = redis.call('PTTL', s.L)
  if span < 0 then return -1 end
  return span + 1
end

local function idle(s)
  if redis.call('ZCARD', s.Q) == 0 then
    redis.call('HDEL', s.H, 'q', 'z')
    s.q = false
  end
end

local function leave(s, token)
  if not s.q then return false end
  local waiter = redis.call('HGET', s.H, 'w' .. token)
  if not waiter then return false end
  redis.call('HDEL', s.H, 'w' .. token, 'a' .. token)
  redis.call('ZREM', s.Q, string.sub(waiter, 1, 26) .. token)
  idle(s)
  return true
end

local function alive(s, token)
  return tonumber(redis.call('HGET', s.H, 'a' .. token) or 0) > now
end

-- The first waiter that is alive; the dead before it are removed.
local function head(s)
  while s.q do
    local first = redis.call('ZRANGE', s.Q, 0, 0)[1]
    if first then
      local token = string.sub(first, 27)
      if alive(s, token) then return token end
      redis.call('ZREM', s.Q, first)
      redis.call('HDEL', s.H, 'w' .. token, 'a' .. token)
    end
    idle(s)
  end
end

-- Hands a free lock to the first live waiter that can be told, and answers which; to the caller, if
-- it is that one. A waiter whose client has no ear keeps its place: it may be connecting anew.
local function pass_on(s, caller)
  if not head(s) then return nil end
  local deaf = {}
  for _, entry in ipairs(redis.call('ZRANGE', s.Q, 0, 63)) do
    local token = string.sub(entry, 27)
    if token == caller then return token end
    local waiter = alive(s, token) and redis.call('HGET', s.H, 'w' .. token)
    if waiter then
      local claim, channel, profile = string.match(waiter, '^%S+ (%S+) (%S+) (.*)$')
      if not deaf[channel] then
        local fence = next_fence(s)
        local word = token .. ' ' .. string.format('%.0f', fence) .. ' ' .. claim
        if redis.call('PUBLISH', channel, word) > 0 then
          leave(s, token)
          grant(s, token, fence, tonumber(claim), 0, 1, profile)
          return token
        end
        deaf[channel] = true
      end
    end
  end
end

-- Ends the tenure and hands the lock on.
local function let_go(s)
  redis.call('DEL', s.L)
  redis.call('HDEL', s.H, 't', 'm')
  s.t, s.v, s.m, s.odd = false, false, false, false
  return pass_on(s)
end
