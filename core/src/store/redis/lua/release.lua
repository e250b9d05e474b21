-- ARGV, two for each lock: ms of the tombstone or "", token.
-- Answers 1, or for each lock: 1 released, 2 left the queue, 3 neither held nor waited, or an error.
--
-- What comes most comes first, for the functions below cost more than all of this: locks that are
-- held, alone and waited for by nobody, and one lock whose first waiter is alive and hears. S stays as
-- it is where nobody waits: the tenure is over because L is gone before its time.
local done = {}
if #KEYS == 4 then
  local call, sub, token, L, Q = redis.call, string.sub, ARGV[2], KEYS[1], KEYS[4]
  if ARGV[1] == '' and redis.pcall('GET', L) == token then
    if call('EXISTS', Q) == 0 then
      call('DEL', L)
      return 1
    end
    local S, H = KEYS[2], KEYS[3]
    local s, queue = call('GET', S), call('ZRANGE', Q, 0, 1)
    local head, other = queue[1], queue[2]
    if s and string.byte(s) == 49 and sub(s, 31, 62) == token and head
      and string.byte(head) ~= 120 then
      local next = sub(head, 27)
      local time, known = redis.call('TIME'), call('HMGET', H, 'a' .. next, 'w' .. next, 'k')
      local now = time[1] * 1000 + math.floor(time[2] / 1000)
      local claim, count, channel, profile =
        string.match(known[2] or '', '^%S+ (%d+)/?(%d*) (%S+) (.*)$')
      local fence = math.max(sub(s, 2, 17) + (tonumber(count) or 1), time[1] * 1000000 + time[2])
      if claim and known[3] and tonumber(known[1] or 0) > now and fence <= 9007199254740991 then
        fence = string.format('%016.0f', fence)
        local word = next .. ' ' .. string.match(fence, '^0*(.*)$') .. ' ' .. claim
        if call('PUBLISH', channel, word) > 0 then
          call('ZREM', Q, head)
          local flag = other and '1' or '0'
          if other and string.byte(other) ~= 120 then
            call('HDEL', H, 'a' .. next, 'w' .. next)
          else
            call('DEL', H)
          end
          local span = math.max(claim - 1, 1)
          call('SET', L, next, 'PX', span)
          local lasts = string.format('%013.0f', now + claim - 1 - math.floor(fence / 1000))
          local keep = math.max(claim + 3600000, other and known[3] - now or 0)
          call('SET', S, flag .. fence .. lasts .. next .. ' 0 1 ' .. profile, 'PX', keep)
          return 1
        end
      end
    end
  end
else
  local call, held, queues, free = redis.call, {}, {}, #KEYS <= 16000
  for index = 1, #KEYS / 4 do
    held[index], queues[index] = KEYS[4 * index - 3], KEYS[4 * index]
    free = free and ARGV[2 * index - 1] == ''
  end
  if free and call('EXISTS', unpack(queues)) == 0 then
    for index, token in ipairs(call('MGET', unpack(held))) do
      free = free and token == ARGV[2 * index]
    end
    if free then
      -- Fewer where one was given back twice.
      local seen = call('DEL', unpack(held)) < #held and {}
      for index = 1, #held do
        done[index] = seen and seen[held[index]] and 3 or 1
        if seen then seen[held[index]] = true end
      end
      return done
    end
  end
end
