//! Whose turn it is: which waiters a step must grant, and whether an ask may be granted beside those
//! who hold the lock.
//!
//! Readers and writers take turns by phases (Brandenburg and Anderson, "Reader-writer synchronization
//! for shared-memory multiprocessor real-time systems", 2009): when a writer ends, all readers that
//! waited are granted together, also those behind another writer; readers that come while a writer
//! waits queue; when the last reader ends, the first writer is granted. So neither starves: a writer
//! waits for one phase of readers per writer before it, a reader for one writer.
//!
//! Permits go by arrival alone: while the first in line does not fit, nobody behind it is granted, or
//! small asks would starve a large one.

use std::sync::Arc;

use super::fence;
use super::rows::{Event, HandOff, Head, Rows, Tenure, Waiter};
use crate::store::{Ask, Kind};
use crate::sys::{BootTime, Token};

/// Who holds and who is first in line, once every waiter was granted that could be.
pub(super) struct Turn {
    /// One of the holders.
    pub(super) holder: Option<Tenure>,
    /// The first live waiter; not looked for where the lock is held exclusively.
    pub(super) head: Option<Waiter>,
    /// The caller is one of the readers whose phase has begun.
    pub(super) phase: bool,
}

impl Turn {
    /// How the attempt of `ask` waits, where it is its turn or the next.
    pub(super) fn waits_as(&self, ask: &Ask) -> Option<Kind> {
        if self.phase {
            return Some(Kind::Shared);
        }
        self.head.as_ref().filter(|head| head.token == ask.token).map(|head| head.kind)
    }

    /// The same, where it is not what `ask` asks for.
    pub(super) fn waits_for_other(&self, ask: &Ask) -> Option<Kind> {
        self.waits_as(ask).filter(|kind| *kind != ask.kind)
    }
}

/// Grants what can be granted to those who wait, but nothing to `caller`, which decides for itself.
/// `ended` is how the tenure was held whose end the step found or made.
pub(super) fn pass_on<R: Rows>(
    rows: &mut R,
    mut holder: Option<Tenure>,
    ended: Option<Kind>,
    caller: Option<&Token>,
    at: Event,
    told: &mut Vec<HandOff>,
) -> Result<Turn, R::Error> {
    loop {
        if holder.as_ref().is_some_and(|tenure| tenure.kind == Kind::Exclusive) {
            return Ok(Turn { holder, head: None, phase: false });
        }
        let Some(Head { waiter: head, readers }) = first_live(rows, at.now)? else {
            return Ok(Turn { holder, head: None, phase: false });
        };
        let own = caller == Some(&head.token);
        let phase = match (&holder, head.kind) {
            (_, Kind::Shared) => true,
            (None, Kind::Exclusive) => readers && ended == Some(Kind::Exclusive),
            _ => false,
        };
        if phase {
            let (granted, waits) = grant_readers(rows, holder.as_ref(), caller, at, told)?;
            // Those that were in the queue may all have been dead.
            if granted.is_some() || waits {
                return Ok(Turn { holder: granted.or(holder), head: Some(head), phase: waits });
            }
        }
        let free = match (&holder, head.kind) {
            (None, _) => true,
            (Some(tenure), Kind::Permits { count, capacity }) if tenure.kind.fits(head.kind) => {
                rows.sum()?.permits + u64::from(count) <= u64::from(capacity)
            }
            _ => false,
        };
        if own || !free {
            return Ok(Turn { holder, head: Some(head), phase: false });
        }
        let granted = grant_to(rows, head, None, at, told)?;
        holder = Some(granted);
    }
}

/// Whether `ask`, which holds nothing and waits for nothing else, may be granted at this turn.
pub(super) fn admits<R: Rows>(rows: &mut R, turn: &Turn, ask: &Ask) -> Result<bool, R::Error> {
    let first = turn.head.as_ref().is_none_or(|head| head.token == ask.token);
    Ok(match (&turn.holder, ask.kind) {
        (Some(tenure), Kind::Shared) if tenure.kind == Kind::Shared => {
            turn.phase || turn.head.as_ref().is_none_or(|head| head.kind == Kind::Shared)
        }
        (Some(tenure), Kind::Permits { count, capacity }) if tenure.kind.fits(ask.kind) => {
            first && rows.sum()?.permits + u64::from(count) <= u64::from(capacity)
        }
        (Some(_), _) => false,
        (None, _) => first || turn.phase,
    })
}

/// The first waiter that is alive; the dead before it are removed.
pub(super) fn first_live<R: Rows>(rows: &mut R, now: BootTime) -> Result<Option<Head>, R::Error> {
    while let Some(head) = rows.head()? {
        if head.waiter.alive_until > now {
            return Ok(Some(head));
        }
        rows.remove_waiter(&head.waiter.token)?;
    }
    Ok(None)
}

/// Grants the lock to all live readers in the queue but `caller`. Answers one of them, and whether
/// the caller is in the queue.
pub(super) fn grant_readers<R: Rows>(
    rows: &mut R,
    holder: Option<&Tenure>,
    caller: Option<&Token>,
    at: Event,
    told: &mut Vec<HandOff>,
) -> Result<(Option<Tenure>, bool), R::Error> {
    let (mut first, mut waits) = (None::<Tenure>, false);
    for reader in rows.readers()? {
        if caller == Some(&reader.token) {
            waits = true;
        } else if reader.alive_until > at.now {
            let epoch = first.as_ref().or(holder).map(|tenure| tenure.fence);
            let granted = grant_to(rows, reader, epoch, at, told)?;
            first.get_or_insert(granted);
        } else {
            rows.remove_waiter(&reader.token)?;
        }
    }
    Ok((first, waits))
}

/// Hands the lock to `head`, which has its claim to confirm it.
fn grant_to<R: Rows>(
    rows: &mut R,
    head: Waiter,
    epoch: Option<u64>,
    at: Event,
    told: &mut Vec<HandOff>,
) -> Result<Tenure, R::Error> {
    rows.remove_waiter(&head.token)?;
    let tenure = Tenure {
        token: head.token,
        kind: head.kind,
        fence: number(rows, head.kind, epoch, head.fences, at)?,
        until: at.now + head.claim,
        told: at.now + head.claim,
        claimed: true,
        owner: head.owner,
        profile: head.profile,
    };
    rows.set_tenure(&tenure)?;
    told.push(HandOff {
        name: rows.name().clone(),
        token: tenure.token,
        fence: tenure.fence,
        until: tenure.until,
        channel: head.channel,
    });
    Ok(tenure)
}

/// Grants the lock to `ask` itself.
pub(super) fn grant<R: Rows>(
    rows: &mut R,
    ask: &Ask,
    epoch: Option<u64>,
    at: Event,
) -> Result<Tenure, R::Error> {
    let tenure = Tenure {
        token: ask.token,
        kind: ask.kind,
        fence: number(rows, ask.kind, epoch, ask.fences(), at)?,
        until: at.now + ask.ttl + ask.grace,
        told: at.now + ask.ttl,
        claimed: false,
        owner: ask.owner,
        profile: Arc::clone(&ask.profile),
    };
    rows.set_tenure(&tenure)?;
    Ok(tenure)
}

/// A new fence; for a reader the epoch of those it reads with, or else the last fence there was.
fn number<R: Rows>(
    rows: &mut R,
    kind: Kind,
    epoch: Option<u64>,
    fences: u32,
    at: Event,
) -> Result<u64, R::Error> {
    match (kind, epoch) {
        (Kind::Shared, Some(epoch)) => Ok(epoch),
        (Kind::Shared, None) => rows.last_fence(),
        _ => claim_fence(rows, fences, at),
    }
}

pub(super) fn claim_fence<R: Rows>(rows: &mut R, count: u32, at: Event) -> Result<u64, R::Error> {
    let next = fence::last_of_next(rows.last_fence()?, count, at.wall_us)?;
    rows.set_last_fence(next)?;
    Ok(next)
}
