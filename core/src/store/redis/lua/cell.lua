-- What the steps of cells share: a small value that changes only by comparison. It knows nothing of
-- the lock of the same name.
--
-- KEYS:
--   1  string: version, 16 digits; until when it is there, in ms, 16 digits, zeros for ever; the value
--   2  sorted set: the channels of those who watch it, at the ms until which they do
-- The first is kept an hour longer than it counts, for its version: the next must be larger also where
-- the clock was set back.
local KEEP = 3600000
local call, sub = redis.call, string.sub
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local now = math.floor(us / 1000)
local last, till, version = 0, 0, 0
local raw = call('GET', KEYS[1])
if raw then
  last, till = tonumber(sub(raw, 1, 16)), tonumber(sub(raw, 17, 32))
  if till == 0 or till > now then version = last end
end

-- "first", then the cell: version, ms left or -1, value.
local function seen(first)
  if version == 0 then return { first, 0, -1, '' } end
  return { first, version, till == 0 and -1 or till - now, sub(raw, 33) }
end
