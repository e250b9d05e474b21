//! The exclusive lock: one holder, a queue by arrival, hand-off, tombstones, fences.
//!
//! Each function is one atomic step. What makes it right (docs/hazards.md):
//! * a token becomes holder once: by grant or hand-off, never after a tombstone, never again after
//!   its tenure ended (the tenure's end removes the only row that names it);
//! * whoever finds the lock free while others wait grants the first live waiter before anything
//!   else, so no order of steps loses a wake-up;
//! * a dead waiter costs nothing when its heartbeat lapsed, and its claim when it died after being
//!   chosen;
//! * expiry is strict: a tenure ends at `until`, and a renewal at that instant comes too late.

use std::sync::Arc;
use std::time::Duration;

use super::fence;
use super::rows::{Event, HandOff, Rows, Tenure, Tomb, Waiter};
use crate::LostReason;
use crate::store::{Answer, Ask, Cancel, Evict, Evicted, Hold, Holding, Released, Renewal, Wait};
use crate::sys::{BootTime, Token};

/// How long the token of an ended tenure is refused: longer than any request can be on its way.
const ENDED_FOR: Duration = Duration::from_secs(60);

/// Asks for the lock; `channel` is where a later grant is to be told.
///
/// # Errors
/// As the rows fail, and where no larger fence exists.
pub fn acquire<R: Rows>(
    rows: &mut R,
    ask: &Ask,
    channel: u64,
    at: Event,
) -> Result<(Answer, Option<HandOff>), R::Error> {
    let holder = live_holder(rows, at.now)?;
    if rows.tomb(&ask.token, at.now)?.is_some() {
        let hand_off = if holder.is_none() { pass_on(rows, at)? } else { None };
        return Ok((Answer::Cancelled, hand_off));
    }
    if let Some(mut tenure) = holder {
        if tenure.token != ask.token {
            return Ok((taken(rows, ask, channel, &tenure, at)?, None));
        }
        // Asked before, or handed over: the same tenure, the same fence.
        let confirmed = (at.now + ask.ttl + ask.grace).max(tenure.until);
        tenure.until = confirmed;
        tenure.told = tenure.told.max(at.now + ask.ttl);
        tenure.claimed = false;
        rows.set_holder(Some(&tenure))?;
        return Ok((granted(&tenure, ask), None));
    }
    match first_live(rows, at.now)? {
        Some(head) if head.token != ask.token => {
            let hand_off = grant_to(rows, head, at)?;
            // The lock is taken now, by the waiter that was before this ask.
            let answer = match live_holder(rows, at.now)? {
                Some(tenure) => taken(rows, ask, channel, &tenure, at)?,
                None => Answer::Busy { holder: None },
            };
            Ok((answer, Some(hand_off)))
        }
        own_or_none => {
            if own_or_none.is_some() {
                rows.remove_waiter(&ask.token)?;
            }
            let tenure = Tenure {
                token: ask.token,
                fence: claim_fence(rows, at)?,
                until: at.now + ask.ttl + ask.grace,
                told: at.now + ask.ttl,
                claimed: false,
                owner: ask.owner,
                profile: Arc::clone(&ask.profile),
            };
            rows.set_holder(Some(&tenure))?;
            Ok((granted(&tenure, ask), None))
        }
    }
}

/// Whether `ask` would be granted now; grants nothing. For all-or-nothing calls.
///
/// # Errors
/// As the rows fail.
pub fn available<R: Rows>(rows: &mut R, ask: &Ask, at: Event) -> Result<Option<Answer>, R::Error> {
    // Clears away a tenure that ran out, as the ask itself would: its token is barred from here on.
    let holder = live_holder(rows, at.now)?;
    if rows.tomb(&ask.token, at.now)?.is_some() {
        return Ok(Some(Answer::Cancelled));
    }
    match holder {
        Some(tenure) if tenure.token == ask.token => Ok(None),
        Some(tenure) => Ok(Some(Answer::Busy { holder: Some(holding(&tenure, at.now)) })),
        None => match first_live(rows, at.now)? {
            Some(head) if head.token != ask.token => Ok(Some(Answer::Busy { holder: None })),
            _ => Ok(None),
        },
    }
}

/// Prolongs a tenure.
///
/// # Errors
/// As the rows fail.
pub fn renew<R: Rows>(rows: &mut R, hold: &Hold, at: Event) -> Result<Renewal, R::Error> {
    let (until, told) = (at.now + hold.ttl + hold.grace, at.now + hold.ttl);
    if rows.prolong(&hold.token, until, told, at.now)? {
        return Ok(Renewal::Renewed { stored_for: hold.ttl + hold.grace });
    }
    Ok(Renewal::Gone(match rows.tomb(&hold.token, at.now)? {
        Some(Tomb::Revoked) => LostReason::Revoked,
        _ if rows.holder()?.is_some_and(|tenure| tenure.token != hold.token) => {
            LostReason::Superseded
        }
        _ => LostReason::Expired,
    }))
}

/// Ends a tenure or leaves the queue, and hands the lock to the first live waiter.
///
/// # Errors
/// As the rows fail.
pub fn release<R: Rows>(
    rows: &mut R,
    token: &Token,
    cancel: Cancel,
    at: Event,
) -> Result<(Released, Option<HandOff>), R::Error> {
    if let Cancel::Tombstone(span) = cancel {
        rows.bury(token, Tomb::Cancelled, at.now, at.now + span)?;
    }
    let waited = rows.remove_waiter(token)?;
    let holder = live_holder(rows, at.now)?;
    let own = holder.as_ref().is_some_and(|tenure| tenure.token == *token);
    let hand_off = if own || holder.is_none() { pass_on(rows, at)? } else { None };
    let done = match (own, waited) {
        (true, _) => Released::Released,
        (false, true) => Released::LeftQueue,
        (false, false) => Released::NotHeld,
    };
    Ok((done, hand_off))
}

/// Ends a tenure from outside: its token never holds again, and the fence moves on.
///
/// # Errors
/// As the rows fail, and where no larger fence exists.
pub fn evict<R: Rows>(
    rows: &mut R,
    why: &Evict,
    at: Event,
) -> Result<(Evicted, Option<HandOff>), R::Error> {
    let tenure = match live_holder(rows, at.now)? {
        Some(tenure) if why.fence.is_none_or(|fence| fence == tenure.fence) => tenure,
        _ => return Ok((Evicted::NotHeld, None)),
    };
    rows.bury(&tenure.token, Tomb::Revoked, at.now, at.now + ENDED_FOR)?;
    claim_fence(rows, at)?;
    let hand_off = pass_on(rows, at)?;
    Ok((Evicted::Evicted { fence: tenure.fence, profile: tenure.profile }, hand_off))
}

/// The answer to an ask for a lock that another holds: a place in the queue, or busy.
fn taken<R: Rows>(
    rows: &mut R,
    ask: &Ask,
    channel: u64,
    holder: &Tenure,
    at: Event,
) -> Result<Answer, R::Error> {
    let Some(wait) = ask.wait else {
        return Ok(Answer::Busy { holder: Some(holding(holder, at.now)) });
    };
    let known = rows.waiter(&ask.token)?;
    if known.is_none() && rows.crowded(u64::from(wait.max_queue), at.now)? {
        return Ok(Answer::QueueFull { limit: wait.max_queue });
    }
    let (priority, seq) = match &known {
        Some(entry) => (entry.priority, entry.seq),
        None => (wait.priority, rows.next_seq(wait.priority)?),
    };
    let waiter = Waiter {
        token: ask.token,
        priority,
        seq,
        alive_until: at.now + wait.alive_for,
        claim: wait.claim,
        channel,
        owner: ask.owner,
        profile: Arc::clone(&ask.profile),
    };
    rows.set_waiter(&waiter)?;
    let first = first_live(rows, at.now)?.is_some_and(|head| head.token == ask.token);
    Ok(Answer::Queued {
        first,
        look_again_in: next_look(first, holder, &wait, at.now),
        holder: Some(holding(holder, at.now)),
    })
}

/// The first in line looks again when the tenure ends, the others at their heartbeat: only one
/// timer per lock watches the holder, however many wait.
fn next_look(first: bool, holder: &Tenure, wait: &Wait, now: BootTime) -> Duration {
    if first { wait.heartbeat.min(holder.until.since(now)) } else { wait.heartbeat }
}

/// The tenure, if it is live. One that ran out is cleared away and its token buried: a waiter that
/// slept through its claim must not come back as the holder of a second tenure.
fn live_holder<R: Rows>(rows: &mut R, now: BootTime) -> Result<Option<Tenure>, R::Error> {
    let Some(tenure) = rows.holder()? else { return Ok(None) };
    if tenure.until > now {
        return Ok(Some(tenure));
    }
    rows.set_holder(None)?;
    rows.bury(&tenure.token, Tomb::Expired, now, now + ENDED_FOR)?;
    Ok(None)
}

/// The first waiter that is alive; the dead before it are removed.
fn first_live<R: Rows>(rows: &mut R, now: BootTime) -> Result<Option<Waiter>, R::Error> {
    while let Some(head) = rows.head()? {
        if head.alive_until > now {
            return Ok(Some(head));
        }
        rows.remove_waiter(&head.token)?;
    }
    Ok(None)
}

/// Frees the lock and grants it to the first live waiter.
fn pass_on<R: Rows>(rows: &mut R, at: Event) -> Result<Option<HandOff>, R::Error> {
    rows.set_holder(None)?;
    match first_live(rows, at.now)? {
        Some(head) => grant_to(rows, head, at).map(Some),
        None => Ok(None),
    }
}

fn grant_to<R: Rows>(rows: &mut R, head: Waiter, at: Event) -> Result<HandOff, R::Error> {
    rows.remove_waiter(&head.token)?;
    let tenure = Tenure {
        token: head.token,
        fence: claim_fence(rows, at)?,
        until: at.now + head.claim,
        told: at.now + head.claim,
        claimed: true,
        owner: head.owner,
        profile: head.profile,
    };
    rows.set_holder(Some(&tenure))?;
    Ok(HandOff {
        name: rows.name().clone(),
        token: tenure.token,
        fence: tenure.fence,
        until: tenure.until,
        channel: head.channel,
    })
}

fn claim_fence<R: Rows>(rows: &mut R, at: Event) -> Result<u64, R::Error> {
    let next = fence::next_fence(rows.last_fence()?, at.wall_us)?;
    rows.set_last_fence(next)?;
    Ok(next)
}

fn granted(tenure: &Tenure, ask: &Ask) -> Answer {
    Answer::Granted { fence: tenure.fence, stored_for: ask.ttl + ask.grace }
}

fn holding(tenure: &Tenure, now: BootTime) -> Holding {
    Holding::ours(tenure.until, now, &tenure.profile)
}
