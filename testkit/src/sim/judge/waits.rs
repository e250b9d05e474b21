//! What must happen in time: locks of the gone are free again (O4), waiters are granted what is free
//! and calls return (O5).

use super::bench::Judge;
use super::ops::{Ending, Op};

const SECOND: u64 = 1_000_000_000;
/// A fault's late effects: a request under way, a timeout, a pause before the next attempt.
const AFTER: u64 = 10 * SECOND;
/// How long a request may be unanswered.
const REQUEST: u64 = 5 * SECOND;
/// A clean-up is tried again until then after a fault's end: a request that went into the void is
/// given up after its timeout, and the next attempt has a pause before it.
const CLEAN: u64 = 9 * SECOND;
/// A waiter looks again each second.
const BEAT: u64 = SECOND * 3 / 2;

impl Judge {
    /// Looks at what should have happened by now.
    pub(crate) fn tick(&self) {
        self.learn();
        let now = self.kernel.now();
        let broken = self.orphan(now).or_else(|| self.stalled(now)).or_else(|| self.stuck(now));
        if let Some(text) = broken {
            self.accuse(text);
        }
    }

    /// O4: a lock that is owned by an attempt that is over.
    fn orphan(&self, now: u64) -> Option<String> {
        let state = self.state();
        for (lock, log) in state.locks.iter().enumerate() {
            let Some((token, expires)) = &log.owner else { continue };
            let name = &self.names[lock];
            let Some(id) = state.tokens.get(token).copied() else { continue };
            let op = &state.ops[id];
            if expires.is_none() {
                return Some(format!("O4: op{id} owns {name} without an end"));
            }
            // Given up for another token, or over.
            let newer = op
                .tokens
                .iter()
                .position(|(own, _)| own == token)
                .and_then(|index| op.tokens.get(index + 1).map(|(_, at)| (*at, Ending::Tidy)));
            let lost = op.lost.map(|(at, _)| (at, Ending::Lost));
            let Some((since, ending)) = newer.or(lost).or(op.ended) else { continue };
            let disturbed = state.disturbed[op.life.machine];
            let grace = (op.ask.ttl / 10).max(SECOND / 2);
            let ttl = op.ask.ttl.max(2 * SECOND) + grace;
            let revived = log.revived > since;
            let since = since.max(log.revived);
            if now > since.max(disturbed) + ttl + AFTER + 2 * SECOND + state.stepped_back {
                return Some(format!("O4: op{id} is over ({ending:?}) but still owns {name}"));
            }
            let here = self.kernel.lives(op.life) && state.paused[op.life.machine] <= now;
            if ending != Ending::Tidy || !here || revived {
                continue;
            }
            let quiet = disturbed + AFTER < since;
            let bound = if quiet { SECOND / 3 + 20 * self.latency } else { CLEAN };
            // By its own clock the server had ended it, and nobody need try any more.
            if now > since.max(disturbed) + bound + state.stepped_back {
                return Some(format!(
                    "O4: op{id} is over and nothing is wrong, but it owns {name} for {} ms since",
                    (now - since.max(disturbed)) / 1_000_000
                ));
            }
        }
        None
    }

    /// O5: a lock that is free while someone waits for it.
    fn stalled(&self, now: u64) -> Option<String> {
        let state = self.state();
        for (lock, log) in state.locks.iter().enumerate() {
            if log.owner.is_some() {
                continue;
            }
            for (id, op) in state.running() {
                if op.ask.lock != lock || !op.waiting() || !op.ask.queues {
                    continue;
                }
                let disturbed = state.disturbed[op.life.machine].max(state.paused[op.life.machine]);
                let since = op.started.max(log.free_since).max(disturbed);
                let quiet = disturbed + AFTER < now;
                let bound = if quiet { BEAT + 20 * self.latency } else { CLEAN };
                if now > since + bound {
                    return Some(format!(
                        "O5: {} is free for {} ms while op{id} waits for it",
                        self.names[lock],
                        (now - since) / 1_000_000
                    ));
                }
            }
        }
        None
    }

    /// O5: a call that does not return in its time.
    fn stuck(&self, now: u64) -> Option<String> {
        let state = self.state();
        let late = |op: &Op| {
            let wait = op.ask.wait.filter(|_| op.waiting())?;
            let local = self.kernel.boot(op.life.machine).as_nanos();
            let paused = state.paused[op.life.machine];
            let due = op.started_local + wait + 100_000_000;
            (local > due && now > paused + 100_000_000).then(|| local - due)
        };
        state.running().find_map(|(id, op)| {
            let late = late(op)?;
            Some(format!("O5: op{id} returns {} ms after its limit or never", late / 1_000_000))
        })
    }

    /// How long an attempt may take that does not wait, in ns.
    pub(crate) fn no_wait() -> u64 {
        REQUEST
    }

    /// The lease of `op` may last for this long from a request on.
    pub(crate) fn longer(&self, op: usize, ttl: u64) {
        let mut state = self.state();
        let ask = &mut state.ops[op].ask;
        ask.ttl = ask.ttl.max(ttl);
    }

    /// O5: an attempt that says "timed out" before its time. By the machine's clock.
    pub(crate) fn timed_out(&self, op: usize) {
        let state = self.state();
        let entry = &state.ops[op];
        let local = self.kernel.boot(entry.life.machine).as_nanos();
        let early = entry.ask.wait.filter(|_| entry.ask.queues);
        let early = early.is_some_and(|wait| local + 1_000_000 < entry.started_local + wait);
        drop(state);
        if early {
            self.accuse(format!("O5: op{op} timed out before its time"));
        }
    }
}
