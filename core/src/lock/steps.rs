//! The steps of a lock: acquire, renew, release, evict. For all kinds, with one queue by arrival,
//! hand-off, tombstones and fences; whose turn it is says turn.rs.
//!
//! Each function is one atomic step. What makes it right (docs/hazards.md):
//! * a token becomes holder once: by grant or hand-off, never after a tombstone, never again after
//!   its tenure ended (the tenure's end removes the only row that names it);
//! * whoever finds that a waiter can be granted grants it before anything else, so no order of steps
//!   loses a wake-up;
//! * a dead waiter costs nothing when its heartbeat lapsed, and its claim when it died after being
//!   chosen;
//! * expiry is strict: a tenure ends at `until`, and a renewal at that instant comes too late;
//! * each holder has a tenure of its own: what one does or fails to do prolongs and ends no other's.

use std::sync::Arc;
use std::time::Duration;

use super::capacity::follow;
use super::rows::{Event, HandOff, Rows, Tenure, Tomb, Waiter};
use super::turn::{Turn, admits, claim_fence, first_live, grant, grant_readers, pass_on};
use crate::store::{
    Answer, Ask, Cancel, Evict, Evicted, Hold, Holding, Kind, Released, Renewal, Wait,
};
use crate::sys::{BootTime, Token};
use crate::{LostReason, Name};

/// How long the token of an ended tenure is refused: longer than any request can be on its way.
const ENDED_FOR: Duration = Duration::from_secs(60);

/// Asks for the lock; `channel` is where a later grant is to be told. Grants made to other waiters
/// are added to `told`.
///
/// # Errors
/// As the rows fail, and where no larger fence exists.
pub fn acquire<R: Rows>(
    rows: &mut R,
    ask: &Ask,
    channel: u64,
    at: Event,
    told: &mut Vec<HandOff>,
) -> Result<Answer, R::Error> {
    let (ask, refused) = follow(rows, ask, at)?;
    let ask = &*ask;
    let (holder, ended) = live_holder(rows, at.now)?;
    if rows.tomb(&ask.token, at.now)?.is_some() {
        pass_on(rows, holder, ended, None, at, told)?;
        return Ok(Answer::Cancelled);
    }
    if let Some(own) = own_tenure(rows, holder.as_ref(), &ask.token)? {
        pass_on(rows, holder, ended, None, at, told)?;
        return again(rows, own, ask, at, told);
    }
    let turn = pass_on(rows, holder, ended, Some(&ask.token), at, told)?;
    if let Some(used) = turn.waits_for_other(ask) {
        leave_for_other(rows, turn, ended, ask, at, told)?;
        return Ok(Answer::Misfit { used });
    }
    if let Some(tenure) = turn.holder.as_ref().filter(|tenure| !tenure.kind.fits(ask.kind)) {
        return Ok(Answer::Misfit { used: tenure.kind });
    }
    if let Some(used) = refused {
        return Ok(Answer::Misfit { used });
    }
    if !admits(rows, &turn, ask)? {
        return taken(rows, ask, channel, &turn, at);
    }
    let waited = turn.waits_as(ask).is_some();
    if waited {
        rows.remove_waiter(&ask.token)?;
    }
    let epoch = turn.holder.map(|tenure| tenure.fence);
    let tenure = grant(rows, ask, epoch, at)?;
    let answer = granted(&tenure, ask);
    if waited {
        // Others may fit beside it.
        pass_on(rows, Some(tenure), None, None, at, told)?;
    }
    Ok(answer)
}

/// Has the tenure of `ask`'s attempt be held as it asks; of one that has none, makes none.
///
/// # Errors
/// As the rows fail, and where no larger fence exists.
pub fn change<R: Rows>(
    rows: &mut R,
    ask: &Ask,
    at: Event,
    told: &mut Vec<HandOff>,
) -> Result<Answer, R::Error> {
    let (ask, _) = follow(rows, ask, at)?;
    let (holder, ended) = live_holder(rows, at.now)?;
    let own = own_tenure(rows, holder.as_ref(), &ask.token)?;
    pass_on(rows, holder, ended, None, at, told)?;
    match own {
        Some(own) => again(rows, own, &ask, at, told),
        None => Ok(Answer::Cancelled),
    }
}

/// Whether `ask` would be granted now; grants nothing to it. For all-or-nothing calls.
///
/// # Errors
/// As the rows fail.
pub fn available<R: Rows>(
    rows: &mut R,
    ask: &Ask,
    at: Event,
    told: &mut Vec<HandOff>,
) -> Result<Option<Answer>, R::Error> {
    let (ask, refused) = follow(rows, ask, at)?;
    let ask = &*ask;
    let (holder, ended) = live_holder(rows, at.now)?;
    let waits = rows.waiter(&ask.token)?.filter(|entry| entry.alive_until > at.now);
    if let Some(entry) = waits.filter(|entry| entry.kind != ask.kind) {
        // Or one that waits to read would be granted that here, and go on to write before the writers
        // that came first.
        rows.remove_waiter(&ask.token)?;
        pass_on(rows, holder, ended, None, at, told)?;
        return Ok(Some(Answer::Misfit { used: entry.kind }));
    }
    // If it waits for this lock and its turn has come, it holds it from here on.
    let turn = pass_on(rows, holder, ended, None, at, told)?;
    if rows.tomb(&ask.token, at.now)?.is_some() {
        return Ok(Some(Answer::Cancelled));
    }
    let Some(tenure) = &turn.holder else {
        if let Some(used) = refused {
            return Ok(Some(Answer::Misfit { used }));
        }
        return Ok((!admits(rows, &turn, ask)?).then_some(Answer::Busy { holder: None }));
    };
    if let Some(own) = own_tenure(rows, Some(tenure), &ask.token)? {
        return Ok(match (own.kind, ask.kind) {
            (Kind::Exclusive, Kind::Shared) => None,
            (Kind::Shared, Kind::Exclusive) if rows.sum()?.tenures == 1 => None,
            (held, asked) if held == asked => None,
            (held, asked) if held.fits(asked) => Some(Answer::Busy { holder: None }),
            (used, _) => Some(Answer::Misfit { used }),
        });
    }
    Ok(match (tenure.kind, refused) {
        (used, _) if !used.fits(ask.kind) => Some(Answer::Misfit { used }),
        (_, Some(used)) => Some(Answer::Misfit { used }),
        _ if admits(rows, &turn, ask)? => None,
        _ => Some(Answer::Busy { holder: Some(holding(rows, tenure, at.now)?) }),
    })
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
        _ if superseded(rows, hold, at.now)? => LostReason::Superseded,
        _ => LostReason::Expired,
    }))
}

/// Ends a tenure or leaves the queue, and grants what can then be granted.
///
/// # Errors
/// As the rows fail.
pub fn release<R: Rows>(
    rows: &mut R,
    token: &Token,
    cancel: Cancel,
    at: Event,
    told: &mut Vec<HandOff>,
) -> Result<Released, R::Error> {
    if let Cancel::Tombstone(span) = cancel {
        rows.bury(token, Tomb::Cancelled, at.now, at.now + span)?;
    }
    let waited = rows.remove_waiter(token)?;
    let (mut holder, mut ended) = live_holder(rows, at.now)?;
    let own = own_tenure(rows, holder.as_ref(), token)?;
    if let Some(own) = &own {
        rows.remove_tenure(token)?;
        ended = Some(own.kind);
        // Of several it may have been the one that stood for all.
        holder = if own.kind == Kind::Exclusive { None } else { rows.holder()? };
    }
    pass_on(rows, holder, ended, None, at, told)?;
    Ok(match (own.is_some(), waited) {
        (true, _) => Released::Released,
        (false, true) => Released::LeftQueue,
        (false, false) => Released::NotHeld,
    })
}

/// Ends the tenures of a lock from outside, or those with the fence that is given: their tokens never
/// hold again, and the fence moves on.
///
/// # Errors
/// As the rows fail, and where no larger fence exists.
pub fn evict<R: Rows>(
    rows: &mut R,
    why: &Evict,
    at: Event,
    told: &mut Vec<HandOff>,
) -> Result<Evicted, R::Error> {
    let (mut holder, ended) = live_holder(rows, at.now)?;
    let mut kept = Vec::new();
    let mut first: Option<Tenure> = None;
    while let Some(tenure) = holder {
        rows.remove_tenure(&tenure.token)?;
        let exclusive = tenure.kind == Kind::Exclusive;
        if why.fence.is_none_or(|fence| fence == tenure.fence) {
            rows.bury(&tenure.token, Tomb::Revoked, at.now, at.now + ENDED_FOR)?;
            first.get_or_insert(tenure);
        } else {
            kept.push(tenure);
        }
        holder = if exclusive { None } else { rows.holder()? };
    }
    for tenure in &kept {
        rows.set_tenure(tenure)?;
    }
    let Some(tenure) = first else {
        pass_on(rows, kept.into_iter().next(), ended, None, at, told)?;
        return Ok(Evicted::NotHeld);
    };
    claim_fence(rows, 1, at)?;
    pass_on(rows, kept.into_iter().next(), Some(tenure.kind), None, at, told)?;
    Ok(Evicted::Evicted { fence: tenure.fence, profile: tenure.profile })
}

/// An attempt that is first in line for one thing and asks for another loses its place: it is not one
/// for what it asks now, and what it kept from others is theirs.
fn leave_for_other<R: Rows>(
    rows: &mut R,
    turn: Turn,
    ended: Option<Kind>,
    ask: &Ask,
    at: Event,
    told: &mut Vec<HandOff>,
) -> Result<(), R::Error> {
    rows.remove_waiter(&ask.token)?;
    pass_on(rows, turn.holder, ended, None, at, told).map(drop)
}

/// The answer to an attempt that holds the lock already: asked before, handed over, or to be held
/// otherwise from now on.
fn again<R: Rows>(
    rows: &mut R,
    mut own: Tenure,
    ask: &Ask,
    at: Event,
    told: &mut Vec<HandOff>,
) -> Result<Answer, R::Error> {
    let before = own.kind;
    match (before, ask.kind) {
        (Kind::Shared, Kind::Exclusive) => {
            let sum = rows.sum()?;
            if sum.tenures > 1 {
                let cycle = reader_among(&ask.name, sum.tenures - 1);
                return Ok(Answer::Deadlock { cycle });
            }
            own.fence = claim_fence(rows, ask.fences(), at)?;
        }
        (Kind::Exclusive, Kind::Shared) => {}
        (held, asked) if held == asked => {}
        _ => return Ok(Answer::Misfit { used: before }),
    }
    own.kind = ask.kind;
    own.until = (at.now + ask.ttl + ask.grace).max(own.until);
    own.told = own.told.max(at.now + ask.ttl);
    own.claimed = false;
    rows.set_tenure(&own)?;
    let answer = granted(&own, ask);
    if (before, ask.kind) == (Kind::Exclusive, Kind::Shared) {
        // The writer's phase has ended.
        grant_readers(rows, Some(&own), None, at, told)?;
    }
    Ok(answer)
}

/// The cycle that a reader of `name` would close which waits to write beside `others`.
pub(crate) fn reader_among(name: &Name, others: u64) -> Vec<String> {
    vec![
        format!("a reader of lock {name} that asks to write"),
        format!("{others} other readers, itself among those they exclude"),
    ]
}

/// The answer to an ask for a lock that others hold: a place in the queue, or busy.
fn taken<R: Rows>(
    rows: &mut R,
    ask: &Ask,
    channel: u64,
    turn: &Turn,
    at: Event,
) -> Result<Answer, R::Error> {
    let Some(tenure) = &turn.holder else { return Ok(Answer::Busy { holder: None }) };
    let holder = holding(rows, tenure, at.now)?;
    let Some(wait) = ask.wait else { return Ok(Answer::Busy { holder: Some(holder) }) };
    let known = rows.waiter(&ask.token)?;
    if let Some(entry) = known.as_ref().filter(|entry| entry.kind != ask.kind) {
        rows.remove_waiter(&ask.token)?;
        return Ok(Answer::Misfit { used: entry.kind });
    }
    if known.is_none() && rows.crowded(u64::from(wait.max_queue), at.now)? {
        return Ok(Answer::QueueFull { limit: wait.max_queue });
    }
    let (priority, seq) = match &known {
        Some(entry) => (entry.priority, entry.seq),
        None => (wait.priority, rows.next_seq(ask.kind, wait.priority)?),
    };
    let waiter = Waiter {
        token: ask.token,
        kind: ask.kind,
        priority,
        seq,
        alive_until: at.now + wait.alive_for,
        claim: wait.claim,
        fences: ask.fences(),
        channel,
        owner: ask.owner,
        profile: Arc::clone(&ask.profile),
    };
    rows.set_waiter(&waiter)?;
    let first = first_live(rows, at.now)?.is_some_and(|head| head.waiter.token == ask.token);
    Ok(Answer::Queued {
        first,
        look_again_in: next_look(first, &holder, &wait),
        holder: Some(holder),
    })
}

/// The first in line looks again when the tenure ends, the others at their heartbeat: only one
/// timer per lock watches the holder, however many wait.
fn next_look(first: bool, holder: &Holding, wait: &Wait) -> Duration {
    match holder.expires_in {
        Some(left) if first => wait.heartbeat.min(left),
        _ => wait.heartbeat,
    }
}

/// One of the live tenures, and how that was held which was found to have run out. What ran out is
/// cleared away and its token buried: a waiter that slept through its claim must not come back as
/// the holder of a second tenure.
pub(super) fn live_holder<R: Rows>(
    rows: &mut R,
    now: BootTime,
) -> Result<(Option<Tenure>, Option<Kind>), R::Error> {
    let Some(tenure) = rows.holder()? else { return Ok((None, None)) };
    if tenure.kind == Kind::Exclusive {
        if tenure.until > now {
            return Ok((Some(tenure), None));
        }
        rows.remove_tenure(&tenure.token)?;
        bury_expired(rows, &tenure.token, tenure.until, now)?;
        return Ok((None, Some(tenure.kind)));
    }
    let expired = rows.take_expired(now)?;
    if expired.is_empty() {
        return Ok((Some(tenure), None));
    }
    for (token, until) in &expired {
        bury_expired(rows, token, *until, now)?;
    }
    Ok((rows.holder()?, Some(tenure.kind)))
}

/// Buries the token of a tenure that ran out at `until`; not where that was found out too late to
/// matter.
fn bury_expired<R: Rows>(
    rows: &mut R,
    token: &Token,
    until: BootTime,
    now: BootTime,
) -> Result<(), R::Error> {
    let buried = until + ENDED_FOR;
    if buried > now { rows.bury(token, Tomb::Expired, now, buried) } else { Ok(()) }
}

/// The tenure of `token`, of the live ones.
fn own_tenure<R: Rows>(
    rows: &mut R,
    holder: Option<&Tenure>,
    token: &Token,
) -> Result<Option<Tenure>, R::Error> {
    match holder {
        Some(tenure) if tenure.token == *token => Ok(Some(tenure.clone())),
        Some(tenure) if tenure.kind != Kind::Exclusive => rows.tenure(token),
        _ => Ok(None),
    }
}

/// Whether another took the place of `hold`, whose own tenure is over: one that may be held beside it did not.
fn superseded<R: Rows>(rows: &mut R, hold: &Hold, now: BootTime) -> Result<bool, R::Error> {
    Ok(match rows.holder()? {
        Some(tenure) if tenure.kind == Kind::Exclusive => tenure.token != hold.token,
        // Of several the first may be its own.
        Some(_) => hold.kind == Kind::Exclusive && rows.sum()?.last_end > now,
        None => false,
    })
}

fn granted(tenure: &Tenure, ask: &Ask) -> Answer {
    Answer::Granted { fence: tenure.fence, stored_for: ask.ttl + ask.grace }
}

/// What an ask is told of those who hold the lock. Of readers that is when the last of them ends, of
/// permits when the first does: then there may be room.
fn holding<R: Rows>(rows: &mut R, tenure: &Tenure, now: BootTime) -> Result<Holding, R::Error> {
    let until = match tenure.kind {
        Kind::Exclusive => tenure.until,
        Kind::Shared => rows.sum()?.last_end,
        Kind::Permits { .. } => rows.sum()?.first_end,
    };
    Ok(Holding::ours(until, now, &tenure.profile))
}
