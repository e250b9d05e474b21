//! The promises as an oracle, written from the contract and not from the code.
//!
//! It keeps for each lock who must hold it, who must be alive in its queue and which attempts are
//! barred, and judges each answer and each view: one holder, or those who may share (O1), fences that grow (O2), one tenure
//! per attempt (O3), nothing kept for nobody (O4), a free lock with a live waiter is handed over at
//! the next request that sees it, to the one who came first (O5), and nobody touches another's
//! tenure (O7). Readers never beside a writer, and by phases; permits never beyond their number, and
//! by arrival. Where the contract leaves a choice it allows either: the place of a waiter that was
//! dead and spoke again, and how long an ended attempt is barred beyond the first minute.

use std::time::Duration;

use leasehold::LostReason;
use leasehold::store::{Answer, Evicted, How, Kind, Released, Renewal, Resized};
use leasehold::sys::{BootTime, Moment};

use super::ledger::{Caller, Lock, Tenure, Verdict};
use super::op::{ATTEMPTS, NAMES};
use super::rules::GRACE;
use super::subject::{Outcome, Seen, who};
use super::{Op, Try};

pub(super) type Judged = Result<(), String>;

/// An ended or evicted attempt is refused at least this long.
pub(super) const BARRED: Duration = Duration::from_secs(60);

/// The oracle of one history.
#[derive(Debug)]
pub struct Promises {
    at: Moment,
    arrivals: u64,
    locks: [Lock; NAMES],
}

macro_rules! demand {
    ($holds:expr, $($broken:tt)+) => {
        if !$holds {
            return Err(format!($($broken)+));
        }
    };
}

pub(super) use demand;

impl Promises {
    /// An oracle that starts at `at`, with nothing held.
    #[must_use]
    pub fn new(at: Moment) -> Self {
        Self { at, arrivals: 0, locks: std::array::from_fn(|_| Lock::default()) }
    }

    /// The last fence granted for `name`.
    #[must_use]
    pub fn fence_of(&self, name: usize) -> Option<u64> {
        Some(self.locks[name].last_fence)
    }

    /// The number of the last change of permits of `name`.
    #[must_use]
    pub fn change_of(&self, name: usize) -> Option<u64> {
        Some(self.locks[name].changed.as_ref().map_or(0, |changed| changed.version))
    }

    /// Judges one step: what it was answered, and what can be seen after it.
    ///
    /// # Errors
    /// The broken promise.
    pub fn judge(&mut self, op: &Op, outcome: &Outcome, seen: &[Seen], at: Moment) -> Judged {
        demand!(!matches!(outcome, Outcome::Refused(_)), "nothing here may be refused");
        self.at = at;
        for lock in &mut self.locks {
            lock.expire(at.now);
        }
        match (op, outcome) {
            (Op::Ask(tries, How::EachAlone), Outcome::Answers(answers)) => {
                demand!(tries.len() == answers.len(), "one answer for each ask");
                for (one, answer) in tries.iter().zip(answers) {
                    self.ask(one, answer, seen)?;
                }
            }
            (Op::Ask(tries, How::Held), Outcome::Answers(answers)) => {
                demand!(tries.len() == answers.len(), "one answer for each ask");
                for (one, answer) in tries.iter().zip(answers) {
                    self.change(one, answer, seen)?;
                }
            }
            (Op::Ask(tries, How::AllOrNothing), Outcome::Answers(answers)) => {
                self.together(tries, answers, seen)?;
            }
            (Op::Renew { name, attempt, kind, ttl }, Outcome::Renewal(answer)) => {
                self.renew(*name, (*attempt, *kind), *ttl, answer)?;
                self.maybe_hand_over(*name, seen)?;
            }
            (Op::Release { name, attempt, tomb }, Outcome::Released(answer)) => {
                self.release(*name, *attempt, *tomb, *answer, seen)?;
            }
            (Op::Evict { name, fence }, Outcome::Evicted(answer)) => {
                self.evict(*name, *fence, answer, seen)?;
            }
            (Op::Resize { name, from, to, fresh }, Outcome::Resized(answer)) => {
                self.resize(*name, (*from, *to), *fresh, *answer, seen)?;
            }
            (Op::Advance(_) | Op::StepWall(_), Outcome::Passed) => {}
            _ => return Err("an answer to another question".to_owned()),
        }
        for (name, seen) in seen.iter().enumerate() {
            let lock = &self.locks[name];
            lock.agrees(seen, at.now).map_err(|broken| format!("lock {name}: {broken}"))?;
        }
        Ok(())
    }

    /// An ask for no more than the attempt holds.
    fn change(&mut self, one: &Try, answer: &Answer, seen: &[Seen]) -> Judged {
        let (at, lock) = (self.at, &mut self.locks[one.name]);
        if lock.tenure(one.attempt).is_some() {
            return self.ask(one, answer, seen);
        }
        demand!(*answer == Answer::Cancelled, "attempt {} holds nothing: {answer:?}", one.attempt);
        lock.settle(None, &seen[one.name], &at).map(drop)
    }

    fn ask(&mut self, one: &Try, answer: &Answer, seen: &[Seen]) -> Judged {
        let (at, attempt, seen) = (self.at, one.attempt, &seen[one.name]);
        let lock = &mut self.locks[one.name];
        let (kind, refused) = lock.meant(one.kind);
        let one = &Try { kind, ..one.clone() };
        if *answer == Answer::Cancelled {
            demand!(lock.bars[attempt].may(at.now), "attempt {attempt} was cancelled by nobody");
            return lock.settle(None, seen, &at).map(drop);
        }
        demand!(!lock.bars[attempt].must(at.now), "attempt {attempt} is barred, yet was answered");
        if let Some(own) = lock.tenure(attempt).cloned() {
            if own.kind != Kind::Exclusive {
                lock.settle(None, seen, &at)?;
            }
            return again(lock, &own, one, answer, seen, &at);
        }
        if let Some(waits) = lock.waits(attempt).filter(|kind| *kind != one.kind) {
            let misfit = matches!(answer, Answer::Misfit { .. });
            let odd = lock.holders.iter().any(|tenure| !tenure.kind.fits(one.kind));
            let left = !odd || !seen.queue.iter().any(|(other, _)| *other == attempt);
            if *answer == (Answer::Misfit { used: waits }) && left {
                lock.forget(attempt);
                return lock.settle(None, seen, &at).map(drop);
            }
            demand!(
                misfit || one.wait.is_none(),
                "it waits for {waits:?}, and asked for something else"
            );
        }
        let granted = matches!(answer, Answer::Granted { .. });
        let caller = Caller { attempt, kind: one.kind, granted };
        let verdict = lock.settle(Some(caller), seen, &at)?;
        if let Answer::Misfit { used } = answer {
            let silent = lock.silent.iter().any(|it| it.attempt == attempt && it.kind == *used);
            let held = lock.holders.iter().any(|held| held.kind.fits(*used));
            let held = held && !used.fits(one.kind);
            let changed = refused && is_of(*used, lock.changed.as_ref().map(|it| it.permits));
            demand!(silent || changed || held, "nothing is {used:?}");
            if silent {
                // It loses the place that it has for something else, if that is what it was told of, and
                // not a holder.
                if !held {
                    lock.forget(attempt);
                }
                lock.settle(None, seen, &at)?;
            }
            return Ok(());
        }
        if let Some(other) = lock.holders.iter().find(|held| !held.kind.fits(one.kind)) {
            return Err(format!("is {:?}, and was asked for as {:?}", other.kind, one.kind));
        }
        demand!(!refused, "more permits than there are, or of another number");
        let waits = lock.waits(attempt).filter(|kind| *kind != one.kind);
        demand!(!granted || waits.is_none(), "granted, while it waits for {waits:?}");
        demand!(verdict != Verdict::Must || granted, "nobody is before it, and it fits");
        demand!(verdict != Verdict::No || !granted, "granted out of its turn");
        let Answer::Granted { fence, stored_for } = answer else {
            return self.taken(one, answer);
        };
        demand!(*stored_for >= one.ttl, "stored for less than its ttl");
        lock.forget(attempt);
        let until = at.now + one.ttl + one.grace;
        lock.reserved(one.kind, *fence, one.wait.map_or(1, |wait| wait.fences))?;
        lock.begin(attempt, one.kind, *fence, until, false, &at)?;
        lock.settle(None, seen, &at).map(drop)
    }

    /// The answer where others hold the lock.
    fn taken(&mut self, one: &Try, answer: &Answer) -> Judged {
        let now = self.at.now;
        let lock = &mut self.locks[one.name];
        let ends = lock.holders.iter().map(|tenure| tenure.until);
        let end = match lock.holders.first().map(|tenure| tenure.kind) {
            None => return Err("free with a live waiter, and not handed over".to_owned()),
            Some(Kind::Permits { .. }) => ends.min(),
            Some(_) => ends.max(),
        };
        let left = end.unwrap_or_default().since(now);
        let Some(wait) = one.wait else {
            let Answer::Busy { holder: Some(shown) } = answer else {
                return Err("held by another, so busy".to_owned());
            };
            demand!(shown.expires_in == Some(left), "the holder has {left:?} left");
            return Ok(());
        };
        let live = lock.live.iter().position(|waiter| waiter.attempt == one.attempt);
        let silent = lock.silent.iter().any(|waiter| waiter.attempt == one.attempt);
        let full = lock.live.len() >= wait.max_queue as usize;
        match answer {
            Answer::QueueFull { limit } => {
                demand!(*limit == wait.max_queue, "another's limit");
                demand!(live.is_none(), "a waiter was thrown out of its place");
                demand!(full, "the queue has only {} live waiters", lock.live.len());
            }
            Answer::Queued { first, holder: Some(shown), look_again_in } => {
                demand!(live.is_some() || silent || !full, "the queue is full");
                demand!(shown.expires_in == Some(left), "the holder has {left:?} left");
                demand!(*look_again_in <= wait.heartbeat, "it would be dead by then");
                self.arrivals += 1;
                let lock = &mut self.locks[one.name];
                lock.queue((one.attempt, one.kind), &wait, self.arrivals, now);
                let own = lock.live.iter().find(|waiter| waiter.attempt == one.attempt);
                let own = own.ok_or("not in the queue")?;
                let mut rest = lock.live.iter().filter(|waiter| waiter.attempt != one.attempt);
                if *first {
                    demand!(!rest.any(|other| other.before(own)), "another is before it");
                } else {
                    demand!(!rest.all(|other| own.before(other)), "nobody is before it");
                }
            }
            _ => return Err("held by another, so it waits".to_owned()),
        }
        Ok(())
    }

    fn together(&mut self, tries: &[Try], answers: &[Answer], seen: &[Seen]) -> Judged {
        demand!(tries.len() == answers.len(), "one answer for each ask");
        let granted = answers.iter().filter(|answer| matches!(answer, Answer::Granted { .. }));
        let granted = granted.count();
        let twice = (0..NAMES).any(|name| tries.iter().filter(|one| one.name == name).count() > 1);
        if granted == tries.len() {
            demand!(!twice || tries.is_empty(), "one lock twice in one request");
            for (one, answer) in tries.iter().zip(answers) {
                self.ask(one, answer, seen)?;
            }
            return Ok(());
        }
        demand!(granted == 0, "{granted} of {} were granted", tries.len());
        let mut reason = twice;
        for (index, (one, answer)) in tries.iter().zip(answers).enumerate() {
            let at = self.at;
            let lock = &mut self.locks[one.name];
            let (kind, refused) = lock.meant(one.kind);
            let one = &Try { kind, ..one.clone() };
            let first = !tries[..index].iter().any(|other| other.name == one.name);
            if let Some(used) = lock.waits(one.attempt).filter(|waits| first && *waits != kind) {
                demand!(*answer == Answer::Misfit { used }, "it waits for {used:?}");
                lock.forget(one.attempt);
                lock.settle(None, &seen[one.name], &at)?;
                reason = true;
                continue;
            }
            self.maybe_hand_over(one.name, seen)?;
            let lock = &self.locks[one.name];
            let own = lock.tenure(one.attempt).map(|tenure| tenure.kind);
            let barred = lock.bars[one.attempt].may(at.now);
            let held = lock.holders.iter().any(|tenure| tenure.attempt != one.attempt);
            let waits = lock.live.iter().any(|waiter| waiter.attempt != one.attempt);
            let misfit = lock.holders.iter().any(|tenure| !tenure.kind.fits(one.kind))
                || refused
                || own.is_some_and(|own| own != one.kind);
            reason |= barred || held || waits || misfit;
            match answer {
                Answer::Busy { .. } => {}
                Answer::Cancelled => demand!(barred, "attempt {} is not barred", one.attempt),
                Answer::Misfit { .. } => demand!(misfit, "{:?} fits", one.kind),
                _ => return Err("neither granted nor refused".to_owned()),
            }
        }
        demand!(reason, "all were free");
        Ok(())
    }

    fn renew(
        &mut self,
        name: usize,
        (attempt, kind): (usize, Kind),
        ttl: Duration,
        answer: &Renewal,
    ) -> Judged {
        let now = self.at.now;
        let lock = &mut self.locks[name];
        let bar = lock.bars[attempt];
        let own = lock.holders.iter_mut().find(|tenure| tenure.attempt == attempt);
        match (own, answer) {
            (Some(tenure), Renewal::Renewed { stored_for }) => {
                demand!(*stored_for >= ttl, "stored for less than its ttl");
                tenure.until = tenure.until.max(now + ttl + GRACE);
                tenure.claimed = false;
            }
            (Some(_), Renewal::Gone(_)) => {
                return Err("a live tenure was not renewed".to_owned());
            }
            (None, Renewal::Renewed { .. }) => {
                return Err("renewed what it does not hold".to_owned());
            }
            (None, Renewal::Gone(reason)) => {
                let written = lock.holders.iter().any(|held| held.kind == Kind::Exclusive);
                let taken = written || (kind == Kind::Exclusive && !lock.holders.is_empty());
                let fits = match reason {
                    LostReason::Revoked => bar.revoked > BootTime::default(),
                    // Also where the other's tenure has run out since.
                    LostReason::Superseded => {
                        (lock.last != Some(attempt) || lock.shared) && bar.revoked <= now
                    }
                    LostReason::Expired => !taken && bar.revoked <= now,
                    _ => false,
                };
                demand!(fits, "gone, but not as {reason}");
            }
        }
        Ok(())
    }

    fn release(
        &mut self,
        name: usize,
        attempt: usize,
        tomb: Option<Duration>,
        answer: Released,
        seen: &[Seen],
    ) -> Judged {
        let at = self.at;
        let lock = &mut self.locks[name];
        if let Some(span) = tomb {
            let bar = &mut lock.bars[attempt];
            bar.until = bar.until.max(at.now + span);
        }
        let held = lock.tenure(attempt).map(|tenure| tenure.kind);
        let live = lock.live.iter().any(|waiter| waiter.attempt == attempt);
        let silent = lock.silent.iter().any(|waiter| waiter.attempt == attempt);
        let fits = match answer {
            Released::Released => held.is_some(),
            Released::LeftQueue => held.is_none() && (live || silent),
            Released::NotHeld => held.is_none() && !live,
        };
        demand!(fits, "held {held:?}, waited {live}, and was answered {answer:?}");
        lock.forget(attempt);
        if held.is_some() {
            lock.holders.retain(|tenure| tenure.attempt != attempt);
            lock.ended = held;
        }
        lock.settle(None, &seen[name], &at).map(drop)
    }

    fn evict(&mut self, name: usize, demanded: bool, answer: &Evicted, seen: &[Seen]) -> Judged {
        let at = self.at;
        let lock = &mut self.locks[name];
        let picked = |held: &Tenure| !demanded || held.fence == lock.last_fence;
        let (gone, kept) = lock.holders.iter().cloned().partition::<Vec<_>, _>(picked);
        match (gone.last().map(|tenure| tenure.kind), answer) {
            (Some(kind), Evicted::Evicted { fence, profile }) => {
                let named = gone.iter().find(|tenure| tenure.attempt == who(profile));
                let named = named.ok_or("another's profile")?;
                demand!(*fence == named.fence, "another fence than the holder's");
                for tenure in &gone {
                    let bar = &mut lock.bars[tenure.attempt];
                    bar.until = bar.until.max(at.now + BARRED);
                    bar.revoked = bar.revoked.max(at.now + BARRED);
                }
                lock.holders = kept;
                lock.ended = Some(kind);
                lock.last_fence += 1;
                lock.settle(None, &seen[name], &at).map(drop)
            }
            (None, Evicted::NotHeld) => self.maybe_hand_over(name, seen),
            (Some(_), Evicted::NotHeld) => Err("a held lock was not evicted".to_owned()),
            (None, Evicted::Evicted { .. }) => Err("evicted what was not to be".to_owned()),
        }
    }

    /// A change counts from before the grants that it makes room for; one that takes room away, from after
    /// those that were due.
    fn resize(
        &mut self,
        name: usize,
        (from, to): (u32, u32),
        fresh: bool,
        answer: Resized,
        seen: &[Seen],
    ) -> Judged {
        let (at, before) = (self.at, self.change_of(name).unwrap_or_default());
        let lock = &mut self.locks[name];
        let Resized::Changed { version } = answer else {
            lock.settle(None, &seen[name], &at)?;
            let Resized::Unchanged { used, version } = answer else { return Ok(()) };
            demand!(version == before, "change {version} is not the last one, {before}");
            let now = lock.changed.as_ref().map(|changed| changed.permits);
            let held = lock.holders.first().map(|tenure| tenure.kind);
            let right = match (used, held) {
                (Some(used), None | Some(Kind::Permits { .. })) if now.is_some() => {
                    is_of(used, now)
                }
                (used, held) => {
                    used == held || used.zip(held).is_some_and(|(it, one)| it.fits(one))
                }
            };
            demand!(right, "it is {held:?}, changed to {now:?}, and not {used:?}");
            let other = used.is_some_and(|used| !is_of(used, Some(from)));
            demand!(other || !fresh, "nothing speaks against the change");
            return Ok(());
        };
        demand!(fresh, "a change was made that did not know of the last one");
        if to < from {
            lock.settle(None, &seen[name], &at)?;
        }
        let now = lock.changed.as_ref().map(|changed| changed.permits);
        demand!(now.is_none_or(|now| now == from), "changed from {from}, and it was {now:?}");
        let other = lock.holders.iter().find(|held| !is_of(held.kind, Some(from)));
        demand!(other.is_none(), "changed from {from}, and {other:?} holds it");
        lock.resize(from, to, version);
        lock.settle(None, &seen[name], &at)?;
        let last = lock.last_fence;
        demand!(version > before, "change {version} after {before}");
        lock.last_fence = last.max(version);
        Ok(())
    }

    /// A request that need not hand over, and may.
    fn maybe_hand_over(&mut self, name: usize, seen: &[Seen]) -> Judged {
        let lock = &mut self.locks[name];
        let done = (0..ATTEMPTS).any(|attempt| lock.is_new(attempt, &seen[name]));
        if done { lock.settle(None, &seen[name], &self.at).map(drop) } else { Ok(()) }
    }
}

/// Whether `kind` is a semaphore of so many.
fn is_of(kind: Kind, permits: Option<u32>) -> bool {
    matches!(kind, Kind::Permits { capacity, .. } if permits == Some(capacity))
}

/// The answer to an attempt that holds the lock already.
fn again(
    lock: &mut Lock,
    own: &Tenure,
    one: &Try,
    answer: &Answer,
    seen: &Seen,
    at: &Moment,
) -> Judged {
    let attempt = own.attempt;
    let (asked, alone) = (one.kind, lock.holders.len() == 1);
    let changes = own.kind != asked;
    let fence = match (own.kind, asked, answer) {
        (Kind::Shared, Kind::Exclusive, Answer::Deadlock { .. }) => {
            demand!(!alone, "the only reader may write");
            return Ok(());
        }
        (used, _, Answer::Misfit { used: said }) => {
            let kin = used.fits(asked) && !matches!(used, Kind::Permits { .. });
            demand!(changes && !kin && *said == used, "holds {used:?}");
            return Ok(());
        }
        (Kind::Shared, Kind::Exclusive, Answer::Granted { fence, .. }) => {
            demand!(alone, "a reader writes among others");
            lock.reserved(asked, *fence, one.wait.map_or(1, |wait| wait.fences))?;
            lock.climb(*fence, at.wall_us)?;
            *fence
        }
        (Kind::Exclusive, Kind::Shared, Answer::Granted { fence, .. }) if *fence == own.fence => {
            *fence
        }
        (_, _, Answer::Granted { fence, .. }) if !changes => {
            demand!(*fence == own.fence, "one tenure, one fence: {}, now {fence}", own.fence);
            *fence
        }
        _ => return Err(format!("attempt {attempt} holds {own:?} already")),
    };
    let Answer::Granted { stored_for, .. } = answer else { return Ok(()) };
    demand!(*stored_for >= one.ttl, "stored for less than its ttl");
    for tenure in lock.holders.iter_mut().filter(|tenure| tenure.attempt == attempt) {
        tenure.until = tenure.until.max(at.now + one.ttl + one.grace);
        tenure.claimed = false;
        tenure.kind = asked;
        tenure.fence = fence;
    }
    if (own.kind, asked) == (Kind::Exclusive, Kind::Shared) {
        // The writer's phase has ended: the readers that waited are granted, though writers wait.
        let waiting: Vec<usize> = lock
            .live
            .iter()
            .filter(|waiter| waiter.kind == Kind::Shared)
            .map(|waiter| waiter.attempt)
            .collect();
        for reader in waiting {
            lock.grant(reader, seen, at)?;
        }
    }
    Ok(())
}
