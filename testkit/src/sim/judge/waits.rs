//! What must happen in time: locks of the gone are free again (O4), waiters are granted what is free
//! and calls return (O5).

use super::bench::{Judge, State};
use super::ops::{Ending, Op};
use super::tenures::LockLog;

const SECOND: u64 = 1_000_000_000;
/// A fault's late effects: a request under way, a timeout, a pause before the next attempt.
pub(super) const AFTER: u64 = 10 * SECOND;
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
        let broken = self
            .orphan(now)
            .or_else(|| self.stalled(now))
            .or_else(|| self.tangled(now))
            .or_else(|| self.stuck(now));
        if let Some(text) = broken {
            self.accuse(text);
        }
    }

    /// O4: a lock that is owned by an attempt that is over.
    fn orphan(&self, now: u64) -> Option<String> {
        let state = self.state();
        let owners = |lock: &LockLog| -> Vec<_> {
            lock.owners.iter().map(|(token, owned)| (token.clone(), owned.ends)).collect()
        };
        let all = state.locks.iter().enumerate();
        all.flat_map(|(lock, log)| owners(log).into_iter().map(move |owner| (lock, owner)))
            .find_map(|(lock, (token, ends))| self.orphan_of(&state, now, lock, &token, ends))
    }

    fn orphan_of(
        &self,
        state: &State,
        now: u64,
        lock: usize,
        token: &[u8],
        ends: Option<i64>,
    ) -> Option<String> {
        let (log, name) = (&state.locks[lock], &self.places[lock].name);
        let id = state.tokens.get(token).copied()?;
        let op = &state.ops[id];
        if ends.is_none() {
            return Some(format!("O4: op{id} owns {name} without an end"));
        }
        let (since, ending) = op.given_up(token)?;
        let disturbed = state.disturbed[op.life.machine];
        let grace = (op.ask.ttl / 10).max(SECOND / 2);
        let ttl = op.ask.ttl.max(2 * SECOND) + grace;
        let revived = log.revived > since;
        let since = since.max(log.revived);
        if now > since.max(disturbed) + ttl + AFTER + 2 * SECOND + state.stepped_back {
            return Some(format!("O4: op{id} is over ({ending:?}) but still owns {name}"));
        }
        let here = self.kernel.lives(op.life) && state.paused[op.life.machine] <= now;
        // Of several that were not had together one may have been lost before, where a ttl is short: its
        // user was never told of it, and the store's expiry cleans up.
        let unseen = op.grouped() && op.fence == 0 && op.ask.ttl <= 40 * self.latency;
        if ending != Ending::Tidy || !here || revived || unseen || op.unheard {
            return None;
        }
        let quiet = disturbed + AFTER < since;
        let bound = if quiet { SECOND / 3 + 20 * self.latency } else { CLEAN };
        // By its own clock the server had ended it, and nobody need try any more.
        (now > since.max(disturbed) + bound + state.stepped_back).then(|| {
            format!(
                "O4: op{id} is over and nothing is wrong, but it owns {name} for {} ms since",
                (now - since.max(disturbed)) / 1_000_000
            )
        })
    }

    /// O5: one that waits though its turn has come.
    fn stalled(&self, now: u64) -> Option<String> {
        let mut state = self.state();
        let waits = |(_, op): &(usize, &Op)| op.waiting();
        let waiting: Vec<_> =
            state.running().filter(waits).map(|(_, op)| (op.ask.lock, op.ask.how)).collect();
        waiting.into_iter().for_each(|(lock, how)| state.bar(lock, how, now));
        for (id, op) in state.running().filter(|(_, op)| op.waiting() && op.ask.queues) {
            let Some((since, why)) = self.due(&state, id, op) else { continue };
            let disturbed = state.disturbed[op.life.machine].max(state.paused[op.life.machine]);
            let since = op.started.max(since).max(disturbed);
            let quiet = disturbed + AFTER < now;
            let bound = if quiet { BEAT + 20 * self.latency } else { CLEAN };
            if now > since + bound {
                return Some(format!(
                    "O5: op{id} waits for {} for {} ms though {why}",
                    self.places[op.ask.lock].name,
                    (now - since) / 1_000_000
                ));
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
            // What was taken of several is given back first, after a pause that the limit fell into, too.
            let back = if op.grouped() { SECOND } else { 0 };
            let due = op.started_local + wait + back + 100_000_000;
            (local > due && now > paused + back + 100_000_000).then(|| local - due)
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

    /// The tenure of `op` may last for this long from a request on.
    pub(crate) fn longer(&self, op: usize, ttl: u64) {
        let mut state = self.state();
        let token = state.ops[op].token().cloned();
        let of = |op: &&mut Op| op.token() == token.as_ref();
        for op in state.ops.iter_mut().filter(of) {
            op.ask.ttl = op.ask.ttl.max(ttl);
        }
    }

    /// O5: an attempt ends for a deadlock, though no user holds one lock while it waits for another by
    /// itself. What an earlier attempt was granted after it was given up counts as its owner's until it
    /// is buried, and so does what a server that rolled back made of one that was over: limits.
    pub(crate) fn deadlocked(&self, op: usize) {
        let state = self.state();
        let own = &state.ops[op];
        let owners = &state.locks[own.ask.lock].owners;
        let stands = state.ops[..op].iter().any(|it| {
            let Some((over, _)) = it.ended else { return false };
            let back = || it.token().is_some_and(|token| owners.contains_key(token));
            it.life == own.life
                && it.ask.lock == own.ask.lock
                && (it.fence == 0 || (over <= state.rolled_back && back()))
        });
        drop(state);
        if !stands {
            self.accuse(format!("O5: op{op} is told of a deadlock where there is none"));
        }
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
