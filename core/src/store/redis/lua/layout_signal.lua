-- After layout_text.lua: the same string, at lock:NAME; its waiters pop from the list
-- lock-signal:NAME. An element that nobody waits for must be gone before the next release, hence its
-- second. The bell is rung first: without the right to do so nothing is done.
local function drop(f)
  local bell = 'lock-signal:' .. string.sub(f.L, 6)
  redis.call('DEL', bell)
  redis.call('LPUSH', bell, 1)
  redis.call('PEXPIRE', bell, 1000)
  redis.call('DEL', f.L)
end
