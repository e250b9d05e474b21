//! The promises as an oracle, written from the contract and not from the code.
//!
//! It keeps for each lock who must hold it, who must be alive in its queue and which attempts are
//! barred, and judges each answer and each view: one holder (O1), fences that grow (O2), one tenure
//! per attempt (O3), nothing kept for nobody (O4), a free lock with a live waiter is handed over at
//! the next request that sees it, to the one who came first (O5), and nobody touches another's
//! tenure (O7). Where the contract leaves a choice it allows either: the place of a waiter that was
//! dead and spoke again, and how long an ended attempt is barred beyond the first minute.

use std::time::Duration;

use leasehold::LostReason;
use leasehold::lock::MAX_FENCE;
use leasehold::store::{Answer, Evicted, How, Released, Renewal, Wait};
use leasehold::sys::{BootTime, Moment};

use super::op::{ATTEMPTS, NAMES};
use super::rules::GRACE;
use super::subject::{Outcome, Seen, SeenHolder, who};
use super::{Op, Try};

type Judged = Result<(), String>;

/// An ended or evicted attempt is refused at least this long.
const BARRED: Duration = Duration::from_secs(60);

/// The oracle of one history.
#[derive(Debug)]
pub struct Promises {
    at: Moment,
    arrivals: u64,
    locks: [Lock; NAMES],
}

#[derive(Debug, Default)]
struct Lock {
    holder: Option<Tenure>,
    live: Vec<Waiter>,
    /// Waiters that fell silent for too long: forgotten, or still known at the place they had.
    silent: Vec<Waiter>,
    last_fence: u64,
    /// Whose tenure the last one was.
    last: Option<usize>,
    bars: [Bar; ATTEMPTS],
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Tenure {
    attempt: usize,
    fence: u64,
    until: BootTime,
    claimed: bool,
}

#[derive(Clone, Debug)]
struct Waiter {
    attempt: usize,
    priority: i32,
    /// Its place lies between these; they differ for one that was silent too long.
    earliest: u64,
    latest: u64,
    alive_until: BootTime,
    claim: Duration,
}

/// Until when an attempt may not hold.
#[derive(Clone, Copy, Debug, Default)]
struct Bar {
    /// It was cancelled or evicted: barred until then, and free after.
    until: BootTime,
    /// Its tenure was ended from outside: it is told so until then.
    revoked: BootTime,
    /// Its tenure ran out: barred for a minute from then, and perhaps longer.
    ended: Option<BootTime>,
}

macro_rules! demand {
    ($holds:expr, $($broken:tt)+) => {
        if !$holds {
            return Err(format!($($broken)+));
        }
    };
}

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
            (Op::Ask(tries, How::AllOrNothing), Outcome::Answers(answers)) => {
                self.together(tries, answers, seen)?;
            }
            (Op::Renew { name, attempt, ttl }, Outcome::Renewal(answer)) => {
                self.renew(*name, *attempt, *ttl, answer)?;
                self.maybe_hand_over(*name, seen)?;
            }
            (Op::Release { name, attempt, tomb }, Outcome::Released(answer)) => {
                self.release(*name, *attempt, *tomb, *answer)?;
                self.hand_over(*name, seen)?;
            }
            (Op::Evict { name, fence }, Outcome::Evicted(answer)) => {
                self.evict(*name, *fence, answer, seen)?;
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

    fn ask(&mut self, one: &Try, answer: &Answer, seen: &[Seen]) -> Judged {
        let (now, name, attempt) = (self.at.now, one.name, one.attempt);
        let bar = self.locks[name].bars[attempt];
        if *answer == Answer::Cancelled {
            demand!(bar.may(now), "attempt {attempt} was cancelled by nobody");
            return self.hand_over(name, seen);
        }
        demand!(!bar.must(now), "attempt {attempt} is barred and yet was answered");
        let lock = &mut self.locks[name];
        if let Some(tenure) = lock.holder.as_mut().filter(|tenure| tenure.attempt == attempt) {
            let Answer::Granted { fence, stored_for } = answer else {
                return Err(format!("attempt {attempt} holds the lock already"));
            };
            demand!(*fence == tenure.fence, "one tenure, one fence: {}, now {fence}", tenure.fence);
            demand!(*stored_for >= one.ttl, "stored for less than its ttl");
            tenure.until = tenure.until.max(now + one.ttl + one.grace);
            tenure.claimed = false;
            return Ok(());
        }
        if lock.holder.is_none() {
            let first = lock.candidates();
            let granted = matches!(answer, Answer::Granted { .. });
            let own = first.is_empty() || first.contains(&attempt);
            let others = first.iter().any(|other| *other != attempt);
            if own && (granted || !others) {
                let Answer::Granted { fence, stored_for } = answer else {
                    return Err("the lock is free and nobody is before it".to_owned());
                };
                demand!(*stored_for >= one.ttl, "stored for less than its ttl");
                lock.forget(attempt);
                let until = now + one.ttl + one.grace;
                lock.climb(*fence, self.at.wall_us)?;
                lock.holder = Some(Tenure { attempt, fence: *fence, until, claimed: false });
                lock.last = Some(attempt);
                return Ok(());
            }
            self.hand_over(name, seen)?;
        }
        self.taken(one, answer)
    }

    /// The answer where another holds the lock.
    fn taken(&mut self, one: &Try, answer: &Answer) -> Judged {
        let now = self.at.now;
        let lock = &mut self.locks[one.name];
        let Some(tenure) = &lock.holder else {
            return Err("free with a live waiter, and not handed over".to_owned());
        };
        let left = tenure.until.since(now);
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
                lock.queue(one.attempt, &wait, self.arrivals, now);
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
        for (one, answer) in tries.iter().zip(answers) {
            let lock = &self.locks[one.name];
            let barred = lock.bars[one.attempt].may(self.at.now);
            let before = lock.candidates().iter().any(|other| *other != one.attempt);
            reason |= barred
                || match &lock.holder {
                    Some(tenure) => tenure.attempt != one.attempt,
                    None => before,
                };
            match answer {
                Answer::Busy { .. } => {}
                Answer::Cancelled => demand!(barred, "attempt {} is not barred", one.attempt),
                _ => return Err("neither granted nor refused".to_owned()),
            }
        }
        demand!(reason, "all were free");
        Ok(())
    }

    fn renew(&mut self, name: usize, attempt: usize, ttl: Duration, answer: &Renewal) -> Judged {
        let now = self.at.now;
        let lock = &mut self.locks[name];
        let bar = lock.bars[attempt];
        match (&mut lock.holder, answer) {
            (Some(tenure), Renewal::Renewed { stored_for }) if tenure.attempt == attempt => {
                demand!(*stored_for >= ttl, "stored for less than its ttl");
                tenure.until = tenure.until.max(now + ttl + GRACE);
                tenure.claimed = false;
            }
            (Some(tenure), Renewal::Gone(_)) if tenure.attempt == attempt => {
                return Err("a live tenure was not renewed".to_owned());
            }
            (_, Renewal::Renewed { .. }) => {
                return Err("renewed what it does not hold".to_owned());
            }
            (other, Renewal::Gone(reason)) => {
                let taken = other.is_some();
                let fits = match reason {
                    LostReason::Revoked => bar.revoked > BootTime::default(),
                    // Also where the other's tenure has run out since.
                    LostReason::Superseded => lock.last != Some(attempt) && bar.revoked <= now,
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
    ) -> Judged {
        let now = self.at.now;
        let lock = &mut self.locks[name];
        if let Some(span) = tomb {
            let bar = &mut lock.bars[attempt];
            bar.until = bar.until.max(now + span);
        }
        let held = lock.holder.as_ref().is_some_and(|tenure| tenure.attempt == attempt);
        let live = lock.live.iter().any(|waiter| waiter.attempt == attempt);
        let silent = lock.silent.iter().any(|waiter| waiter.attempt == attempt);
        let fits = match answer {
            Released::Released => held,
            Released::LeftQueue => !held && (live || silent),
            Released::NotHeld => !held && !live,
        };
        demand!(fits, "held {held}, waited {live}, and was answered {answer:?}");
        lock.forget(attempt);
        if held {
            lock.holder = None;
        }
        Ok(())
    }

    fn evict(&mut self, name: usize, demanded: bool, answer: &Evicted, seen: &[Seen]) -> Judged {
        let now = self.at.now;
        let lock = &mut self.locks[name];
        let tenure = lock.holder.clone().filter(|held| !demanded || held.fence == lock.last_fence);
        match (tenure, answer) {
            (Some(tenure), Evicted::Evicted { fence, profile }) => {
                demand!(*fence == tenure.fence, "another fence than the holder's");
                demand!(who(profile) == tenure.attempt, "another's profile");
                let bar = &mut lock.bars[tenure.attempt];
                bar.until = bar.until.max(now + BARRED);
                bar.revoked = bar.revoked.max(now + BARRED);
                lock.holder = None;
                lock.last_fence += 1;
                self.hand_over(name, seen)
            }
            (None, Evicted::NotHeld) => self.maybe_hand_over(name, seen),
            (Some(_), Evicted::NotHeld) => Err("a held lock was not evicted".to_owned()),
            (None, Evicted::Evicted { .. }) => Err("evicted what was not to be".to_owned()),
        }
    }

    /// A lock that is free while somebody lives in its queue must be handed over now.
    fn hand_over(&mut self, name: usize, seen: &[Seen]) -> Judged {
        let lock = &mut self.locks[name];
        let first = lock.candidates();
        if lock.holder.is_some() || first.is_empty() {
            return Ok(());
        }
        let Some(shown) = &seen[name].holder else {
            return Err(format!("lock {name} is free and one of {first:?} waits: a lost wake-up"));
        };
        demand!(
            first.contains(&shown.attempt),
            "lock {name} went to {}, before {first:?}",
            shown.attempt
        );
        lock.grant(shown, &self.at)
    }

    /// A request that need not hand over, and may.
    fn maybe_hand_over(&mut self, name: usize, seen: &[Seen]) -> Judged {
        let lock = &self.locks[name];
        let newer = |shown: &&SeenHolder| shown.fence > lock.last_fence;
        let done = seen[name].holder.as_ref().filter(newer).is_some();
        if done { self.hand_over(name, seen) } else { Ok(()) }
    }
}

impl Lock {
    /// What time alone does.
    fn expire(&mut self, now: BootTime) {
        if let Some(tenure) = self.holder.take_if(|tenure| tenure.until <= now) {
            self.bars[tenure.attempt].ended = Some(tenure.until);
        }
        let (live, dead) = std::mem::take(&mut self.live)
            .into_iter()
            .partition::<Vec<_>, _>(|waiter| waiter.alive_until > now);
        self.live = live;
        self.silent.extend(dead);
    }

    /// Who may be next: the live waiters that no other is certainly before.
    fn candidates(&self) -> Vec<usize> {
        let first = |one: &&Waiter| !self.live.iter().any(|other| other.before(one));
        self.live.iter().filter(first).map(|waiter| waiter.attempt).collect()
    }

    fn forget(&mut self, attempt: usize) {
        self.live.retain(|waiter| waiter.attempt != attempt);
        self.silent.retain(|waiter| waiter.attempt != attempt);
    }

    fn queue(&mut self, attempt: usize, wait: &Wait, arrival: u64, now: BootTime) {
        let alive_until = now + wait.alive_for;
        if let Some(known) = self.live.iter_mut().find(|waiter| waiter.attempt == attempt) {
            known.alive_until = alive_until;
            known.claim = wait.claim;
            return;
        }
        let old = self.silent.iter().find(|waiter| waiter.attempt == attempt);
        let earliest = old.map_or(arrival, |waiter| waiter.earliest);
        self.forget(attempt);
        self.live.push(Waiter {
            attempt,
            priority: wait.priority,
            earliest,
            latest: arrival,
            alive_until,
            claim: wait.claim,
        });
    }

    fn grant(&mut self, shown: &SeenHolder, at: &Moment) -> Judged {
        let claim = self.live.iter().find(|waiter| waiter.attempt == shown.attempt);
        let claim = claim.ok_or("granted to nobody who waits")?.claim;
        self.forget(shown.attempt);
        self.climb(shown.fence, at.wall_us)?;
        self.last = Some(shown.attempt);
        self.holder = Some(Tenure {
            attempt: shown.attempt,
            fence: shown.fence,
            until: at.now + claim,
            claimed: true,
        });
        Ok(())
    }

    fn climb(&mut self, fence: u64, wall_us: u64) -> Judged {
        demand!(fence > self.last_fence, "fence {fence} after {}", self.last_fence);
        demand!(fence >= wall_us, "fence {fence} is below the wall clock, {wall_us}");
        demand!(fence <= MAX_FENCE, "fence {fence} is beyond 2^53-1");
        self.last_fence = fence;
        Ok(())
    }

    /// Whether what is seen is what must be.
    fn agrees(&self, seen: &Seen, now: BootTime) -> Judged {
        let held = self.holder.as_ref().map(|tenure| SeenHolder {
            attempt: tenure.attempt,
            fence: tenure.fence,
            stored: tenure.until.since(now),
            claimed: tenure.claimed,
        });
        demand!(held == seen.holder, "held by {:?}, not {held:?}", seen.holder);
        demand!(
            self.live.len() == seen.queue.len(),
            "waiting are {:?}, not {:?}",
            seen.queue,
            self.live
        );
        let mut before: Vec<&Waiter> = Vec::new();
        for (attempt, alive_for) in &seen.queue {
            let own = self.live.iter().find(|waiter| waiter.attempt == *attempt);
            let own = own.ok_or_else(|| format!("attempt {attempt} should not wait"))?;
            let left = own.alive_until.since(now);
            demand!(
                left == *alive_for,
                "attempt {attempt} is alive for {alive_for:?}, not {left:?}"
            );
            let overtook = before.iter().find(|other| own.before(other));
            demand!(overtook.is_none(), "attempt {attempt} stands behind {overtook:?}");
            before.push(own);
        }
        Ok(())
    }
}

impl Waiter {
    /// Whether it certainly goes before `other`.
    fn before(&self, other: &Self) -> bool {
        match other.priority.cmp(&self.priority) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => self.latest < other.earliest,
            std::cmp::Ordering::Greater => false,
        }
    }
}

impl Bar {
    fn must(&self, now: BootTime) -> bool {
        self.until > now || self.ended.is_some_and(|ended| ended + BARRED > now)
    }

    fn may(&self, now: BootTime) -> bool {
        self.until > now || self.ended.is_some()
    }
}
