-- Readers and permits: the rules of core/src/lock where several may hold a lock at once. Entered only
-- for an ask of theirs, and for a lock whose S says "2": from the first such ask until Q is gone.
--
-- Each of several holders has a tenure of its own: xt<token> in Q at SEVERAL + its end; in H
-- t<token> "fence grace claimed profile", and in u the permits of all of them. L then holds MARK, until
-- the last of them ends. What a waiter or holder is stands before its profile, its tag: "s " a reader,
-- "2/10 " two of ten permits, nothing: alone, which is "x" here. "f" is another library.
--
-- A changed number of permits is xr"permits version former,former,…" in Q at CHANGED + until when it is
-- remembered: as core/src/lock/capacity.rs has it. The bands of Q's scores are far from each other.
local SEVERAL = 2251799813685248
local CHANGED, FOLLOWED, FORMERS = 1125899906842624, 86400000, 8
local made

local function make()
  local k = {}
  made = k

  local function tag_of(profile)
    return string.match(profile, '^(s) ') or string.match(profile, '^(%d+/%d+) ') or 'x'
  end

  local function bare(profile)
    return string.match(profile, '^s (.*)$') or profile
  end

  local function permits(tag)
    local count, capacity = string.match(tag, '^(%d+)/(%d+)$')
    return tonumber(count), tonumber(capacity)
  end

  -- Whether a lock that is in use as one may be asked for as the other.
  local function fits(one, other)
    local _, capacity = permits(one)
    local _, wanted = permits(other)
    return capacity == wanted
  end

  local function room(s, tag)
    local count, capacity = permits(tag)
    return tonumber(call('HGET', s.H, 'u') or 0) + count <= capacity
  end

  -- What the number of permits was changed to.
  local function capacity(s)
    local found = s.q and call('ZRANGEBYSCORE', s.Q, CHANGED + now + 1, SEVERAL - 1, 'WITHSCORES')
    if not found or not found[1] then return nil end
    local count, version, formers = string.match(found[1], '^xr(%d+) (%d+) (.*)$')
    return {
      permits = tonumber(count), version = tonumber(version), formers = formers,
      till = found[2] - CHANGED,
    }
  end

  local function remember(s, known)
    call('ZREMRANGEBYSCORE', s.Q, CHANGED, SEVERAL - 1)
    local word = string.format('xr%.0f %.0f ', known.permits, known.version) .. known.formers
    call('ZADD', s.Q, CHANGED + now + FOLLOWED, word)
    s.q, s.kinds, s.changed = true, true, true
    keep(s, FOLLOWED, now + call('PTTL', s.Q))
  end

  -- What an ask, "grace claimed profile", means; and what the name is where that is not what it asks for.
  local function follow(s, m)
    local head, count, wanted, profile = string.match(m, '^(%S+ %S+ )(%d+)/(%d+)( .*)$')
    local known = count and capacity(s)
    if not known then return m end
    local refused = '0/' .. string.format('%.0f', known.permits)
    if string.find(',' .. known.formers .. ',', ',' .. wanted .. ',', 1, true) then
      if known.till < now + FOLLOWED / 2 then remember(s, known) end
      wanted = sub(refused, 3)
      m = head .. count .. '/' .. wanted .. profile
    end
    if tonumber(wanted) == known.permits and tonumber(count) <= known.permits then return m end
    return m, refused
  end

  -- The live tenure of `token` among several.
  local function tenure(s, token)
    local till = tonumber(call('ZSCORE', s.Q, 'xt' .. token) or 0) - SEVERAL
    if till <= now then return nil end
    local known = call('HGET', s.H, 't' .. token) or ''
    local fence, grace, claimed, profile = string.match(known, '^(%S+) (%S+) (%S+) (.*)$')
    if not fence then return nil end
    return {
      token = token, till = till, f = tonumber(fence), grace = tonumber(grace), claimed = claimed,
      profile = profile, tag = tag_of(profile),
    }
  end

  -- The one of several that ends first.
  local function one(s)
    local entry = call('ZRANGEBYSCORE', s.Q, SEVERAL + now + 1, '+inf', 'LIMIT', 0, 1)[1]
    return entry and tenure(s, sub(entry, 3)) or nil
  end

  -- Adds a tenure of several, or replaces that of its token.
  local function set(s, own)
    local known = string.format('%.0f %.0f ', own.f, own.grace) .. own.claimed .. ' ' .. own.profile
    if call('HSET', s.H, 't' .. own.token, known) == 1 then
      local count = permits(own.tag)
      if count then call('HINCRBY', s.H, 'u', count) end
    end
    call('ZADD', s.Q, SEVERAL + own.till, 'xt' .. own.token)
    s.q, s.one = true, s.one or own
    local span = own.till - now
    if s.t ~= MARK then
      put(s, MARK, math.max(span - 1, 1))
      if dual then dual.drop(s) end
      s.t, s.v, s.odd, s.m, s.till = MARK, MARK, false, '0 0 ', own.till
      s.kinds, s.changed = true, true
    elseif call('PTTL', s.L) < span - 1 then
      call('PEXPIRE', s.L, span - 1)
    end
    if s.till + KEEP / 2 < own.till then s.till, s.changed = own.till, true end
    -- Q may be new beside an old H, where its last waiter was granted just now, or the reverse.
    local kept = tonumber(call('HGET', s.H, 'k') or 0)
    keep(s, span, math.min(kept, now + call('PTTL', s.Q)))
  end

  local function remove(s, token, tag)
    call('ZREM', s.Q, 'xt' .. token)
    local count = permits(tag)
    if call('HDEL', s.H, 't' .. token) == 1 and count then call('HINCRBY', s.H, 'u', -count) end
    s.one = nil
  end

  -- When the last of several ends.
  local function last_end(s)
    return tonumber(call('ZRANGE', s.Q, -1, -1, 'WITHSCORES')[2] or 0) - SEVERAL
  end

  -- After some of several were removed: L lasts as long as those that are left. The tag of these.
  local function settle(s)
    local span = last_end(s) - now
    s.one = span > 0 and one(s) or nil
    if s.one then
      call('PEXPIRE', s.L, math.max(span - 1, 1))
      return s.one.tag
    end
    s.t, s.m, s.loose, s.changed = false, '0 0 ', true, true
  end

  -- Removes those of several that ended by `till`; the tokens of those whose time was over are buried.
  local function clear(s, till)
    local over = call('ZRANGEBYSCORE', s.Q, SEVERAL, till, 'WITHSCORES')
    for index = 1, #over, 2 do
      local token = sub(over[index], 3)
      local known = call('HGET', s.H, 't' .. token) or ''
      s.ended = tag_of(string.match(known, '^%S+ %S+ %S+ (.*)$') or '')
      remove(s, token, s.ended)
      bury_expired(s, token, over[index + 1] - SEVERAL)
    end
    return #over > 0
  end

  -- The tag of who holds the lock. s.ended: the tag of the tenure whose end was found or made.
  local function live(s)
    s.one, s.ended = nil, nil
    if s.t == MARK and s.v == MARK then
      if clear(s, SEVERAL + now) then return settle(s) end
      s.one = one(s)
      -- None: the server lost them. L says until when one of them may hold the lock.
      return s.one and s.one.tag or 'f'
    end
    if s.t == MARK then
      clear(s, '+inf')
      s.t, s.m, s.changed = false, '0 0 ', true
    elseif s.t then
      if s.v == s.t then return 'x' end
      bury_expired(s, s.t, s.till)
      s.t, s.m, s.changed, s.ended = false, '0 0 ', true, 'x'
    end
    if s.v or s.odd or (dual and dual.held(s)) then return 'f' end
  end

  -- The first waiter that is alive, after `skip` of them.
  local function front(s, skip)
    while s.q and skip < 64 do
      local entry = call('ZRANGE', s.Q, skip, skip)[1]
      if not entry or string.byte(entry) == 120 then return nil end
      local token = sub(entry, 27)
      local known = call('HMGET', s.H, 'a' .. token, 'w' .. token)
      if tonumber(known[1] or 0) > now then
        return token, known[2], tag_of(string.match(known[2], '^%S+ %S+ %S+ (.*)$') or '')
      end
      strike(s, entry)
    end
  end

  -- Readers that begin a phase without others have the last fence as their epoch; where that was
  -- forgotten, one that no writer had or will have.
  local function epoch(s)
    if s.one then return s.one.f end
    if s.f == 0 then s.f, s.changed = next_fence(s), true end
    return s.f
  end

  -- Grants the lock to a waiter if it can be told.
  local function hand(s, token, waiter, tag, deaf)
    if tag == 'x' then return hand_to(s, token, waiter, deaf) end
    local place, claim, channel, profile = string.match(waiter, '^(%S+) (%S+) (%S+) (.*)$')
    if deaf[channel] then return false end
    local fence = tag == 's' and epoch(s) or next_fence(s)
    local word = token .. ' ' .. string.format('%.0f', fence) .. ' ' .. claim
    if call('PUBLISH', channel, word) == 0 then
      deaf[channel] = true
      return false
    end
    strike(s, place .. token)
    set(s, {
      token = token, till = now + claim, f = fence, grace = 0, claimed = '1', profile = profile,
      tag = tag,
    })
    if fence > s.f then s.f, s.changed = fence, true end
    return true
  end

  -- The readers in the queue, last first: they stand behind all others.
  local function readers(s)
    local list, at = {}, s.q and call('ZCOUNT', s.Q, 0, 0) or 0
    while at > 0 do
      local from = math.max(at - 100, 0)
      local some = call('ZRANGE', s.Q, from, at - 1)
      for index = #some, 1, -1 do
        if string.byte(some[index]) < 65 then return list end
        list[#list + 1] = some[index]
      end
      at = from
    end
    return list
  end

  -- Grants the lock to all live readers in the queue but `caller`: whether to any, and whether the
  -- caller is in the queue.
  local function phase(s, caller, deaf)
    local list, granted, waits = readers(s), false, false
    for index = #list, 1, -1 do
      local token = sub(list[index], 27)
      if token == caller then
        waits = true
      else
        local known = call('HMGET', s.H, 'a' .. token, 'w' .. token)
        if tonumber(known[1] or 0) <= now then
          strike(s, list[index])
        elseif hand(s, token, known[2], 's', deaf) then
          granted = true
        end
      end
    end
    return granted, waits
  end

  -- Grants what can be granted to those who wait, but nothing to `caller`. Answers who holds the lock
  -- then, and who is first in line; as in core/src/lock/turn.rs. A waiter whose client has no ear
  -- keeps its place and is passed over.
  local function pass(s, holder, caller)
    local deaf, skip = {}, 0
    while holder ~= 'x' and holder ~= 'f' do
      local token, waiter, tag = front(s, skip)
      if not token then break end
      local free = not holder
      if tag == 's' and (free or holder == 's')
        or tag == 'x' and free and s.ended == 'x' then
        local granted, waits = phase(s, caller, deaf)
        if granted or waits then
          return { holder = granted and 's' or holder, head = token, tag = tag, phase = waits }
        end
        -- No reader is alive that can be told.
        if tag == 's' then return { holder = holder } end
      end
      if not free and permits(tag) and fits(holder, tag) then free = room(s, tag) end
      if token == caller or not free then return { holder = holder, head = token, tag = tag } end
      if hand(s, token, waiter, tag, deaf) then holder = tag else skip = skip + 1 end
    end
    return { holder = holder }
  end

  -- Frees L if nobody was granted it, and forgets who waited if nobody does.
  local function finish(s, answer)
    if s.loose and not s.t then
      drop(s)
      s.v = false
      if dual then dual.drop(s) end
    end
    if s.t ~= MARK then first(s) end
    return answer
  end

  local function let(s)
    s.t, s.m, s.v, s.odd, s.loose, s.changed = false, '0 0 ', false, false, true, true
    s.ended = 'x'
  end

  local function misfit(tag) return { 6, tag } end

  local function admits(s, turn, token, tag)
    local holder, foremost = turn.holder, not turn.head or turn.head == token
    if not holder then return foremost or turn.phase end
    if holder == 's' and tag == 's' then return foremost or turn.phase or turn.tag == 's' end
    return foremost and permits(tag) and fits(holder, tag) and room(s, tag)
  end

  -- When there may be room, and who is there: of readers the last end counts, of permits the first.
  local function busy(s, holder)
    if not s.one then return left(s), shown(s) end
    if holder == 's' then
      local span = call('PTTL', s.L) + 1
      -- No key can be kept for less than that.
      if span <= 2 then span = last_end(s) - now end
      return span, s.one.profile
    end
    local soon = one(s) or s.one
    return soon.till - now, soon.profile
  end

  local function longer(own, span, grace)
    local told = math.max(own.till - own.grace, now + span - grace)
    own.till = math.max(own.till, now + span)
    own.grace, own.claimed = own.till - told, '0'
  end

  -- The answer to a token that holds the lock already.
  local function again(s, own, token, span, grace, tag, count)
    if own == 'x' then
      local old, _, profile = string.match(s.m, '^(%S+) (%S+) (.*)$')
      own = { token = token, till = now + left(s), f = s.f, grace = tonumber(old), profile = profile }
      longer(own, span, grace)
      if tag == 'x' then
        prolong(s, own.till - now)
        s.m, s.till, s.changed = own.grace .. ' 0 ' .. profile, own.till, true
      elseif tag == 's' then
        -- The writer's phase has ended.
        own.profile, own.tag = 's ' .. profile, 's'
        set(s, own)
        phase(s, nil, {})
      else
        return misfit('x')
      end
    elseif own.tag == tag then
      longer(own, span, grace)
      set(s, own)
    elseif own.tag == 's' and tag == 'x' then
      local others = call('ZCOUNT', s.Q, SEVERAL, '+inf') - 1
      if others > 0 then return { 7, others } end
      own.f = next_fence(s, count)
      longer(own, span, grace)
      remove(s, token, 's')
      grant(s, token, own.f, own.till - now, own.grace .. ' 0 ' .. bare(own.profile))
    else
      return misfit(own.tag)
    end
    return { 1, own.f }
  end

  local function own_of(s, holder, token)
    if holder == 'x' then return s.t == token and 'x' end
    return holder and holder ~= 'f' and tenure(s, token)
  end

  -- `how` is "all" where the lock was found to be available in this very step: whose turn it is must not
  -- be asked twice, for who was passed over as nobody hears it would be in the way without room for it.
  local function ask(s, token, span, m, wait, taken, how)
    local refused
    m, refused = follow(s, m)
    local grace, profile = string.match(m, '^(%S+) %S+ (.*)$')
    grace = tonumber(grace)
    local tag, holder = tag_of(profile), live(s)
    local count = tag == 'x' and fences(claim_of(wait)) or 1
    if tomb(s, token) then
      pass(s, holder)
      return { 5 }
    end
    if holder == 'f' and s.v == token then
      -- Our token without its tenure: the server lost S. The string decides who holds the lock.
      grant(s, token, next_fence(s, count), math.max(left(s), span), grace .. ' 0 ' .. bare(profile))
      holder = 'x'
    end
    local own = own_of(s, holder, token)
    if own then
      pass(s, holder)
      return again(s, own, token, span, grace, tag, count)
    end
    if how == 'held' then
      pass(s, holder)
      return { 5 }
    end
    local turn = how == 'all' and { holder = holder } or pass(s, holder, token)
    holder = turn.holder
    local waits = turn.phase and 's' or (turn.head == token and turn.tag)
    if waits and waits ~= tag then
      leave(s, token)
      pass(s, holder)
      return misfit(waits)
    end
    if holder and holder ~= 'f' and not fits(holder, tag) then return misfit(holder) end
    if refused then return misfit(refused) end
    if admits(s, turn, token, tag) then
      leave(s, token)
      local fence = tag == 's' and epoch(s) or next_fence(s, count)
      if tag == 'x' then
        grant(s, token, fence, span, m)
      else
        set(s, {
          token = token, till = now + span, f = fence, grace = grace, claimed = '0',
          profile = profile, tag = tag,
        })
        if fence > s.f then s.f, s.changed = fence, true end
      end
      -- Others may fit beside it.
      if waits then pass(s, tag) end
      return { 1, fence }
    end
    if not holder then return { 3, -2, '' } end
    if wait ~= '' then
      local known = s.q and call('HGET', s.H, 'w' .. token)
      local other = known and tag_of(string.match(known, '^%S+ %S+ %S+ (.*)$') or '')
      if other and other ~= tag then
        leave(s, token)
        return misfit(other)
      end
      if tag ~= 'x' and not s.kinds then s.kinds, s.changed = true, true end
    end
    return taken(s, token, m, wait, busy(s, holder))
  end

  function k.acquire(...) return finish(..., ask(...)) end

  local function available(s, token, m)
    local refused
    m, refused = follow(s, m)
    local tag, holder = tag_of(string.match(m, '^%S+ %S+ (.*)$')), live(s)
    local known = s.q and call('HMGET', s.H, 'a' .. token, 'w' .. token) or {}
    if tonumber(known[1] or 0) > now then
      local waits = tag_of(string.match(known[2], '^%S+ %S+ %S+ (.*)$') or '')
      if waits ~= tag then
        leave(s, token)
        pass(s, holder)
        return misfit(waits)
      end
    end
    local turn = pass(s, holder)
    if tomb(s, token) then return { 5 } end
    holder = turn.holder
    if holder == 'f' then
      if s.v == token then return nil end
      return { 3, left(s), shown(s) }
    end
    local own = own_of(s, holder, token)
    if own then
      local held = own == 'x' and 'x' or own.tag
      if held == tag or held == 'x' and tag == 's' then return nil end
      if not fits(held, tag) then return misfit(held) end
      if held == 's' and call('ZCOUNT', s.Q, SEVERAL, '+inf') == 1 then return nil end
      return { 3, -2, '' }
    end
    if holder and not fits(holder, tag) then return misfit(holder) end
    if refused then return misfit(refused) end
    if admits(s, turn, token, tag) then return nil end
    if not holder then return { 3, -2, '' } end
    return { 3, busy(s, holder) }
  end

  function k.available(...) return finish(..., available(...)) end

  function k.release(s, token)
    local waited, holder = leave(s, token), live(s)
    local own = own_of(s, holder, token) or (holder == 'f' and s.v == token)
    if own and (holder == 'x' or holder == 'f') then
      let(s)
      holder = nil
    elseif own then
      remove(s, token, own.tag)
      s.ended = own.tag
      holder = settle(s)
    end
    pass(s, holder)
    return finish(s, own and 1 or (waited and 2 or 3))
  end

  function k.renew(s, token, span, grace, beside)
    local own = s.v == MARK and tenure(s, token)
    if own then
      longer(own, span, grace)
      set(s, own)
      return 1
    end
    if tomb(s, token) == REVOKED then return 2 end
    if s.v and s.v ~= MARK or s.odd or s.t and s.t ~= MARK and s.t ~= token then return 3 end
    -- What may be held beside it did not take its place.
    if not beside and call('ZCOUNT', s.Q, SEVERAL + now + 1, '+inf') > 0 then return 3 end
    return 4
  end

  local function evict(s, wanted)
    local holder = live(s)
    local fence, profile, ended = s.f, '', nil
    if holder == 'x' or holder == 'f' then
      if wanted == '' or (holder == 'x' and tonumber(wanted) == s.f) then ended = 'x' end
      profile = shown(s)
      if ended and holder == 'x' then bury(s, s.t, REVOKED, now + ENDED) end
    elseif holder then
      for _, entry in ipairs(call('ZRANGEBYSCORE', s.Q, SEVERAL, '+inf')) do
        local own = tenure(s, sub(entry, 3))
        if own and (wanted == '' or tonumber(wanted) == own.f) then
          remove(s, own.token, own.tag)
          bury(s, own.token, REVOKED, now + ENDED)
          if not ended then fence, profile, ended = own.f, own.profile, own.tag end
        end
      end
    end
    if not ended then
      pass(s, holder)
      return { 0 }
    end
    s.f, s.changed = next_fence(s), true
    if ended == 'x' then
      -- Whoever has the second lock, it is a part of this one.
      if dual then s.two.along = dual.held(s) end
      let(s)
      holder = nil
    else
      s.ended = ended
      holder = settle(s)
    end
    pass(s, holder)
    return { 1, fence, profile }
  end

  function k.evict(...) return finish(..., evict(...)) end

  -- Has those that are of `from` permits be of `to`; who waits for more than that loses its place.
  local function recount(s, from, to)
    local function of(known, at)
      local count, capacity = string.match(known or '', '^(%d+)/(%d+) ', at)
      return count and tonumber(capacity) == from and tonumber(count), capacity
    end
    local function change(field, known)
      local _, at = string.find(known or '', '^%S+ %S+ %S+ ')
      local count, capacity = of(known, (at or 0) + 1)
      if not count then return true end
      local begin = at + #string.format('%.0f', count) + 1
      local changed = sub(known, 1, begin) .. string.format('%.0f', to)
      call('HSET', s.H, field, changed .. sub(known, begin + #capacity + 1))
      return count <= to
    end
    for _, entry in ipairs(call('ZRANGEBYSCORE', s.Q, SEVERAL, '+inf')) do
      local field = 't' .. sub(entry, 3)
      change(field, call('HGET', s.H, field))
    end
    for _, entry in ipairs(call('ZRANGEBYSCORE', s.Q, 0, 0)) do
      local field = 'w' .. sub(entry, 27)
      if not change(field, call('HGET', s.H, field)) then strike(s, entry) end
    end
    if s.one then s.one = one(s) end
  end

  function k.resize(s, from, to, version)
    local holder, known = pass(s, live(s)).holder, capacity(s)
    local used, last = holder == 'f' and 'x' or holder or '', known and known.version or 0
    if known and (used == '' or permits(used)) then
      used = '0/' .. string.format('%.0f', known.permits)
    end
    local wanted = '0/' .. string.format('%.0f', from)
    if version ~= last or used ~= '' and not fits(used, wanted) then
      return finish(s, { 0, used, last })
    end
    last = next_fence(s)
    s.f, s.changed = last, true
    local formers = {}
    for former in string.gmatch(known and known.formers or '', '%d+') do
      former = tonumber(former)
      if former ~= from and former ~= to then formers[#formers + 1] = former end
    end
    formers[#formers + 1] = from
    if #formers > FORMERS then table.remove(formers, 1) end
    for index, former in ipairs(formers) do formers[index] = string.format('%.0f', former) end
    recount(s, from, to)
    remember(s, { permits = to, version = last, formers = table.concat(formers, ',') })
    pass(s, s.one and s.one.tag or holder)
    return finish(s, { 1, last })
  end

  -- The tenures of several, at most `limit`, and how many there are.
  function k.all(s, limit)
    local from, all = SEVERAL + now + 1, {}
    for _, entry in ipairs(call('ZRANGEBYSCORE', s.Q, from, '+inf', 'LIMIT', 0, limit)) do
      local own = tenure(s, sub(entry, 3))
      if own then
        local span = own.till - now
        all[#all + 1] = { own.f, span, own.grace, tonumber(own.claimed), own.profile }
      end
    end
    return call('ZCOUNT', s.Q, from, '+inf'), all
  end

  return k
end

local function kinds() return made or make() end
