-- What all steps share: one lock's state, its queue, its tombstones, its hand-off.
--
-- Before this come `done`, the answers that are found already; a layout; `EACH` and `dual`: false, or
-- a table that dual.lua fills.
--
-- KEYS, EACH for each lock; these four, and those of its bell and of a second lock:
--   L  the lock itself, in its layout: in most a string that holds the token, so that every SET NX
--      library excludes us
--   S  string: "1" while Q exists, "2" if readers or permits were asked for in that time, else "0";
--      last fence, 16 digits; how many ms after that, as a
--      time in µs, the tenure lasts by the latest word of it, 13 digits; its token, 32; then " grace claimed profile". Counts only
--      while L has that token
--   H  hash, while anyone waits: w<token> "place claim channel profile", the claim with "/16" behind it
--      where so many fences are wanted, a<token> until when it is
--      alive, s last place given out, z when the next of them may be found dead, k until when H and
--      Q are kept
--   Q  sorted set: the waiters by rank and arrival at score 0, each entry ending in the token; and
--      x<token> for each tombstone, at end * 4 + kind
-- All times are in ms of the server's clock. L ends on its own, the others an hour later.
--
-- A tenure that ends at u is kept with PX one less: a key is gone once the clock is past its time,
-- a tenure once the clock has reached it.
local KEEP, ENDED, NONE = 3600000, 60000, '--------------------------------'
-- What L holds while several hold the lock: no token, but a string, which SET NX libraries respect.
local MARK = 'held-by-several:leasehold-kinds!'
local CANCELLED, REVOKED, EXPIRED = 1, 2, 3
local call, sub = redis.call, string.sub
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local now = math.floor(us / 1000)

local function load(index)
  local at = EACH * (index - 1)
  -- All fields at once: a table that grows is made anew.
  local s = {
    L = KEYS[at + 1], S = KEYS[at + 2], H = KEYS[at + 3], Q = KEYS[at + 4],
    f = 0, till = 0, t = false, m = '0 0 ', q = false, v = false, odd = false, changed = false,
    kinds = false, loose = false, fresh = false,
  }
  local raw = call('GET', s.S)
  if raw then
    local flag = sub(raw, 1, 1)
    s.q, s.kinds = flag ~= '0', flag == '2'
    s.f, s.till = tonumber(sub(raw, 2, 17)), sub(raw, 18, 30) + 1
    s.till = s.till + math.floor(s.f / 1000)
    s.t, s.m = sub(raw, 31, 62), sub(raw, 64)
    if s.t == NONE then s.t = false end
  end
  look(s)
  if s.v == MARK then s.t, s.q, s.kinds = MARK, true, true end
  if dual then dual.look(s, at) end
  return s
end

-- Writes S, if the step changed what it says.
local function save(s)
  if not s.changed then return end
  local rest = call('PTTL', s.Q)
  local span = math.max(s.t and s.till - now or 0, 0) + KEEP
  local lasts = s.t and s.till - 1 - math.floor(s.f / 1000) or 9999999999999
  local head = string.format('%016.0f%013.0f', s.f, lasts)
  local flag = rest == -2 and '0' or (s.kinds and '2' or '1')
  call('SET', s.S, flag .. head .. (s.t or NONE) .. ' ' .. s.m, 'PX', math.max(span, rest))
end

-- Has H and Q outlive what is in them by half an hour at least; both are kept until `kept`.
local function keep(s, span, kept)
  if tonumber(kept or 0) < now + span + KEEP / 2 then
    -- A tombstone may want Q for longer; and H may be new beside a Q that tombstones made.
    span = math.max(span + KEEP, call('PTTL', s.Q))
    call('PEXPIRE', s.Q, span)
    if call('PEXPIRE', s.H, span) == 1 then call('HSET', s.H, 'k', now + span) end
    s.changed = true
  end
end

local function tomb(s, token)
  local score = s.q and tonumber(call('ZSCORE', s.Q, 'x' .. token) or 0) or 0
  if math.floor(score / 4) > now then return score % 4 end
end

local function bury(s, token, kind, till)
  call('ZREMRANGEBYSCORE', s.Q, 1, now * 4 + 3)
  local old = tonumber(call('ZSCORE', s.Q, 'x' .. token) or 0)
  if old > 0 then
    kind, till = old % 4, math.max(till, math.floor(old / 4))
  end
  call('ZADD', s.Q, till * 4 + kind, 'x' .. token)
  s.q, s.changed = true, true
  keep(s, till - now, now + call('PTTL', s.Q))
end

-- Buries the token of a tenure that ran out at `till`; not where that is found out too late to matter:
-- a lock that is seldom used is free and waited for by nobody, and stays so.
local function bury_expired(s, token, till)
  if till <= now and till + ENDED > now then bury(s, token, EXPIRED, till + ENDED) end
end

-- 1: held by a tenure of ours; 2: by another library. A tenure that ran out is cleared away and its
-- token buried: a waiter that slept through its claim must not come back as a second tenure. One
-- that is gone before its time was released.
local function holder(s)
  if s.t then
    if s.v == s.t then return 1 end
    bury_expired(s, s.t, s.till)
    s.t, s.m, s.changed = false, '0 0 ', true
  end
  if s.v or s.odd or (dual and dual.held(s)) then return 2 end
end

-- How many fences a claim asks for: "1500" one, "1500/16" those up to the one that is granted.
local function fences(claim) return tonumber(string.match(claim or '', '/(%d+)$') or 1) end

-- The claim among what an ask says of its wait.
local function claim_of(wait) return string.match(wait, '^%S+ (%S+)') end

local function next_fence(s, count)
  local fence = math.max(s.f + (count or 1), us)
  if fence > 9007199254740991 then error('LEASEHOLD_FENCE ' .. string.format('%.0f', fence)) end
  return fence
end

-- `alone`: without the second lock.
local function grant(s, token, fence, span, m, alone)
  put(s, token, math.max(span - 1, 1))
  if dual then dual.put(s, token, math.max(span - 1, 1), alone) end
  s.t, s.v, s.f, s.m, s.till, s.changed = token, token, fence, m, now + span, true
end

-- What is left of the tenure; -1 for one without an end.
local function left(s)
  local span = call('PTTL', s.L)
  if dual then span = dual.left(s, span) end
  if span < 0 then return -1 end
  return span + 1
end

-- Has the tenure end in `span` ms.
local function prolong(s, span)
  call('PEXPIRE', s.L, span - 1)
  if dual then call('PEXPIRE', s.two.L, span - 1) end
end

-- The profile in "grace claimed profile".
local function shown(s)
  return s.t and string.match(s.m, '^%S+ %S+ (.*)$') or ''
end

local function strike(s, entry)
  local token = sub(entry, 27)
  call('ZREM', s.Q, entry)
  call('HDEL', s.H, 'w' .. token, 'a' .. token)
  s.changed = true
end

-- The first entry of the queue. With the last one go H, unless several hold the lock, and the tombstones
-- that are over: they alone would keep Q, and the lock from the short way.
local function first(s)
  local entry = s.q and call('ZRANGE', s.Q, 0, 0)[1]
  if entry and string.byte(entry) ~= 120 then return entry end
  if s.q and s.t ~= MARK then call('DEL', s.H) end
  if entry and call('ZREMRANGEBYSCORE', s.Q, 1, now * 4 + 3) > 0 then
    s.q, s.changed = call('EXISTS', s.Q) == 1, true
  end
end

local function leave(s, token)
  local waiter = s.q and call('HGET', s.H, 'w' .. token)
  if not waiter then return false end
  strike(s, sub(waiter, 1, 26) .. token)
  first(s)
  return true
end

-- The first waiter that is alive, and what is known of it; the dead before it are removed. `living`
-- needs no look.
local function head(s, living)
  while true do
    local entry = first(s)
    if not entry then return nil end
    local token = sub(entry, 27)
    if token == living then return token end
    local known = call('HMGET', s.H, 'a' .. token, 'w' .. token)
    if tonumber(known[1] or 0) > now then return token, known[2] end
    strike(s, entry)
  end
end

-- Grants the lock to a waiter if it can be told. If not, its client may be connecting anew.
local function hand_to(s, token, waiter, deaf)
  local place, claim, channel, profile = string.match(waiter, '^(%S+) (%S+) (%S+) (.*)$')
  local alone
  if dual then channel, alone = dual.ear(s, channel) end
  if not channel or deaf[channel] then return false end
  local fence, span = next_fence(s, fences(claim)), string.match(claim, '^%d+')
  local word = token .. ' ' .. string.format('%.0f', fence) .. ' ' .. span
  if call('PUBLISH', channel, word) == 0 then
    deaf[channel] = true
    return false
  end
  strike(s, place .. token)
  first(s)
  grant(s, token, fence, tonumber(span), '0 1 ' .. profile, alone)
  return true
end

-- Hands a free lock to the first live waiter that can be told, and answers which; to the caller, if
-- it is that one. A waiter whose client has no ear keeps its place.
local function pass_on(s, caller)
  local token, waiter = head(s)
  if not token or token == caller then return token end
  local deaf = {}
  if hand_to(s, token, waiter, deaf) then return token end
  for _, entry in ipairs(call('ZRANGE', s.Q, 1, 63)) do
    if string.byte(entry) == 120 then return nil end
    token = sub(entry, 27)
    if token == caller then return token end
    local known = call('HMGET', s.H, 'a' .. token, 'w' .. token)
    if tonumber(known[1] or 0) > now and hand_to(s, token, known[2], deaf) then return token end
  end
end

-- Ends the tenure and hands the lock on.
local function let_go(s)
  s.t, s.m, s.odd, s.changed = false, '0 0 ', false, true
  if not pass_on(s) then
    drop(s)
    s.v = false
    if dual then dual.drop(s) end
  end
end

-- Takes the step for each lock that has no answer yet. `apart`: where one fails, the others' answers
-- still count.
local function each(step, apart)
  local function take(index)
    local s = load(index)
    local answer = step(s, index)
    save(s)
    return answer
  end
  for index = 1, #KEYS / EACH do
    if done[index] == nil then
      if apart and #KEYS > EACH then
        local fine, answer = pcall(take, index)
        if not fine and type(answer) ~= 'table' then answer = { err = answer } end
        done[index] = answer
      else
        done[index] = take(index) or false
      end
    end
  end
  local answers = done
  done = {}
  return answers
end
