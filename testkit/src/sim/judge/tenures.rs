//! What the server's keys say: who owned which lock from when to when, and by whose request (O2, O3,
//! O7).

use std::sync::Arc;

use leasehold::Lease;

use super::bench::{Judge, State};
use crate::sim::kernel::Life;
use crate::sim::net::Step;
use crate::sim::redis::{Engine, Value};

/// How long a tombstone refuses its token, in ms.
const TOMBSTONE_MS: i64 = 10_000;

/// A request that changed something.
pub(crate) struct Cause<'a> {
    pub(crate) life: Life,
    pub(crate) step: Step,
    pub(crate) tokens: &'a [Vec<u8>],
    pub(crate) buried: &'a [Vec<u8>],
    /// The server answered with an error.
    pub(crate) refused: bool,
}

/// One lock as the server has it.
#[derive(Default)]
pub(super) struct LockLog {
    /// Token, and when it expires in ms of the server's clock.
    pub(super) owner: Option<(Vec<u8>, Option<i64>)>,
    pub(super) free_since: u64,
    /// When the server last brought back what was over.
    pub(super) revived: u64,
    tenures: Vec<Tenure>,
}

struct Tenure {
    token: Vec<u8>,
    fence: Option<u64>,
    epoch: u32,
    ended: bool,
    /// The server forgot it: it may come again.
    forgiven: bool,
}

impl LockLog {
    pub(super) fn forgive(&mut self) {
        self.tenures.iter_mut().for_each(|tenure| tenure.forgiven = true);
    }
}

impl Judge {
    /// Compares each lock with what it was. When each that is owned expires, in ms.
    pub(crate) fn observe(
        &self,
        engine: &Engine,
        now_ms: i64,
        cause: Option<Cause<'_>>,
    ) -> Vec<(usize, i64)> {
        self.learn();
        let now = self.kernel.now();
        let mut ends = Vec::new();
        let mut broken = Vec::new();
        {
            let mut state = self.state();
            for lock in 0..self.names.len() {
                let seen = engine.db.peek(self.names[lock].as_bytes(), now_ms);
                let seen = seen.map(|entry| match &entry.value {
                    Value::String(token) => (token.clone(), entry.expires_ms),
                    other => (other.type_name().into(), entry.expires_ms),
                });
                if let Some((_, Some(ms))) = &seen {
                    ends.push((lock, *ms));
                }
                if seen != state.locks[lock].owner {
                    let name = &self.names[lock];
                    let changed = state.change(lock, seen, now, now_ms, cause.as_ref());
                    broken.extend(changed.into_iter().map(|text| format!("{text} (lock {name})")));
                }
            }
            if let Some(cause) = &cause {
                let endless = engine.db.live(now_ms).find(|(_, it)| it.expires_ms.is_none());
                if let Some((key, _)) = endless {
                    let (key, step) = (key.escape_ascii(), cause.step.word());
                    broken.push(format!("O8: {step} left {key} without an end"));
                }
                state.done(cause, now, now_ms);
            }
            state.losing = false;
        }
        broken.into_iter().for_each(|text| self.accuse(text));
        ends
    }

    /// The library gave a lease to `op`.
    pub(crate) fn granted(&self, op: usize, lease: &Arc<Lease>) {
        self.learn();
        let (now, fence) = (self.kernel.now(), lease.fence());
        let broken = {
            let mut state = self.state();
            let entry = &mut state.ops[op];
            entry.held = true;
            entry.held_since = now;
            entry.lease = Arc::downgrade(lease);
            state.number(op, fence)
        };
        let machine = self.state().ops[op].life.machine;
        self.note(|| format!("m{machine} op{op} holds, fence {fence}"));
        if let Some(text) = broken {
            self.accuse(text);
        }
        self.look(machine);
    }
}

impl State {
    /// The lock's owner or its expiry is another than it was.
    fn change(
        &mut self,
        lock: usize,
        seen: Option<(Vec<u8>, Option<i64>)>,
        now: u64,
        now_ms: i64,
        cause: Option<&Cause<'_>>,
    ) -> Vec<String> {
        let old = std::mem::replace(&mut self.locks[lock].owner, seen.clone());
        let named = |token: &Vec<u8>| cause.is_some_and(|cause| cause.tokens.contains(token));
        let by = cause.map_or("time", |cause| cause.step.word());
        let mut broken = Vec::new();
        if let (Some((before, was)), Some((after, is))) = (&old, &seen)
            && before == after
        {
            if self.losing {
                return broken;
            }
            if !named(before) {
                broken.push(format!("O7: a foreign request ({by}) changed an expiry"));
            }
            if is < was {
                broken.push(format!("O7: {by} shortened a tenure from {was:?} to {is:?} ms"));
            }
            return broken;
        }
        if let Some((token, expires)) = &old {
            let over = expires.is_some_and(|at| now_ms > at);
            let evicted = cause.is_some_and(|cause| cause.step == Step::Evict);
            let released = named(token)
                && cause.is_some_and(|cause| matches!(cause.step, Step::Release | Step::Bury));
            if !over && !evicted && !released && !self.losing {
                broken.push(format!("O7: {by} ended a tenure that is another's"));
            }
            if evicted && let Some(op) = self.tokens.get(token) {
                self.ops[*op].excused = true;
            }
            if let Some(tenure) = self.locks[lock].tenures.last_mut() {
                tenure.ended = true;
            }
            self.locks[lock].free_since = now;
        }
        if let Some((token, _)) = seen {
            if self.losing {
                self.locks[lock].revived = now;
            }
            broken.extend(self.start(lock, token, now_ms, cause.is_some()));
        }
        broken
    }

    /// A tenure begins.
    fn start(&mut self, lock: usize, token: Vec<u8>, now_ms: i64, caused: bool) -> Option<String> {
        let mut broken = None;
        if !self.losing {
            let again = self.locks[lock].tenures.iter().any(|it| it.token == token && !it.forgiven);
            let late = self.buried.get(&token).is_some_and(|at| now_ms < at + TOMBSTONE_MS);
            broken = match self.tokens.get(&token) {
                None => {
                    Some(format!("O3: {} owns it, which no attempt made", token.escape_ascii()))
                }
                Some(op) if again => Some(format!("O3: op{op} owns it a second time")),
                Some(op) if late => Some(format!("O3: op{op} owns it though it was buried")),
                Some(op) if !caused => Some(format!("O3: op{op} owns it out of nothing")),
                Some(_) => None,
            };
        }
        let (epoch, forgiven) = (self.epoch, self.losing);
        let tenure = Tenure { token, fence: None, epoch, ended: false, forgiven };
        self.locks[lock].tenures.push(tenure);
        broken
    }

    /// A request was executed.
    fn done(&mut self, cause: &Cause<'_>, now: u64, now_ms: i64) {
        if cause.refused {
            return;
        }
        if matches!(cause.step, Step::Acquire | Step::Heartbeat | Step::Renew) {
            for token in cause.tokens {
                self.asked.insert(token.clone());
                self.executed.insert(token.clone(), now);
            }
        }
        for token in cause.buried {
            self.buried.insert(token.clone(), now_ms);
        }
        let _ = cause.life;
    }

    /// The fence of the tenure that `op` was given: in order with all others of its lock.
    fn number(&mut self, op: usize, fence: u64) -> Option<String> {
        let entry = &self.ops[op];
        let (lock, token) = (entry.ask.lock, entry.token()?.clone());
        let excused = entry.excused;
        let tenures = &mut self.locks[lock].tenures;
        let Some(index) = tenures.iter().rposition(|tenure| tenure.token == token) else {
            return (!excused)
                .then(|| format!("O1: op{op} was given a lease that the server never granted"));
        };
        tenures[index].fence = Some(fence);
        let epoch = tenures[index].epoch;
        for (other, tenure) in tenures.iter().enumerate() {
            let Some(its) = tenure.fence.filter(|_| tenure.epoch == epoch && other != index) else {
                continue;
            };
            if (other < index) != (its < fence) || its == fence {
                return Some(format!(
                    "O2: the fence {fence} of op{op} (tenure {index}) is out of order with {its} (tenure {other})"
                ));
            }
        }
        (fence > 9_007_199_254_740_991 || fence == 0).then(|| format!("O2: the fence is {fence}"))
    }
}
