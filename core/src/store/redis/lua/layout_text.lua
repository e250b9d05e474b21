-- A layout says what holds a lock at its key, L. Three functions of f, which has that key: look sets
-- f.v to the token there, false where nothing is, and f.odd where it can be no token of ours; put
-- has a token hold L for so many ms, whatever was there; drop frees L, and tells who waits for it in
-- this layout's own way.
--
-- This one: a string, whose value is the token.
local function look(f)
  f.v = redis.pcall('GET', f.L)
  if type(f.v) == 'table' then
    -- Not a string: held by a library with another layout.
    f.v, f.odd = false, true
  end
end

local function put(f, token, span) redis.call('SET', f.L, token, 'PX', span) end

local function drop(f) redis.call('DEL', f.L) end
