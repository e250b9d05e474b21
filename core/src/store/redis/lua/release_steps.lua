local function release(s, token)
  if ARGV[1] ~= '' then bury(s, token, CANCELLED, now + tonumber(ARGV[1])) end
  if dual then dual.shed(s, token) end
  local held = holder(s)
  if held and s.v == token then
    let_go(s)
    return 1
  end
  local waited = leave(s, token)
  if not held then pass_on(s) end
  return waited and 2 or 3
end

local answers = {}
for index = 1, #KEYS / EACH do
  local s = load(index)
  answers[index] = release(s, ARGV[index + 1])
  save(s)
end
return answers
