-- ARGV, where all ask on the same terms: ms to keep less 1, ms for S, "" or "alive claim limit rank channel"
-- as lock.lua has them; then for each lock "the first number in 13 digits, token, grace claimed profile".
-- Or five for each lock: token, ms to keep less 1, ms for S, that, "alive …"; and one more at the end: "all"
-- for all or nothing, "held" for what the tokens hold already.
--
-- Answers a fence, or for each lock that or: {1, fence} granted, {2, first, left, holder} queued,
-- with first 1 for the first in line behind a holder of ours, 2 behind another library's, 0 for the
-- rest; {3, left, holder} busy, {4, limit} the queue is full, {5} cancelled, an error.
--
-- What is asked for most comes first, for the functions below cost more than all of this: a lock that
-- is free, and one behind whose holder others wait already. What is not as simple is left to them, as
-- it was. Numbers stay strings, of one width each, for Lua is slow to write them; and the words are few,
-- for reading them costs the server a quarter of a pair.
local done = {}
if #ARGV[1] ~= 32 then
  local call, sub, byte, format = redis.call, string.sub, string.byte, string.format
  local span, keep, wait = ARGV[1], ARGV[2], ARGV[3]
  local time, locks, later = redis.call('TIME'), #KEYS / 4, {}
  local fence = time[1] .. sub('00000' .. time[2], -6)
  local now, left = time[1] * 1000 + math.floor(time[2] / 1000), locks
  local above = string.find(wait, '/', 1, true) and format('%016.0f', fence - 511) or fence
  local lasts = locks > 1 and sub(ARGV[4], 1, 13)
  local early = lasts and format('%016.0f', (now - span) * 1000)
  local lives, claim, limit, rank, channel
  for index = 1, locks do
    local L, S, own = KEYS[4 * index - 3], KEYS[4 * index - 2], ARGV[3 + index]
    local token = sub(own, 14, 45)
    -- Where one of the same lock is left to the functions below, it comes before this one.
    local soon = not later[L]
    if soon and fence < '9007199254740992' and call('SET', L, token, 'NX', 'PX', span) then
      local s = redis.pcall('SET', S, '0' .. fence .. own, 'PX', keep, 'GET')
      local odd, fine = type(s) == 'table', not s
      if s and not odd and byte(s) == 48 then
        -- Nobody waits; the last fence is behind, by 512 at least where more than one is wanted; and its
        -- tenure was given back, not run out, or ran out more than a minute ago: one that lasts as long as
        -- this began late enough, mostly.
        local last = sub(s, 2, 17)
        fine = last < above
        if fine and (not early or last < early or sub(s, 18, 30) ~= lasts) then
          local past = now - sub(s, 2, 14) - sub(s, 18, 30)
          fine = past <= 0 or past > 60000
        end
      end
      if fine then
        if locks == 1 then return fence end
        done[index], left = fence, left - 1
      else
        -- Of another type S was left as it is, and the functions below fail for it.
        call('DEL', L)
        if not odd then call('SET', S, s, 'PX', math.max(keep, call('PTTL', KEYS[4 * index]))) end
      end
    elseif soon and wait ~= '' then
      local s, Q, H = call('GET', S), KEYS[4 * index], KEYS[4 * index - 1]
      local held = s and byte(s) == 49 and sub(s, 31, 62)
      local head = held and held ~= token and redis.pcall('GET', L) == held
        and call('ZRANGE', Q, 0, 0)[1]
      if head and byte(head) ~= 120 and not call('ZSCORE', Q, 'x' .. token) then
        local ahead = sub(head, 27)
        local known = call('HMGET', H, 'w' .. token, 'k', 'a' .. ahead, 'z')
        if not lives then
          lives, claim, limit, rank, channel =
            string.match(wait, '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
        end
        local till, waiter = now + lives, known[1]
        -- Whoever is first is alive, H and Q need not be kept for longer, and there is room.
        if (ahead == token or tonumber(known[3] or 0) > now)
          and tonumber(known[2] or 0) >= till + 1800000
          and (waiter or call('ZCARD', Q) < tonumber(limit)) then
          local place = waiter and sub(waiter, 1, 26)
            or rank .. format('%016.0f', call('HINCRBY', H, 's', 1))
          local entry = place .. ' ' .. claim .. ' ' .. channel
            .. string.match(own, '^%S+ %S+( .*)$', 47)
          if entry == waiter then
            call('HSET', H, 'a' .. token, till)
          elseif waiter then
            call('HSET', H, 'w' .. token, entry, 'a' .. token, till)
          else
            local due = tonumber(known[4] or 0)
            call('HSET', H, 'w' .. token, entry, 'a' .. token, till, 'z', math.min(due, till))
            call('ZADD', Q, 0, place .. token)
          end
          local rest = call('PTTL', L)
          if rest >= 0 then rest = rest + 1 end
          local first = (ahead == token or place < sub(head, 1, 26)) and 1 or 0
          done[index] = { 2, first, rest, string.match(s, '^%S+ %S+ (.*)$', 64) }
          left = left - 1
        end
      end
    end
    if not done[index] then later[L] = true end
  end
  if left == 0 then return done end
end
