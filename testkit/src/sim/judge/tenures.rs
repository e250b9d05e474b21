//! What the server's keys say: who owned which lock from when to when, and by whose request (O2, O3,
//! O7).

use std::sync::Arc;

use leasehold::Leases;
use leasehold::store::Kind;

use super::bench::{Judge, State};
use super::keys::{self, Keys, Owned, Owners};
use super::ops::{Ask, Handle, Op};
use crate::sim::mix::{Family, How};
use crate::sim::net::{Meant, Step};
use crate::sim::redis::Engine;

/// How long a tombstone refuses its token, in ms.
const TOMBSTONE_MS: i64 = 10_000;
/// How long the token of a tenure that ran out is refused, in ms.
const ENDED_MS: i64 = 60_000;

/// A request that changed something.
pub(crate) struct Cause<'a> {
    pub(crate) step: Step,
    pub(crate) meant: &'a Meant,
    /// The server answered with an error.
    pub(crate) refused: bool,
}

/// One lock as the server has it.
#[derive(Default)]
pub(super) struct LockLog {
    pub(super) owners: Owners,
    /// Since when it is free, and since when it has these owners.
    pub(super) free_since: u64,
    pub(super) changed: u64,
    /// How the last was held that ended; none where nobody held it yet, or where the server lost it.
    pub(super) last: Option<How>,
    /// What a rollback brought back may have been held otherwise before than was seen last.
    pub(super) unsure: bool,
    /// When one that excludes readers last waited for it.
    pub(super) barred: u64,
    /// When the server last brought back what was over.
    pub(super) revived: u64,
    pub(super) keys: Option<Keys>,
    tenures: Vec<Tenure>,
}

struct Tenure {
    token: Vec<u8>,
    how: How,
    fence: Option<u64>,
    began: u64,
    /// When its end was seen, by the server's clock in ms.
    ended: Option<i64>,
    epoch: u32,
    /// The server forgot it: it may come again.
    forgiven: bool,
}

impl LockLog {
    pub(super) fn forgive(&mut self) {
        self.tenures.iter_mut().for_each(|tenure| tenure.forgiven = true);
    }

    /// Whether `token` ever held it.
    pub(super) fn was_held(&self, token: &[u8]) -> bool {
        self.tenures.iter().any(|tenure| tenure.token == token)
    }

    /// Since when `token` holds it.
    pub(super) fn held_since(&self, token: &[u8]) -> Option<u64> {
        let tenure = self.tenures.iter().rev().find(|tenure| tenure.token == token)?;
        self.owners.contains_key(token).then_some(tenure.began)
    }

    /// Which tenure's fence, if any, `fence` is out of order with as that of tenure `index`, and what it is.
    fn disorder(&self, index: usize, fence: u64) -> Option<(usize, u64)> {
        let Tenure { how, epoch, forgiven, .. } = self.tenures[index];
        self.tenures.iter().enumerate().find_map(|(other, tenure)| {
            let its = tenure.fence.filter(|_| tenure.epoch == epoch && other != index)?;
            let after = other > index;
            let right = match (how, tenure.how) {
                (How::Reads, How::Reads) => true,
                // What the server forgot it can't count from.
                (How::Reads, _) | (_, How::Reads) if forgiven || tenure.forgiven => true,
                (How::Reads, _) => (its > fence) == after,
                (_, How::Reads) => (its >= fence) == after,
                (How::Permits(_), _) => its != fence,
                _ => its != fence && after == (its > fence),
            };
            (!right).then_some((other, its))
        })
    }

    /// Whether more hold it than may.
    fn overfull(&self, family: Family) -> Option<String> {
        let count = |how| self.owners.values().filter(|owned| owned.how == how).count();
        let permits: u32 = self.owners.values().map(|owned| owned.how.permits()).sum();
        let (alone, reads) = (count(How::Alone), count(How::Reads));
        let fits = match family {
            Family::Permits(capacity) => permits <= capacity && alone + reads == 0,
            Family::Reads => (alone == 0 || reads == 0) && alone <= 1 && permits == 0,
            Family::Alone => alone <= 1 && reads == 0 && permits == 0,
        };
        (!fits).then(|| {
            format!("O1: the server has {alone} alone, {reads} that read, {permits} permits out")
        })
    }
}

impl Cause<'_> {
    pub(super) fn names(&self, token: &[u8]) -> bool {
        self.meant.tokens.iter().any(|named| named == token)
    }

    pub(super) fn asks(&self) -> bool {
        matches!(self.step, Step::Acquire | Step::Heartbeat)
    }

    pub(super) fn releases(&self) -> bool {
        matches!(self.step, Step::Release | Step::Bury)
    }
}

impl Judge {
    /// Compares each lock with what it was. When the next owner of each expires, in ms.
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
            if let Some(cause) = &cause {
                state.learn_keys(&self.places, cause.meant);
            }
            let before = cause.as_ref().map_or(0, |cause| state.owned(cause.meant));
            for (lock, place) in self.places.iter().enumerate() {
                let name = &place.name;
                let log = &state.locks[lock];
                let (seen, wrong) =
                    keys::owners(&engine.db, name.as_bytes(), log.keys.as_ref(), now_ms);
                // A clock that is stepped back revives some of several and not others.
                let wrong = wrong.filter(|_| state.stepped_back == 0 && !state.forgot);
                broken.extend(wrong.map(|text| format!("{text} (lock {name})")));
                if let Some(ms) = seen.values().filter_map(|owned| owned.ends).min() {
                    ends.push((lock, ms));
                }
                if seen != log.owners {
                    let old = std::mem::replace(&mut state.locks[lock].owners, seen);
                    let cause = cause.as_ref();
                    let mut found = state.change(lock, &old, now, now_ms, cause);
                    found.extend(state.locks[lock].overfull(place.family));
                    if !state.losing {
                        let quiet = self.quiet(&state, now);
                        found.extend(state.turns(lock, &old, cause, engine, now_ms, quiet));
                    }
                    broken.extend(found.into_iter().map(|text| format!("{text} (lock {name})")));
                }
            }
            if let Some(cause) = &cause {
                let endless = engine.db.live(now_ms).find(|(_, it)| it.expires_ms.is_none());
                if let Some((key, _)) = endless {
                    let (key, step) = (key.escape_ascii(), cause.step.word());
                    broken.push(format!("O8: {step} left {key} without an end"));
                }
                let (all, after) = (cause.meant.tokens.len(), state.owned(cause.meant));
                if cause.meant.together && after > before && after < all {
                    broken.push(format!("O3: {after} of {all} locks were taken, not all or none"));
                }
                state.done(cause, engine, now, now_ms);
            }
            state.losing = false;
        }
        broken.into_iter().for_each(|text| self.accuse(text));
        ends
    }

    /// A proxy sent the request of `meant` again and passes on the first answer. What it grants only now, its
    /// client can't know where it does not wait; one that does asks again (docs/redis.md).
    pub(crate) fn answered_before(&self, meant: &Meant) {
        let (now, mut state) = (self.kernel.now(), self.state());
        let State { locks, tokens, ops, .. } = &mut *state;
        for token in &meant.tokens {
            let Some(op) = tokens.get(token).map(|id| &mut ops[*id]) else { continue };
            let granted = locks[op.ask.lock].held_since(token) == Some(now);
            op.unheard |= granted && (op.grouped() || !op.ask.queues);
        }
    }

    /// The library gave these leases to `ops`, one each.
    pub(crate) fn granted(&self, ops: std::ops::Range<usize>, leases: &Arc<Leases>) {
        self.learn();
        let now = self.kernel.now();
        for (index, op) in ops.clone().enumerate() {
            let (lease, fence) = (&leases[index], leases[index].fence());
            let (broken, machine) = {
                let mut state = self.state();
                let again = state.ops[op].tokens.is_empty();
                state.enter(op, fence);
                let what = match (again, state.ops[op].grouped(), state.ops[op].ask.how) {
                    (true, ..) => "entered again",
                    (_, true, _) => "of several",
                    (.., How::Alone) => "alone",
                    (.., How::Reads) => "to read",
                    (.., How::Permits(_)) => "of permits",
                };
                state.coverage.grant(what);
                let entry = &mut state.ops[op];
                entry.held = true;
                // Of several, those that were free were held while the others were waited for.
                entry.held_since = if entry.grouped() { entry.started } else { now };
                entry.handle = Handle::new(leases, index);
                entry.fence = fence;
                let (machine, lock, how) = (entry.life.machine, entry.ask.lock, entry.ask.how);
                state.bar(lock, how, now);
                (state.number(op, fence, lease.kind()), machine)
            };
            self.note(|| format!("m{machine} op{op} holds, fence {fence}"));
            if let Some(text) = broken {
                self.accuse(text);
            }
            self.look(machine);
        }
        ops.for_each(|op| self.meet(op));
    }

    /// The lease of `op` is held otherwise now.
    pub(crate) fn turned(&self, op: usize, leases: &Arc<Leases>) {
        let (fence, kind) = (leases[0].fence(), leases[0].kind());
        let broken = {
            let mut state = self.state();
            let reads = kind == Kind::Shared;
            state.coverage.grant(if reads { "downgraded" } else { "upgraded" });
            state.ops[op].fence = fence;
            state.number(op, fence, kind)
        };
        self.note(|| format!("op{op} is held as {kind}, fence {fence}"));
        if let Some(text) = broken {
            self.accuse(text);
        }
        self.meet(op);
    }
}

impl State {
    /// Which keys belong to each lock.
    fn learn_keys(&mut self, places: &[crate::sim::mix::Place], meant: &Meant) {
        for keys in &meant.keys {
            // Where there are fewer, the lock was asked for as simply as can be.
            let [name, _, hash, queue] = keys.as_slice() else { continue };
            let of = |place: &crate::sim::mix::Place| place.name.as_bytes() == name;
            if let Some(lock) = places.iter().position(of) {
                let (hash, queue) = (hash.clone(), queue.clone());
                self.locks[lock].keys.get_or_insert(Keys { hash, queue });
            }
        }
    }

    /// An attempt that made no token was let in to a tenure of its owner's.
    fn enter(&mut self, op: usize, fence: u64) {
        let Op { life, ask: Ask { lock, how, .. }, .. } = self.ops[op];
        let outer = self.ops[..op].iter().rev().find(|it| {
            // Readers of the phase that a downgrade began have the same number.
            it.life == life
                && it.ask.lock == lock
                && it.ask.how == how
                && it.fence == fence
                && it.token().is_some()
        });
        if let Some(outer) = outer.filter(|_| self.ops[op].tokens.is_empty()) {
            let (tokens, ask, term) = (outer.tokens.clone(), outer.ask, outer.term);
            // One that was over before a loss was not excused, the others of the tenure are.
            let same = |it: &&Op| it.token() == outer.token();
            let excused = self.ops[..op].iter().filter(same).any(|it| it.excused);
            let entry = &mut self.ops[op];
            (entry.tokens, entry.ask.ttl, entry.term) = (tokens, ask.ttl, term);
            entry.excused = excused;
            entry.ask.kept &= ask.kept;
        }
    }

    /// How many of the tokens of a request own a lock.
    fn owned(&self, meant: &Meant) -> usize {
        let owns = |token: &&Vec<u8>| self.locks.iter().any(|log| log.owners.contains_key(*token));
        if meant.together { meant.tokens.iter().filter(owns).count() } else { 0 }
    }

    /// The lock's owners, or when they expire, are others than they were.
    fn change(
        &mut self,
        lock: usize,
        old: &Owners,
        now: u64,
        now_ms: i64,
        cause: Option<&Cause<'_>>,
    ) -> Vec<String> {
        let seen = self.locks[lock].owners.clone();
        let by = cause.map_or("time", |cause| cause.step.word());
        let mut broken = Vec::new();
        for (token, was) in old {
            let named = cause.is_some_and(|cause| cause.names(token));
            let Some(is) = seen.get(token) else {
                broken.extend(self.ended(lock, token, was, now_ms, cause));
                self.locks[lock].free_since = now;
                continue;
            };
            if is.how != was.how {
                let asked = named && cause.is_some_and(Cause::asks);
                let permits = was.how.permits() + is.how.permits() > 0;
                if !self.losing && (permits || !asked) {
                    broken.push(format!("O7: {by} made {:?} of {:?}", is.how, was.how));
                }
                self.begin_tenure(lock, token, is.how, now);
            } else if is.fence != was.fence && !self.losing {
                broken.push(format!("O2: {by} made fence {:?} of {:?}", is.fence, was.fence));
            }
            if self.losing || is.ends == was.ends {
                continue;
            }
            if !named {
                broken.push(format!("O7: a foreign request ({by}) changed an expiry"));
            }
            if is.ends < was.ends {
                let (was, is) = (was.ends, is.ends);
                broken.push(format!("O7: {by} shortened a tenure from {was:?} to {is:?} ms"));
            }
        }
        for (token, is) in seen.iter().filter(|(token, _)| !old.contains_key(*token)) {
            if self.losing {
                self.locks[lock].revived = now;
            }
            broken.extend(self.start(lock, token, is.how, now_ms, cause.is_some()));
            self.begin_tenure(lock, token, is.how, now);
        }
        if !old.keys().eq(seen.keys()) {
            self.locks[lock].changed = now;
        }
        broken
    }

    /// A tenure is over.
    fn ended(
        &mut self,
        lock: usize,
        token: &[u8],
        was: &Owned,
        now_ms: i64,
        cause: Option<&Cause<'_>>,
    ) -> Option<String> {
        let by = cause.map_or("time", |cause| cause.step.word());
        let over = was.ends.is_some_and(|at| now_ms > at);
        let evicted = cause.is_some_and(|cause| cause.step == Step::Evict);
        let released = cause.is_some_and(|cause| cause.names(token) && cause.releases());
        if !self.losing {
            (self.locks[lock].last, self.locks[lock].unsure) = (Some(was.how), false);
        }
        let mut own = self.locks[lock].tenures.iter_mut().rev();
        if let Some(tenure) = own.find(|tenure| tenure.token == token) {
            tenure.ended = Some(now_ms);
        }
        let op = self.tokens.get(token).copied();
        if evicted {
            let hit = |op: &&mut Op| op.token().is_some_and(|own| own == token);
            self.ops.iter_mut().filter(hit).for_each(|op| op.excused = true);
        }
        if !over && !evicted && !released && !self.losing {
            return Some(format!("O7: {by} ended a tenure that is another's"));
        }
        let op = op.map(|id| (id, &self.ops[id]))?;
        let kept = |op: &Op| {
            op.held && op.lost.is_none() && op.ended.is_none() && !op.leaked && !op.excused
        };
        let (id, entry) = op;
        (released && !over && entry.token().is_some_and(|own| own == token) && kept(entry)).then(
            || format!("O7: {by} ended the tenure of op{id}, whose user has not given it back"),
        )
    }

    /// A tenure begins.
    fn start(
        &mut self,
        lock: usize,
        token: &[u8],
        how: How,
        now_ms: i64,
        caused: bool,
    ) -> Option<String> {
        let mut broken = None;
        if !self.losing {
            // A waiter that was paused for longer than its token is refused may ask once more, if it was
            // never told that it had the lock.
            let refused = |it: &Tenure| {
                it.fence.is_some() || it.ended.is_none_or(|at| now_ms < at + ENDED_MS)
            };
            let mut own = self.locks[lock].tenures.iter().filter(|it| it.token == token);
            let again = own.any(|it| !it.forgiven && refused(it));
            let late = self.buried.get(token).is_some_and(|at| now_ms < at + TOMBSTONE_MS);
            broken = match self.tokens.get(token) {
                None => {
                    Some(format!("O3: {} owns it, which no attempt made", token.escape_ascii()))
                }
                Some(op) if again => Some(format!("O3: op{op} owns it a second time")),
                Some(op) if late => Some(format!("O3: op{op} owns it though it was buried")),
                Some(op) if !caused => Some(format!("O3: op{op} owns it out of nothing")),
                Some(op) if self.ops[*op].ask.lock != lock => {
                    Some(format!("O3: op{op} owns it, which asked for another"))
                }
                Some(op) if self.ops[*op].ask.how != how => {
                    Some(format!("O3: op{op} owns it as {how:?}"))
                }
                Some(_) => None,
            };
            // Who read together know the same writers.
            let owners = &self.locks[lock].owners;
            let epochs = || owners.values().filter(|owned| owned.how == How::Reads);
            if how == How::Reads
                && epochs().any(|it| Some(it.fence) != epochs().next().map(|it| it.fence))
            {
                broken = broken
                    .or_else(|| Some("O2: readers of one phase differ in their epoch".into()));
            }
        }
        broken
    }

    fn begin_tenure(&mut self, lock: usize, token: &[u8], how: How, began: u64) {
        let (epoch, forgiven) = (self.epoch, self.losing);
        let same = |tenure: &&mut Tenure| tenure.token == token && tenure.how == how;
        let known = self.locks[lock].tenures.iter_mut().rev().find(same);
        if let Some(tenure) = known.filter(|_| forgiven) {
            // What a rollback brings back is the tenure that it was, in its place among the others.
            (tenure.began, tenure.ended) = (began, None);
            return;
        }
        let (token, fence, ended) = (token.to_vec(), None, None);
        let tenure = Tenure { token, how, fence, began, ended, epoch, forgiven };
        self.locks[lock].tenures.push(tenure);
    }

    /// A request was executed.
    fn done(&mut self, cause: &Cause<'_>, engine: &Engine, now: u64, now_ms: i64) {
        if cause.refused {
            return;
        }
        if matches!(cause.step, Step::Acquire | Step::Heartbeat | Step::Renew) {
            for token in &cause.meant.tokens {
                self.asked.insert(token.clone());
                self.executed.insert(token.clone(), now);
            }
        }
        if cause.asks() {
            for token in &cause.meant.tokens {
                let Some(op) = self.tokens.get(token) else { continue };
                let Some(keys) = &self.locks[self.ops[*op].ask.lock].keys else { continue };
                if let Some(place) = keys::place(&engine.db, keys, token, now_ms) {
                    self.queue.insert(token.clone(), place);
                }
            }
        }
        for token in &cause.meant.buried {
            self.buried.insert(token.clone(), now_ms);
        }
    }

    /// The fence of the tenure that `op` was given: in order with all others of its lock. A reader's
    /// lies between the writers before it and those after.
    fn number(&mut self, op: usize, fence: u64, kind: Kind) -> Option<String> {
        let entry = &self.ops[op];
        let (lock, excused) = (entry.ask.lock, entry.excused);
        let Some(token) = entry.token().cloned() else {
            return Some(format!(
                "O1: op{op} was given a lease of a tenure that its owner has not"
            ));
        };
        let log = &mut self.locks[lock];
        let how = match kind {
            Kind::Shared => How::Reads,
            Kind::Permits { count, .. } => How::Permits(count),
            _ => How::Alone,
        };
        let of = |tenure: &Tenure| tenure.token == token && tenure.how == how;
        // A lease of a tenure that the server forgot is let in to that one, whatever its token was granted
        // since. So is one that is told only now: of several, where another was waited for meanwhile.
        let told = |tenure: &Tenure| of(tenure) && tenure.forgiven && tenure.fence == Some(fence);
        let untold = |index: &usize| {
            let tenure = &log.tenures[*index];
            let forgot = of(tenure) && tenure.forgiven && tenure.fence.is_none();
            forgot && log.disorder(*index, fence).is_none()
        };
        let last = log.tenures.iter().rposition(of);
        let known = log.tenures.iter().rposition(told);
        let known = known.or_else(|| last.filter(|last| log.disorder(*last, fence).is_none()));
        let known = known.or_else(|| (0..log.tenures.len()).rev().find(untold));
        let Some(index) = known.or(last) else {
            return (!excused)
                .then(|| format!("O1: op{op} was given a lease that the server never granted"));
        };
        if let Some(Owned { how: at, fence: Some(told), .. }) = log.owners.get(&token)
            && *at == how
            && *told != fence
            && !excused
        {
            return Some(format!("O2: op{op} is told fence {fence}, the server has {told}"));
        }
        log.tenures[index].fence = Some(fence);
        if let Some((other, its)) = log.disorder(index, fence) {
            return Some(format!(
                "O2: the fence {fence} of op{op} (tenure {index}) is out of order with {its} (tenure {other})"
            ));
        }
        (fence > 9_007_199_254_740_991 || fence == 0).then(|| format!("O2: the fence is {fence}"))
    }
}
