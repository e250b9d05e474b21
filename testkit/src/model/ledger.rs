//! What the oracle keeps of one lock: who must hold it, who must be alive in its queue, which
//! attempts are barred, and whose turn it is.
//!
//! Written from the contract, not from the rules: where the contract leaves a choice (the place of a
//! waiter that was dead and spoke again), what is seen after the step decides among what is allowed.

use std::time::Duration;

use leasehold::lock::MAX_FENCE;
use leasehold::store::{Kind, Wait};
use leasehold::sys::{BootTime, Moment};

use super::op::ATTEMPTS;
use super::promises::{BARRED, Judged, demand};
use super::subject::{Seen, SeenHolder};

#[derive(Debug, Default)]
pub(super) struct Lock {
    pub(super) holders: Vec<Tenure>,
    /// How the tenure was held that ended last.
    pub(super) ended: Option<Kind>,
    pub(super) live: Vec<Waiter>,
    /// Waiters that fell silent for too long: forgotten, or still known at the place they had.
    pub(super) silent: Vec<Waiter>,
    /// The largest number seen: of a writer, of permits, or an epoch.
    pub(super) last_fence: u64,
    /// Whose tenure the last one was.
    pub(super) last: Option<usize>,
    /// Whether several may ever have held it.
    pub(super) shared: bool,
    pub(super) bars: [Bar; ATTEMPTS],
    /// What its number of permits was changed to.
    pub(super) changed: Option<Changed>,
}

/// A change of the number of permits. No history is as long as it is remembered.
#[derive(Clone, Debug)]
pub(super) struct Changed {
    pub(super) permits: u32,
    /// Who says one of these means that.
    formers: Vec<u32>,
    pub(super) version: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Tenure {
    pub(super) attempt: usize,
    pub(super) kind: Kind,
    pub(super) fence: u64,
    pub(super) until: BootTime,
    pub(super) claimed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub(super) attempt: usize,
    pub(super) kind: Kind,
    priority: i32,
    /// Its place lies between these; they differ for one that was silent too long.
    earliest: u64,
    latest: u64,
    pub(super) alive_until: BootTime,
    claim: Duration,
    fences: u32,
}

/// Until when an attempt may not hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bar {
    /// It was cancelled or evicted: barred until then, and free after.
    pub(super) until: BootTime,
    /// Its tenure was ended from outside: it is told so until then.
    pub(super) revoked: BootTime,
    /// Its tenure ran out: barred for a minute from then, and perhaps longer.
    ended: Option<BootTime>,
}

/// The attempt whose ask is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) attempt: usize,
    pub(super) kind: Kind,
    /// It was granted: decides where its place is uncertain.
    pub(super) granted: bool,
}

/// Whether the caller is to be granted, once all others were that had to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Must,
    May,
    No,
}

impl Lock {
    /// What time alone does.
    pub(super) fn expire(&mut self, now: BootTime) {
        let (held, over) = std::mem::take(&mut self.holders)
            .into_iter()
            .partition::<Vec<_>, _>(|tenure| tenure.until > now);
        self.holders = held;
        for tenure in over {
            self.bars[tenure.attempt].ended = Some(tenure.until);
            self.ended = Some(tenure.kind);
        }
        let (live, dead) = std::mem::take(&mut self.live)
            .into_iter()
            .partition::<Vec<_>, _>(|waiter| waiter.alive_until > now);
        self.live = live;
        self.silent.extend(dead);
    }

    /// Has everybody be granted who must be, but `caller`; and says what is due to that one.
    pub(super) fn settle(
        &mut self,
        caller: Option<Caller>,
        seen: &Seen,
        at: &Moment,
    ) -> Result<Verdict, String> {
        let me = caller.map(|caller| caller.attempt);
        loop {
            if self.holders.iter().any(|held| held.kind == Kind::Exclusive) {
                return Ok(Verdict::No);
            }
            let permits = match self.holders.first() {
                Some(held) => held.kind != Kind::Shared,
                None => self.live.iter().any(|waiter| is_permits(waiter.kind)),
            };
            if !permits {
                return self.take_turns(caller, seen, at);
            }
            let first = self.candidates(|_| true);
            let own = me.is_some_and(|me| first.contains(&me));
            // Where several places are uncertain, the fences tell in what order they went.
            let fence = |one: usize| {
                seen.holders.iter().find(|shown| shown.attempt == one).map(|shown| shown.fence)
            };
            let next = first.iter().filter(|one| me != Some(**one) && self.is_new(**one, seen));
            let next = next.min_by_key(|one| fence(**one));
            match caller {
                Some(caller)
                    if first.is_empty()
                        || (own && first.len() == 1)
                        || (own
                            && caller.granted
                            && next.is_none_or(|next| fence(*next) > fence(caller.attempt))) =>
                {
                    let fits = self.fits(caller.kind);
                    return Ok(if fits { Verdict::Must } else { Verdict::No });
                }
                None if first.is_empty() => return Ok(Verdict::No),
                _ => {}
            }
            let Some(next) = next else {
                let stuck = |one: &usize| me == Some(*one) || !self.fits(self.wants(*one));
                demand!(first.iter().any(stuck), "one of {first:?} fits: a lost wake-up");
                return Ok(Verdict::No);
            };
            demand!(self.fits(self.wants(*next)), "attempt {next} does not fit");
            self.grant(*next, seen, at)?;
        }
    }

    /// Readers and writers: by phases.
    fn take_turns(
        &mut self,
        caller: Option<Caller>,
        seen: &Seen,
        at: &Moment,
    ) -> Result<Verdict, String> {
        let me = caller.map(|caller| caller.attempt);
        let reads = caller.is_some_and(|caller| caller.kind == Kind::Shared);
        let waits = |all: &[Waiter]| {
            all.iter().any(|one| me == Some(one.attempt) && one.kind == Kind::Shared)
        };
        let (own, own_silent) = (waits(&self.live), waits(&self.silent));
        let others = self.live.iter().filter(|one| one.kind == Kind::Shared);
        let readers: Vec<usize> =
            others.map(|one| one.attempt).filter(|one| me != Some(*one)).collect();
        let writers = self.live.iter().any(|one| one.kind != Kind::Shared);
        let held = !self.holders.is_empty();
        let phase = !writers || (!held && self.ended == Some(Kind::Exclusive));
        if phase && (!readers.is_empty() || (own && reads) || !writers) {
            for reader in &readers {
                demand!(self.is_new(*reader, seen), "reader {reader} waits on in a readers' phase");
                self.grant(*reader, seen, at)?;
            }
            return Ok(match caller {
                Some(_) if reads && (own || !writers) => Verdict::Must,
                Some(_) if reads && own_silent => Verdict::May,
                Some(_) if self.holders.is_empty() => Verdict::Must,
                _ => Verdict::No,
            });
        }
        if phase && reads && own_silent && caller.is_some_and(|caller| caller.granted) {
            return Ok(Verdict::May);
        }
        if held {
            return Ok(Verdict::No);
        }
        let first = self.candidates(|waiter| waiter.kind != Kind::Shared);
        if let Some(caller) = caller
            && first.contains(&caller.attempt)
            && (caller.granted || first.len() == 1)
        {
            return Ok(Verdict::Must);
        }
        let next = first.iter().find(|one| me != Some(**one) && self.is_new(**one, seen));
        let next =
            next.ok_or_else(|| format!("free and one of {first:?} waits: a lost wake-up"))?;
        self.grant(*next, seen, at)?;
        Ok(Verdict::No)
    }

    /// Whether `attempt` holds the lock as seen, and did not before.
    pub(super) fn is_new(&self, attempt: usize, seen: &Seen) -> bool {
        seen.holders.iter().any(|shown| shown.attempt == attempt) && self.tenure(attempt).is_none()
    }

    pub(super) fn tenure(&self, attempt: usize) -> Option<&Tenure> {
        self.holders.iter().find(|tenure| tenure.attempt == attempt)
    }

    /// How `attempt` waits, if it is alive.
    pub(super) fn waits(&self, attempt: usize) -> Option<Kind> {
        self.live.iter().find(|waiter| waiter.attempt == attempt).map(|waiter| waiter.kind)
    }

    fn wants(&self, attempt: usize) -> Kind {
        self.waits(attempt).unwrap_or(Kind::Exclusive)
    }

    /// Whether there is room for `kind` beside the holders of permits.
    fn fits(&self, kind: Kind) -> bool {
        let Kind::Permits { count, capacity } = kind else { return self.holders.is_empty() };
        let held = self.holders.iter().map(|tenure| match tenure.kind {
            Kind::Permits { count, .. } => count,
            _ => capacity,
        });
        held.sum::<u32>() + count <= capacity
    }

    /// What `kind` means after a change; and whether that is refused while it is remembered.
    pub(super) fn meant(&self, kind: Kind) -> (Kind, bool) {
        let (Kind::Permits { count, capacity }, Some(changed)) = (kind, &self.changed) else {
            return (kind, false);
        };
        let former = changed.formers.contains(&capacity);
        let capacity = if former { changed.permits } else { capacity };
        let kind = Kind::Permits { count, capacity };
        (kind, capacity != changed.permits || count > capacity)
    }

    /// The number of permits was changed: for those who hold some, wait for some and will ask.
    pub(super) fn resize(&mut self, from: u32, to: u32, version: u64) {
        let mut formers = self.changed.take().map_or_else(Vec::new, |changed| changed.formers);
        formers.retain(|former| *former != to && *former != from);
        formers.push(from);
        self.changed = Some(Changed { permits: to, formers, version });
        let change = |kind: &mut Kind| match kind {
            Kind::Permits { count, capacity } if *capacity == from => {
                *capacity = to;
                *count <= to
            }
            _ => true,
        };
        for tenure in &mut self.holders {
            change(&mut tenure.kind);
        }
        self.live.retain_mut(|waiter| change(&mut waiter.kind));
        self.silent.retain_mut(|waiter| change(&mut waiter.kind));
    }

    /// Who may be next: the live waiters that no other is certainly before.
    fn candidates(&self, among: impl Fn(&Waiter) -> bool) -> Vec<usize> {
        let all: Vec<&Waiter> = self.live.iter().filter(|waiter| among(waiter)).collect();
        let first = |one: &&&Waiter| !all.iter().any(|other| other.before(one));
        all.iter().filter(first).map(|waiter| waiter.attempt).collect()
    }

    pub(super) fn forget(&mut self, attempt: usize) {
        self.live.retain(|waiter| waiter.attempt != attempt);
        self.silent.retain(|waiter| waiter.attempt != attempt);
    }

    pub(super) fn queue(
        &mut self,
        (attempt, kind): (usize, Kind),
        wait: &Wait,
        arrival: u64,
        now: BootTime,
    ) {
        let alive_until = now + wait.alive_for;
        if let Some(known) = self.live.iter_mut().find(|waiter| waiter.attempt == attempt) {
            known.alive_until = alive_until;
            known.claim = wait.claim;
            return;
        }
        let old = self.silent.iter().find(|it| it.attempt == attempt && it.kind == kind);
        let earliest = old.map_or(arrival, |waiter| waiter.earliest);
        self.forget(attempt);
        self.live.push(Waiter {
            attempt,
            kind,
            priority: wait.priority,
            earliest,
            latest: arrival,
            alive_until,
            claim: wait.claim,
            fences: wait.fences,
        });
    }

    /// `attempt`, which waits, was handed the lock.
    pub(super) fn grant(&mut self, attempt: usize, seen: &Seen, at: &Moment) -> Judged {
        let waiter = self.live.iter().find(|waiter| waiter.attempt == attempt);
        let Waiter { kind, claim, fences, .. } =
            waiter.ok_or_else(|| format!("{attempt} waits for nothing"))?.clone();
        let shown = seen.holders.iter().find(|shown| shown.attempt == attempt);
        let shown = shown.ok_or_else(|| format!("attempt {attempt} was not granted"))?;
        // It may have gone on to write within the same step, with a fence of its own.
        let fence = match self.holders.first() {
            Some(other) if shown.kind != kind && kind == Kind::Shared => other.fence,
            None if shown.kind != kind && kind == Kind::Shared => self.last_fence,
            _ => shown.fence,
        };
        self.forget(attempt);
        self.reserved(kind, fence, fences)?;
        self.begin(attempt, kind, fence, at.now + claim, true, at)
    }

    /// Nobody had the `count` fences up to this one.
    pub(super) fn reserved(&self, kind: Kind, fence: u64, count: u32) -> Judged {
        let above = fence.saturating_sub(self.last_fence) >= u64::from(count);
        let last = self.last_fence;
        demand!(kind != Kind::Exclusive || above, "{count} fences to {fence} after {last}");
        Ok(())
    }

    /// A tenure begins.
    pub(super) fn begin(
        &mut self,
        attempt: usize,
        kind: Kind,
        fence: u64,
        until: BootTime,
        claimed: bool,
        at: &Moment,
    ) -> Judged {
        match self.holders.first() {
            Some(other) if kind == Kind::Shared => {
                demand!(fence == other.fence, "epoch {fence} among readers of {}", other.fence);
            }
            None if kind == Kind::Shared => {
                demand!(fence >= self.last_fence, "epoch {fence} after {}", self.last_fence);
                self.last_fence = fence;
            }
            _ => self.climb(fence, at.wall_us)?,
        }
        if let Kind::Permits { count, capacity } = kind {
            demand!(self.fits(kind), "{count} permits more than {capacity}");
        }
        self.last = Some(attempt);
        self.shared |= kind != Kind::Exclusive;
        self.holders.push(Tenure { attempt, kind, fence, until, claimed });
        Ok(())
    }

    pub(super) fn climb(&mut self, fence: u64, wall_us: u64) -> Judged {
        demand!(fence > self.last_fence, "fence {fence} after {}", self.last_fence);
        demand!(fence >= wall_us, "fence {fence} is below the wall clock, {wall_us}");
        demand!(fence <= MAX_FENCE, "fence {fence} is beyond 2^53-1");
        self.last_fence = fence;
        Ok(())
    }

    /// Whether what is seen is what must be.
    pub(super) fn agrees(&self, seen: &Seen, now: BootTime) -> Judged {
        let mut held: Vec<SeenHolder> = self
            .holders
            .iter()
            .map(|tenure| SeenHolder {
                attempt: tenure.attempt,
                kind: tenure.kind,
                fence: tenure.fence,
                stored: tenure.until.since(now),
                claimed: tenure.claimed,
            })
            .collect();
        held.sort_by_key(|tenure| tenure.attempt);
        demand!(held == seen.holders, "held by {:?}, not {held:?}", seen.holders);
        let exclusive = held.iter().filter(|one| one.kind == Kind::Exclusive).count();
        demand!(exclusive == 0 || held.len() == 1, "a writer among others: {held:?}");
        let shared = held.iter().filter(|one| one.kind == Kind::Shared).count();
        demand!(shared == 0 || shared == held.len(), "readers among others: {held:?}");
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

fn is_permits(kind: Kind) -> bool {
    matches!(kind, Kind::Permits { .. })
}

impl Waiter {
    /// Whether it certainly goes before `other`, of those that wait for the same turn. Readers are
    /// listed after all others.
    pub(super) fn before(&self, other: &Self) -> bool {
        let reads = |waiter: &Self| waiter.kind == Kind::Shared;
        match (reads(self), reads(other)) {
            (false, true) => return true,
            (true, false) => return false,
            _ => {}
        }
        match other.priority.cmp(&self.priority) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => self.latest < other.earliest,
            std::cmp::Ordering::Greater => false,
        }
    }
}

impl Bar {
    pub(super) fn must(&self, now: BootTime) -> bool {
        self.until > now || self.ended.is_some_and(|ended| ended + BARRED > now)
    }

    pub(super) fn may(&self, now: BootTime) -> bool {
        self.until > now || self.ended.is_some()
    }
}
