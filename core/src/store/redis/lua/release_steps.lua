local function release(index)
  local token, span = ARGV[index + 1], ARGV[1]
  local s = load(index)
  if span ~= '' then bury(s, token, CANCELLED, now + tonumber(span)) end
  local waited = leave(s, token)
  local held = holder(s)
  if held and s.v == token then
    let_go(s)
    return 1
  end
  if not held then pass_on(s) end
  return waited and 2 or 3
end

local answers = {}
for index = 1, #KEYS / 4 do answers[index] = release(index) end
return answers
