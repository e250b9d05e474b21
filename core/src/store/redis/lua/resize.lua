-- ARGV: how many permits there must be, how many there will be, the number of the change before.
-- Answers {1, the number of this change}, or {0, what the name is in use as or "", the last change}.
local s = load(1)
local answer = kinds().resize(s, tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))
save(s)
return answer
