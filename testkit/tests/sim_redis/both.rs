//! The two servers side by side, under one clock: where the simulated one kept its own, every span of
//! time would differ.

use leasehold_testkit::server::RedisServer;
use leasehold_testkit::sim::redis::Server;

use crate::request::words;
use crate::wire::Wire;

/// A real and a simulated server with the same connections.
pub(crate) struct Both {
    pub(crate) real: Vec<Wire>,
    pub(crate) sim: Server,
    ids: Vec<u64>,
    waiting: Vec<Vec<u8>>,
    log: Vec<String>,
}

impl Both {
    pub(crate) fn new(real: &RedisServer) -> Self {
        let mut sim = Server::default();
        let real: Vec<_> = (0..3).map(|_| Wire::to(real)).collect();
        let ids = real.iter().map(|_| sim.connect()).collect();
        let waiting = vec![Vec::new(); real.len()];
        Self { real, sim, ids, waiting, log: Vec::new() }
    }

    /// What both answer to one request, and what they push meanwhile, must be the same.
    pub(crate) fn ask(&mut self, on: usize, args: &[Vec<u8>]) -> Vec<u8> {
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
    pub(crate) fn simulated(&mut self, on: usize, args: &[Vec<u8>]) -> Vec<u8> {
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
    pub(crate) fn pushed(&mut self, to: usize) {
        let simulated = std::mem::take(&mut self.waiting[to]);
        let mut real = Vec::new();
        while real.len() < simulated.len() {
            real.extend(self.real[to].frame());
        }
        assert_eq!(real.escape_ascii().to_string(), simulated.escape_ascii().to_string());
    }

    pub(crate) fn reset(&mut self, on: usize) {
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
