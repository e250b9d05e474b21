//! The simulated Redis against a real one: the same random requests must be answered with the same
//! bytes. What they disagree on is a mistake of the simulator's, which would prove a client against
//! a server that does not exist.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use leasehold_testkit::SeededRandom;
use leasehold_testkit::server::{Flavour, RedisServer, RedisSetup, on_redis};
use leasehold_testkit::sim::redis::Server;
use libtest_mimic::{Arguments, Trial};

fn main() {
    let trials = vec![
        trial("commands_answer_alike", commands_answer_alike),
        trial("scripts_answer_alike", scripts_answer_alike),
        trial("connections_answer_alike", connections_answer_alike),
        trial("keys_end_at_the_same_millisecond", keys_end_at_the_same_millisecond),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial(name: &'static str, test: fn(&mut Both)) -> Trial {
    Trial::ignorable_test(name, move || {
        on_redis(&RedisSetup::new(Flavour::Redis), |real| test(&mut Both::new(real)))
    })
}

struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    fn to(real: &RedisServer) -> Self {
        let stream = TcpStream::connect(real.address()).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        Self { stream, buffer: Vec::new() }
    }

    fn send(&mut self, args: &[Vec<u8>]) {
        let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            bytes.extend(format!("${}\r\n", arg.len()).into_bytes());
            bytes.extend(arg);
            bytes.extend(b"\r\n");
        }
        self.stream.write_all(&bytes).expect("sent");
    }

    /// The bytes of one whole reply or push.
    fn frame(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = frame_end(&self.buffer, 0) {
                return self.buffer.drain(..end).collect();
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).expect("a reply");
            assert!(count > 0, "the real server closed the connection");
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    fn ask(&mut self, args: &[Vec<u8>]) -> Vec<u8> {
        self.send(args);
        self.frame()
    }
}

fn frame_end(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes.get(at..)?.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &bytes[at..at + length];
    let (mut end, number) = (at + length + 2, || -> i64 {
        std::str::from_utf8(&line[1..]).expect("digits").parse().expect("a number")
    });
    match line[0] {
        b'$' => {
            let size = number();
            if size >= 0 {
                end += usize::try_from(size).expect("a size") + 2;
            }
            (bytes.len() >= end).then_some(end)
        }
        mark @ (b'*' | b'%' | b'>' | b'~') => {
            let items = number().max(0) * if mark == b'%' { 2 } else { 1 };
            for _ in 0..items {
                end = frame_end(bytes, end)?;
            }
            Some(end)
        }
        _ => Some(end),
    }
}

/// A real and a simulated server with the same connections.
struct Both {
    real: Vec<Wire>,
    sim: Server,
    ids: Vec<u64>,
    waiting: Vec<Vec<u8>>,
    log: Vec<String>,
}

impl Both {
    fn new(real: &RedisServer) -> Self {
        let mut sim = Server::default();
        let real: Vec<_> = (0..3).map(|_| Wire::to(real)).collect();
        let ids = real.iter().map(|_| sim.connect()).collect();
        let waiting = vec![Vec::new(); real.len()];
        Self { real, sim, ids, waiting, log: Vec::new() }
    }

    /// What both answer to one request, and what they push meanwhile, must be the same.
    fn ask(&mut self, on: usize, args: &[Vec<u8>]) -> Vec<u8> {
        self.log.push(format!("{on}: {}", shown(args)));
        let expected = self.real[on].ask(args);
        let answered = self.simulated(on, args);
        if args[0] == b"PEXPIRETIME" && near(&expected, &answered) {
            return expected;
        }
        assert_eq!(
            expected.escape_ascii().to_string(),
            answered.escape_ascii().to_string(),
            "real on the left, simulated on the right; before that:\n{}",
            self.log[self.log.len().saturating_sub(20)..].join("\n")
        );
        expected
    }

    /// Only the simulated server's answer.
    fn simulated(&mut self, on: usize, args: &[Vec<u8>]) -> Vec<u8> {
        let mut own = Vec::new();
        for (to, bytes) in self.sim.request(self.ids[on], args) {
            if to == self.ids[on] {
                own.extend(bytes);
            } else {
                let index = self.ids.iter().position(|id| *id == to).expect("a connection");
                self.waiting[index].extend(bytes);
            }
        }
        own
    }

    /// What was pushed to a connection on both sides.
    fn pushed(&mut self, to: usize) {
        let simulated = std::mem::take(&mut self.waiting[to]);
        let mut real = Vec::new();
        while real.len() < simulated.len() {
            real.extend(self.real[to].frame());
        }
        assert_eq!(real.escape_ascii().to_string(), simulated.escape_ascii().to_string());
    }

    fn reset(&mut self, on: usize) {
        self.ask(on, &words("FLUSHALL"));
        let clock = self.real[on].ask(&[b"EVAL".to_vec(), CLOCK.into(), b"0".to_vec()]);
        let text = String::from_utf8(clock).expect("text");
        let now_us = text.trim_end().rsplit("\r\n").next().expect("a line").parse();
        self.sim.engine.now_us = now_us.expect("microseconds");
    }
}

const CLOCK: &str =
    "local t = redis.call('TIME') return string.format('%.0f', t[1] * 1000000 + t[2])";

/// Two clocks' readings: the real one goes on.
fn near(one: &[u8], other: &[u8]) -> bool {
    let number = |reply: &[u8]| {
        let text = std::str::from_utf8(reply).ok()?.strip_prefix(':')?.trim_end().to_owned();
        text.parse::<i64>().ok().filter(|number| *number > 1_000_000)
    };
    matches!((number(one), number(other)), (Some(one), Some(other)) if one.abs_diff(other) < 60_000)
}

fn shown(args: &[Vec<u8>]) -> String {
    args.iter().map(|arg| arg.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn pick<'a, T: ?Sized>(random: &SeededRandom, all: &[&'a T]) -> &'a T {
    all[usize::try_from(random.below(all.len() as u64)).expect("small")]
}

fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed} (SEED={seed} repeats it)");
    seed
}

/// By bytes only where all scores are equal: else the answer is not defined.
/// K a key, N a small number, R a span that does not end meanwhile, T a time far ahead, S a score, B a bound of scores, L one of bytes, V a value, F a field.
const COMMANDS: &[&str] = &[
    "GET K",
    "SET K V",
    "SET K V NX",
    "SET K V XX",
    "SET K V GET",
    "SET K V NX GET",
    "SET K V PX R",
    "SET K V EX R KEEPTTL",
    "SET K V KEEPTTL",
    "SET K V PXAT N",
    "SET K V NX XX",
    "SET K V PX",
    "SET K V WHAT",
    "SETNX K V",
    "PSETEX K R V",
    "SETEX K R V",
    "MGET K K K",
    "INCR K",
    "INCRBY K N",
    "STRLEN K",
    "GETDEL K",
    "DEL K",
    "DEL K K",
    "UNLINK K",
    "EXISTS K",
    "EXISTS K K",
    "TYPE K",
    "PEXPIRETIME K",
    "PEXPIREAT K T",
    "PEXPIREAT K T NX",
    "PEXPIREAT K T XX",
    "PEXPIREAT K T GT",
    "PEXPIREAT K T LT",
    "PEXPIREAT K T NX GT",
    "PEXPIREAT K T GT LT",
    "PEXPIREAT K N",
    "PEXPIRE K -N",
    "PEXPIRE K what",
    "PEXPIRE K R WHAT",
    "PEXPIRE K R",
    "SET K V EX R",
    "SET K V PX -N",
    "PERSIST K",
    "SCAN 0 MATCH nothing*",
    "SCAN what",
    "HGET K F",
    "HMGET K F F F",
    "HSET K F V",
    "HSET K F V F V",
    "HSET K F V F",
    "HSETNX K F V",
    "HDEL K F",
    "HDEL K F F",
    "HLEN K",
    "HEXISTS K F",
    "HGETALL K",
    "HKEYS K",
    "HVALS K",
    "HINCRBY K F N",
    "HINCRBY K F V",
    "ZADD K S F",
    "ZADD K S F S F",
    "ZADD K NX S F",
    "ZADD K XX S F",
    "ZADD K GT S F",
    "ZADD K LT CH S F",
    "ZADD K CH S F S F",
    "ZADD K INCR S F",
    "ZADD K NX XX S F",
    "ZADD K GT NX S F",
    "ZADD K V F",
    "ZADD K S F S",
    "ZINCRBY K S F",
    "ZREM K F",
    "ZREM K F F",
    "ZCARD K",
    "ZSCORE K F",
    "ZRANK K F",
    "ZPOPMIN K",
    "ZPOPMIN K N",
    "ZCOUNT K B B",
    "ZRANGE K N -1",
    "ZRANGE K -N N",
    "ZRANGE K 0 -1 REV",
    "ZRANGE K B B BYSCORE",
    "ZRANGE K B B BYSCORE LIMIT N N",
    "ZRANGE K B B BYSCORE REV",
    "ZRANGE z L L BYLEX",
    "ZADD z 0 F",
    "ZADD z 0 V",
    "ZRANGE K 0 -1 WITHSCORES",
    "ZRANGEBYSCORE K B B WITHSCORES",
    "ZRANGE K 0 -1 LIMIT 0 1",
    "ZREVRANGE K 0 N",
    "ZRANGEBYSCORE K B B",
    "ZRANGEBYSCORE K B B LIMIT N N",
    "ZRANGEBYLEX z L L",
    "ZRANGEBYLEX z L L LIMIT N 2",
    "ZLEXCOUNT z L L",
    "ZREMRANGEBYSCORE K B B",
    "ZREMRANGEBYRANK K N N",
    "LPUSH K V",
    "RPUSH K V V",
    "LPOP K",
    "LLEN K",
    "LRANGE K N -1",
    "SADD K F",
    "SREM K F",
    "SCARD K",
    "SISMEMBER K F",
    "PING",
    "PING V",
    "ECHO V",
    "NONSENSE K V",
    "GET",
    "GET K K",
    "ZADD K",
    "SCRIPT EXISTS V",
    "SELECT 0",
    "SELECT 99",
    "EVALSHA V 0",
    "EVAL V V",
    "SUBSCRIBE",
];

fn filled(random: &SeededRandom, template: &str) -> Vec<Vec<u8>> {
    let word = |word: &str| -> Vec<u8> {
        let text = match word {
            "K" => pick(random, &["a", "b", "c"]).to_owned(),
            "F" => pick(random, &["f", "g", "h"]).to_owned(),
            "V" => pick(random, &["x", "7", "two words", "", "12.5", "line\r\nend", "\u{e9}"])
                .to_owned(),
            "N" => random.below(5).to_string(),
            "R" => format!("{}", 900_000 + random.below(3)),
            "-N" => format!("-{}", random.below(4)),
            "T" => format!("{}", 4_000_000_000_000 + random.below(3)),
            "S" => pick(random, &["1", "2", "-3", "0.5", "1e20", "inf", "-inf", "1234567.125"])
                .to_owned(),
            "B" => pick(random, &["-inf", "+inf", "1", "(1", "2", "(0.5", "what"]).to_owned(),
            "L" => pick(random, &["-", "+", "[f", "(f", "[g", "h"]).to_owned(),
            other => other.to_owned(),
        };
        text.into_bytes()
    };
    template.split(' ').map(word).collect()
}

fn commands_answer_alike(both: &mut Both) {
    let random = SeededRandom::new(seed());
    both.ask(1, &words("AUTH"));
    let _ = both.real[1].ask(&words("HELLO 3"));
    both.simulated(1, &words("HELLO 3"));
    for _ in 0..300 {
        both.reset(0);
        for _ in 0..60 {
            let on = usize::try_from(random.below(2)).expect("small");
            let args = filled(&random, pick(&random, COMMANDS));
            both.ask(on, &args);
        }
    }
}

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

fn scripts_answer_alike(both: &mut Both) {
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

fn connections_answer_alike(both: &mut Both) {
    let random = SeededRandom::new(seed());
    for (on, line) in [
        (0, "HELLO 4"),
        (0, "HELLO x"),
        (0, "HELLO 3 WHAT"),
        (2, "CLIENT GETNAME"),
        (2, "CLIENT SETNAME me"),
        (2, "CLIENT GETNAME"),
        (2, "CLIENT NONSENSE"),
        (0, "EXEC"),
        (0, "DISCARD"),
        (0, "MULTI"),
        (0, "MULTI"),
        (0, "SET a 1"),
        (0, "GET a"),
        (0, "EXEC"),
        (0, "MULTI"),
        (0, "GET"),
        (0, "EXEC"),
        (0, "MULTI"),
        (0, "INCR a"),
        (0, "DISCARD"),
        (0, "GET a"),
        (0, "EVAL return 0"),
        (0, "EVAL return 1"),
        (0, "EVAL return -1"),
        (0, "EVAL return x"),
        (0, "SCRIPT NONSENSE"),
        (0, "SCRIPT LOAD"),
    ] {
        both.ask(on, &words(line));
    }
    // One listens in the new protocol, one in the old.
    let _ = both.real[1].ask(&words("HELLO 3 SETNAME ear"));
    both.simulated(1, &words("HELLO 3 SETNAME ear"));
    both.ask(1, &words("CLIENT GETNAME"));
    for line in ["SUBSCRIBE c", "SUBSCRIBE d", "UNSUBSCRIBE c", "UNSUBSCRIBE", "SUBSCRIBE c"] {
        both.ask(1, &words(line));
    }
    both.ask(2, &words("SUBSCRIBE c"));
    both.ask(2, &words("GET a"));
    for _ in 0..200 {
        let line = pick(&random, &["PUBLISH c hello", "PUBLISH d nobody", "PUBLISH c "]);
        both.ask(0, &words(line));
        let script = "return {redis.call('PUBLISH','c',ARGV[1]),redis.call('PUBLISH','c','again')}";
        let args = [b"EVAL".to_vec(), script.into(), b"0".to_vec(), b"first".to_vec()];
        both.ask(0, &args);
        both.pushed(1);
        both.pushed(2);
        if random.below(4) == 0 {
            both.ask(1, &words(pick(&random, &["GET a", "PING", "UNSUBSCRIBE x", "ECHO 1"])));
        }
    }
    // What a script publishes to its own caller: before its reply, in this version.
    let args =
        [b"EVAL".to_vec(), b"redis.call('PUBLISH','c','own') return 7".to_vec(), b"0".to_vec()];
    both.real[1].send(&args);
    let real = [both.real[1].frame(), both.real[1].frame()].concat();
    assert_eq!(
        real.escape_ascii().to_string(),
        both.simulated(1, &args).escape_ascii().to_string()
    );
}

/// A key is there while the clock reads its expiry, and gone a millisecond later.
fn keys_end_at_the_same_millisecond(both: &mut Both) {
    let script = b"local t = redis.call('TIME') return {t[1], t[2], redis.call('EXISTS', KEYS[1])}";
    let load = [b"SCRIPT".to_vec(), b"LOAD".to_vec(), script.to_vec()];
    both.ask(0, &load);
    let sha = leasehold_testkit::sim::redis::sha1hex(script);
    let look = [b"EVALSHA".to_vec(), sha, b"1".to_vec(), b"k".to_vec()];
    let clock_of = |reply: &[u8]| -> i64 {
        let text = String::from_utf8(reply.to_vec()).expect("text");
        let parts: Vec<i64> = text
            .split("\r\n")
            .filter(|part| !part.starts_with(['*', '$']) && !part.is_empty())
            .map(|part| part.trim_start_matches(':').parse().expect("a number"))
            .collect();
        parts[0] * 1_000_000 + parts[1]
    };
    let (mut compared, mut last) = (0, 0);
    for _ in 0..40 {
        let start = both.real[0].ask(&look);
        let expires = clock_of(&start) / 1000 + 4;
        let set = words(&format!("SET k v PXAT {expires}"));
        both.sim.engine.now_us = clock_of(&start);
        both.ask(0, &set);
        loop {
            let reply = both.real[0].ask(&look);
            let now_us = clock_of(&reply);
            // Expiry goes by the clock as it was when the command began: the edge of a
            // millisecond may lie in between.
            if now_us % 1000 > 300 {
                both.sim.engine.now_us = now_us;
                let answered = both.simulated(0, &look);
                assert_eq!(reply.escape_ascii().to_string(), answered.escape_ascii().to_string());
                compared += 1;
                last += i32::from(now_us / 1000 == expires);
            }
            if now_us / 1000 > expires + 1 {
                break;
            }
        }
    }
    println!("{compared} looks, {last} of them in the last millisecond");
    assert!(last > 0, "no look fell into a key's last millisecond");
}
