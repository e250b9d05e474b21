//! A guard in Redis: any command, run only if no larger fence was seen. Text, for any client library.

/// How the error of a refusal begins.
pub const STALE: &str = "LEASEHOLD_STALE";

/// The script: `EVAL SCRIPT keys FENCE_KEY key… fence command argument…`.
///
/// * The first key is a string that holds the largest fence seen; the others are those that the command
///   touches. On a cluster all are of one slot: give them one `{tag}`.
/// * The first argument is the fence; the rest is the command, whose answer is the script's.
///
/// A refusal is an error that begins with [`STALE`]. The fence's key has no end: what is deleted with the
/// data lets an old holder write again, so delete it no sooner than that holder can be alive.
///
/// ```text
/// EVAL <script> 2 {stock}:fence {stock}:left 1795487746175228 DECRBY {stock}:left 3
/// ```
pub const SCRIPT: &str = "\
local fence, seen = tonumber(ARGV[1]), tonumber(redis.call('GET', KEYS[1]) or 0)
if not fence or #ARGV < 2 then return redis.error_reply('ERR a fence and a command are needed') end
if seen > fence then
  return redis.error_reply(string.format('LEASEHOLD_STALE fence %.0f comes after %.0f', fence, seen))
end
redis.call('SET', KEYS[1], ARGV[1])
return redis.call(unpack(ARGV, 2))
";
