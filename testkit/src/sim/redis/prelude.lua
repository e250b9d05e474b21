-- What a script finds besides Lua's own functions. Errors are tables with `err`, raised by call and
-- returned by pcall; globals can't be made, so that no script leaves anything to the next.
local parts = ...
local globals, position, pcall = parts.globals, parts.position, parts.globals.pcall

local redis = {
  call = parts.call,
  pcall = parts.raw,
  sha1hex = parts.sha1hex,
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REDIS_VERSION = "7.0.15", REDIS_VERSION_NUM = 0x0007000f,
  log = function() end,
  replicate_commands = function() return true end,
}

globals.pcall = function(...)
  local function caught(done, ...)
    if done then return true, ... end
    local failure = parts.plain((...))
    if type(failure) == "table" and type(failure.err) == "string" then failure = failure.err end
    return false, failure
  end
  return caught(pcall(...))
end

function redis.error_reply(...)
  local text = ...
  if select("#", ...) ~= 1 or type(text) ~= "string" then
    return parts.error_table("wrong number or type of arguments")
  end
  if text:sub(1, 1) ~= "-" then text = "-" .. text end
  return parts.error_table(text)
end

function redis.status_reply(...)
  local text = ...
  if select("#", ...) ~= 1 or type(text) ~= "string" then
    return parts.error_table("wrong number or type of arguments")
  end
  return { ok = text }
end

local function refuse() error("Attempt to modify a readonly table", 2) end

globals.redis = redis
for _, name in ipairs({ "redis", "string", "table", "math" }) do
  globals[name] = setmetatable({}, { __index = globals[name], __newindex = refuse })
end
globals._G = parts.environment

setmetatable(parts.environment, {
  __index = function(_, name)
    local value = globals[name]
    if value == nil then
      error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
    end
    return value
  end,
  __newindex = refuse,
})

local function handler(failure)
  failure = parts.plain(failure)
  if type(failure) ~= "table" then failure = { err = "ERR " .. tostring(failure) } end
  failure.source, failure.line = position()
  return failure
end

return function(script) return xpcall(script, handler) end
