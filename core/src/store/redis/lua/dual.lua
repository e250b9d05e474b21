-- Two locks held as one: s, and s.two in a layout of its own, which has no S, H or Q. A tenure holds
-- both or is over; the lock is free if both are.
--
-- Who locks s alone, without the second, shares its queue: such a client hands s over without the
-- second, which a waiter of ours then still has to take, and is granted s alone. Channels tell them
-- apart: DUAL begins that of a waiter that wants both; a grant of both is told in another.
function dual.look(s, at)
  s.two = { L = KEYS[at + SECOND] }
  look2(s.two)
  -- Whether one tenure has both: the second ends with the first.
  s.two.along = s.v and s.v == s.two.v
end

function dual.held(s) return s.two.v or s.two.odd end

function dual.left(s, span)
  local other = call('PTTL', s.two.L)
  if s.two.along then return math.min(span, other) end
  if span == -1 or other == -1 then return -1 end
  return math.max(span, other)
end

-- Frees the second, if it goes with the first.
function dual.drop(s)
  if not s.two.along then return end
  drop2(s.two)
  s.two.v, s.two.odd, s.two.along = false, false, false
end

function dual.put(s, token, span, alone)
  if alone then return dual.drop(s) end
  put2(s.two, token, span)
  s.two.v, s.two.odd, s.two.along = token, false, true
end

-- Where a waiter is told of its grant, and whether it is of the first lock alone; nil where it can't
-- be granted now.
function dual.ear(s, channel)
  if sub(channel, 1, #DUAL) ~= DUAL then return channel, true end
  if s.two.along or not dual.held(s) then return 'leasehold:p:' .. sub(channel, #DUAL + 1), false end
end

-- Frees the second lock where the token has lost the first.
function dual.shed(s, token)
  if s.two.v == token and s.v ~= token then
    s.two.along = true
    dual.drop(s)
  end
end

-- Ends the token's tenure where half of it is gone; the answer to its renewal then.
function dual.ended(s, token)
  dual.shed(s, token)
  if s.v ~= token or s.two.along then return end
  local why = dual.held(s) and 3 or 4
  bury(s, token, EXPIRED, now + ENDED)
  let_go(s)
  return why
end

-- The same for an ask; but first takes the second lock where the first was handed over without it.
function dual.torn(s, token)
  local half = s.v == token and not dual.held(s)
  if half and (s.t ~= token or string.match(s.m, '^%S+ (%S+)') == '1') then
    dual.put(s, token, math.max(call('PTTL', s.L), 1))
  end
  return dual.ended(s, token)
end

-- Whether the locks at `at` in KEYS and these have a key in common.
function dual.meets(s, at)
  local one, two = KEYS[at + 1], KEYS[at + SECOND]
  return one == s.two.L or two == s.L or two == s.two.L
end
