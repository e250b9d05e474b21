-- Redisson's RLock, with the functions of layout_text.lua: a hash with one field, its holder's
-- `uuid:thread`, which counts how often that one entered; waiters listen to a channel. Our token is
-- the uuid. A hash of more fields is a lock of another kind.
local function look(f)
  local fields = redis.pcall('HLEN', f.L)
  f.v, f.odd = false, fields ~= 0
  if fields ~= 1 then return end
  local field = redis.call('HKEYS', f.L)[1]
  local a, b, c, d, e = string.match(field, '^(%x+)%-(%x+)%-(%x+)%-(%x+)%-(%x+):1$')
  if a then f.v, f.odd = a .. b .. c .. d .. e, false end
end

local function put(f, token, span)
  local a, b, c, d, e = string.match(token, '^(........)(....)(....)(....)(.+)$')
  redis.call('DEL', f.L)
  redis.call('HSET', f.L, a .. '-' .. b .. '-' .. c .. '-' .. d .. '-' .. e .. ':1', 1)
  redis.call('PEXPIRE', f.L, span)
end

local function drop(f)
  local name = f.L
  if not string.find(name, '{', 1, true) then name = '{' .. name .. '}' end
  redis.call('PUBLISH', 'redisson_lock__channel:' .. name, '0')
  redis.call('DEL', f.L)
end
