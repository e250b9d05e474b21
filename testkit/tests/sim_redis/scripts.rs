//! Scripts: what Lua and the server make of each other's values.

use leasehold_testkit::SeededRandom;

use crate::both::Both;
use crate::commands::COMMANDS;
use crate::request::{filled, pick, seed, words};

/// Scripts, each with what stands at the border to Lua.
const SCRIPTS: &[&str] = &[
    "return 3.99",
    "return -3.99",
    "return 9007199254740991",
    "return true",
    "return false",
    "return nil",
    "return",
    "return 'text'",
    "return {}",
    "return {1,2,nil,4}",
    "return {1,false,3}",
    "return {1,{2,{3.7}},'x',true}",
    "return {err='CODE why'}",
    "return {err='why'}",
    "return {ok='fine'}",
    "return {ok='fine',err='bad'}",
    "return redis.error_reply('CODE why')",
    "return redis.error_reply('-CODE why')",
    "return redis.error_reply('why')",
    "return redis.error_reply(7)",
    "return redis.error_reply()",
    "return redis.status_reply('fine')",
    "return redis.status_reply()",
    "return redis.sha1hex('x')",
    "return KEYS",
    "return ARGV",
    "return {KEYS[1],ARGV[1],#KEYS,#ARGV}",
    "return redis.call('GET',KEYS[1])",
    "return redis.call('get',KEYS[1])",
    "return redis.pcall('GET',KEYS[1])",
    "return type(redis.pcall('GET',KEYS[1]))",
    "local r=redis.pcall('GET',KEYS[1]) if type(r)=='table' then return r.err end return r",
    "return {pcall(redis.call,'GET',KEYS[1])}",
    "local ok,e=pcall(redis.call,'GET',KEYS[1]) if ok then return e end return e.err",
    "return redis.call('SET',KEYS[1],ARGV[1])",
    "return redis.call('SET',KEYS[1],ARGV[1],'NX')",
    "return redis.call('SET',KEYS[1],ARGV[1],'NX','GET')",
    "redis.call('SET',KEYS[1],0.1) return redis.call('GET',KEYS[1])",
    "redis.call('SET',KEYS[1],3.0) return redis.call('GET',KEYS[1])",
    "redis.call('SET',KEYS[1],1e20) return redis.call('GET',KEYS[1])",
    "redis.call('SET',KEYS[1],1/3) return redis.call('GET',KEYS[1])",
    "redis.call('SET',KEYS[1],-1e-7) return redis.call('GET',KEYS[1])",
    "redis.call('SET',KEYS[1],1767225600123456) return redis.call('GET',KEYS[1])",
    "redis.call('SET',KEYS[1],2^53) return redis.call('GET',KEYS[1])",
    "redis.call('SET',KEYS[1],1767225600123456*4+3) return redis.call('GET',KEYS[1])",
    "return tostring(1767225600123456)",
    "return tostring(0.1)",
    "return 1767225600 * 1000000",
    "return '7' * 3 + '1'",
    "return math.floor(7.9)",
    "return math.max(1, '2' + 0)",
    "return string.format('%016.0f', 12)",
    "return string.format('%.0f', 2^53-1)",
    "return 5 % 3",
    "return string.match('a b c', '^(%S+) (%S+) (.*)$')",
    "return {string.match('a b c', '^(%S+) (%S+) (.*)$')}",
    "return redis.call('HGETALL',KEYS[1])",
    "return redis.call('HMGET',KEYS[1],'f','g','h')",
    "return #redis.call('HGETALL',KEYS[1])",
    "return redis.call('HSET',KEYS[1],'f',ARGV[1])",
    "return redis.call('HGET',KEYS[1],'f')",
    "return redis.call('HGET',KEYS[1],'f') == false",
    "return redis.call('ZADD',KEYS[1],1.5,'f',2,'g')",
    "return redis.call('ZSCORE',KEYS[1],'f')",
    "return type(redis.call('ZSCORE',KEYS[1],'f'))",
    "return redis.call('ZRANGE',KEYS[1],0,-1)",
    "return redis.call('ZRANGE',KEYS[1],0,-1,'WITHSCORES')",
    "return redis.call('ZPOPMIN',KEYS[1])",
    "return redis.call('ZRANGE',KEYS[1],0,0)[1]",
    "return redis.call('PTTL',KEYS[1]) < 0",
    "return redis.call('TYPE',KEYS[1])",
    "return redis.call('TYPE',KEYS[1]).ok",
    "return redis.call('EXISTS',KEYS[1]) == 1",
    "return redis.call('DEL',KEYS[1])",
    "return redis.call('LPUSH',KEYS[1],ARGV[1])",
    "return redis.call('PUBLISH','c',ARGV[1])",
    "return redis.call()",
    "return redis.call('NONSENSE')",
    "return redis.call('GET')",
    "return redis.call('GET',true)",
    "return redis.call('GET',nil)",
    "return redis.call('GET',{})",
    "return redis.pcall('NONSENSE').err",
    "return redis.pcall('GET').err",
    "error('why')",
    "error({err='CODE why'})",
    "error({err='why'})",
    "error('LEASEHOLD_FENCE 12')",
    "local x = nil + 1",
    "local t = nil return t.x",
    "undefined()",
    "return undefined",
    "x = 1",
    "redis.x = 1 return redis.x",
    "return redis.call('GET',KEYS[2])",
    "return {redis.call('GET',KEYS[1]),redis.pcall('NONSENSE')}",
    "\n\nreturn redis.call('GET')",
    "local function f() return redis.call('GET',KEYS[1]) end return f()",
    "local function f() error('deep') end\nlocal function g() f() end\ng()",
    "syntax error here",
    "return tonumber('12abc')",
    "return tonumber('0x10')",
    "return #'\\0a\\r'",
    "return {1,nil,3}",
    "return {nil,2}",
    "return {['x']=1}",
    "return select('#', unpack({1,2,3}))",
    "return 'a' < 'b'",
    "return tostring(nil)",
    "return string.sub('abcdef', 2, -2)",
    "local t = {} for i = 1, 5 do t[#t + 1] = i * i end return t",
    "return {1, 2, 'x' .. 3}",
    "for _, v in ipairs(redis.call('HKEYS',KEYS[1])) do redis.call('HDEL',KEYS[1],v) end return 1",
    "return {true, {false}, {nil}}",
    "return math.huge > 1",
    "return _VERSION",
    "redis.call('PEXPIREAT',KEYS[1],4000000000000) return redis.call('PEXPIRETIME',KEYS[1])",
    "return redis.call('SET',KEYS[1],'x','PX',0)",
    "return redis.call('SET',KEYS[1],'x','PX',2.5)",
    "return redis.call('PEXPIRE',KEYS[1],0)",
    "return redis.call('HINCRBY',KEYS[1],'n',1)",
];

pub(crate) fn scripts_answer_alike(both: &mut Both) {
    let random = SeededRandom::new(seed());
    let _ = both.real[1].ask(&words("HELLO 3"));
    both.simulated(1, &words("HELLO 3"));
    for round in 0..60 {
        both.reset(0);
        both.ask(0, &words("SCRIPT FLUSH"));
        for step in 0..120 {
            let on = usize::try_from(random.below(2)).expect("small");
            // All scripts once in order, then at random; with commands in between.
            let script = match SCRIPTS.get(step) {
                Some(script) if round == 0 => script,
                _ => pick(&random, SCRIPTS),
            };
            if random.below(3) == 0 && round > 0 {
                both.ask(on, &filled(&random, pick(&random, COMMANDS)));
                continue;
            }
            let mut args = vec![b"EVAL".to_vec(), script.as_bytes().to_vec()];
            if random.below(3) == 0 {
                args = vec![
                    b"EVALSHA".to_vec(),
                    leasehold_testkit::sim::redis::sha1hex(script.as_bytes()),
                ];
            }
            let tail = pick(&random, &["1 K V", "1 K V V", "2 K K V", "1 K 3", "1 K V"]);
            args.extend(filled(&random, tail));
            both.ask(on, &args);
        }
    }
}
