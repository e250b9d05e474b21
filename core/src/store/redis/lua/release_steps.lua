local function release(s, index)
  local tombstone, token = ARGV[2 * index - 1], ARGV[2 * index]
  if tombstone ~= '' then bury(s, token, CANCELLED, now + tonumber(tombstone)) end
  if dual then dual.shed(s, token) end
  if s.kinds then return kinds().release(s, token) end
  local held = holder(s)
  if held and s.v == token then
    let_go(s)
    return 1
  end
  local waited = leave(s, token)
  if not held then pass_on(s) end
  return waited and 2 or 3
end

return each(release, true)
