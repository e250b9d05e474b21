//! One try to take a lock, from the first ask to the lease. Whatever await point it is dropped at,
//! what it obtained is given back.

use std::sync::Arc;
use std::time::Duration;

use super::cells::Shelf;
use super::cohort;
use super::cycle;
use super::desk::{Desk, Outcome, SILENCE, settle, shut_down};
use super::reentry::Entered;
use crate::options::{CLAIM, LockOptions, Order, Patience, REQUEST_TIMEOUT, TOMBSTONE, grace};
use crate::owner::Who;
use crate::runtime::{Burial, Runtime, unless, within};
use crate::store::{Answer, Ask, Cancel, Hold, How, Kind};
use crate::sys::fork::Inherited;
use crate::sys::{BootTime, Sys, Token};
use crate::watchdog::{Held, Terms};
use crate::{Error, ErrorKind, Lease, LostReason, Name, Profile, Result};

/// A hand-off is given to the user at once only with this much belief left.
const ENOUGH: Duration = Duration::from_millis(500);
/// Before an ask whose connection was lost is repeated. Much shorter than a claim.
const AGAIN: Duration = Duration::from_millis(50);
/// An ask that failed later than this met more than a connection that an idle hour had ended.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What is asked for.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) name: Name,
    pub(crate) kind: Kind,
    pub(crate) options: LockOptions,
    pub(crate) who: Arc<Who>,
}

impl Request {
    /// Whether people see the same of both.
    pub(super) fn is_shown_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.who, &other.who)
            && self.options.note == other.options.note
            && self.options.deadlock_priority == other.options.deadlock_priority
    }
}

/// What an attempt works with.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) desk: Arc<Desk>,
}

impl Attempt {
    /// Takes the lock. None where it is taken and the request doesn't wait.
    pub(crate) async fn acquire(self, request: Request) -> Result<Option<Lease>> {
        let Request { name, kind, options, .. } = &request;
        let sys = &self.runtime.sys;
        let started = sys.now();
        let give_up = match options.wait {
            Patience::Forever => BootTime::NEVER,
            Patience::AtMost(wait) => started + wait,
            Patience::None => started + REQUEST_TIMEOUT,
        };
        if options.order == Order::Throughput {
            return cohort::acquire(&self, &request, give_up).await;
        }
        let turn = match options.owner {
            Some(owner) if *kind == Kind::Exclusive => {
                // What doesn't wait for others doesn't wait for itself either.
                let until = if options.wait == Patience::None { started } else { give_up };
                match self.desk.reentry.enter(sys, name, owner, until).await {
                    Entered::Again(held) => {
                        return Ok(Some(Lease::new(held, self.shelf(), Some(owner))));
                    }
                    Entered::First(turn) => Some(turn),
                    Entered::TimedOut if options.wait == Patience::None => return Ok(None),
                    Entered::TimedOut => {
                        return Err(waited_out(name));
                    }
                }
            }
            _ => None,
        };
        let Some(held) = self.take(&request, give_up, 1).await? else { return Ok(None) };
        if let Some(turn) = turn {
            turn.held(&held);
        }
        Ok(Some(Lease::new(held, self.shelf(), options.owner)))
    }

    /// Takes the lock from the store, with so many fences.
    pub(super) async fn take(
        &self,
        request: &Request,
        give_up: BootTime,
        fences: u32,
    ) -> Result<Option<Arc<Held>>> {
        let (sys, options) = (&self.runtime.sys, &request.options);
        let mut ask = ask_of(sys, request);
        if let Some(wait) = &mut ask.wait {
            wait.fences = fences;
        }
        let mut unsure = Unsure::new(self, &ask)?;
        let mut strays = false;
        // When a grant came that needs to be confirmed.
        let mut handed_at: Option<BootTime> = None;
        let mut first = true;
        let (fence, deadline, claimed) = loop {
            let asked_at = sys.now();
            match self.ask(&ask, give_up).await {
                Ok(Some(Outcome::Granted { fence, deadline, claimed, stray })) => {
                    strays |= stray;
                    let left = deadline.since(sys.now());
                    if left >= ENOUGH || (!claimed && !left.is_zero()) {
                        // A fixed term needs its whole length confirmed before it is used.
                        if !claimed || options.renew {
                            break (fence, deadline, claimed);
                        }
                    }
                    // A claim is confirmed by asking again, for the ask is idempotent. An answer
                    // that came after its own lease is given back.
                    if !claimed {
                        if let Some(owner) = ask.owner {
                            // The store has it still: the owner must not be taken to wait for itself.
                            self.desk.reentry.was_over(&ask.name, owner, fence);
                        }
                        if give_up <= sys.now() || ask.wait.is_none() {
                            return Err(too_late(&ask.name));
                        }
                        unsure = self.start_over(&mut ask)?;
                    }
                    handed_at = Some(sys.now());
                }
                // The ask is idempotent. As with a heartbeat, a waiter that was handed the lock
                // outlives the loss of a connection; the first ask may find one that died of idleness.
                Err(error)
                    if error.kind() == ErrorKind::StoreUnavailable
                        && sys.now() < give_up
                        && match handed_at {
                            Some(at) => sys.now().since(at) < SILENCE,
                            None => {
                                std::mem::take(&mut first) && sys.now().since(asked_at) < AT_ONCE
                            }
                        } =>
                {
                    tracing::debug!(name = %ask.name, %error, "asking again");
                    strays = true;
                    sys.sleep_until((sys.now() + sys.jitter(AGAIN)).min(give_up)).await;
                }
                // Its tenure ended before the attempt knew of it: a slept-through claim.
                Ok(Some(Outcome::Refused(error))) if error.kind() == ErrorKind::Cancelled => {
                    unsure = self.start_over(&mut ask)?;
                }
                Ok(Some(Outcome::Refused(error))) | Err(error) => {
                    if !strays && nothing_done(error.kind()) {
                        unsure.disarm();
                    }
                    return Err(error);
                }
                Ok(None) => {
                    // An ask that was never answered may come after this one, and find the lock free.
                    if !strays {
                        unsure.disarm();
                    }
                    return Ok(None);
                }
            }
        };
        let terms = Terms {
            fence,
            ttl: options.ttl,
            deadline,
            renew: options.renew,
            max_hold: options.max_hold,
            strays,
        };
        let (store, hold) = (Arc::clone(self.desk.store()), Hold::of(&ask));
        let now = sys.now();
        // A third of what is left: a push that came late has less than the claim.
        let confirm_in = claimed.then(|| (deadline.since(now) / 3).min(CLAIM / 3));
        let held = self.runtime.watchdog.watch(now, store, hold, terms, confirm_in);
        // Not before: the end of the client must find it in one of the two places.
        if !unsure.disarm() {
            self.runtime.watchdog.lose(&held, LostReason::Shutdown);
            return Err(shut_down(&ask.name));
        }
        Ok(Some(held))
    }

    /// The cells of the store, for what a lease has to do with them.
    pub(super) fn shelf(&self) -> Shelf {
        Shelf { runtime: Arc::clone(&self.runtime), desk: Arc::clone(&self.desk) }
    }

    /// A new token, at the end of the queue: an old one never holds a second tenure. An error where
    /// the client's end took the attempt.
    fn start_over(&self, ask: &mut Ask) -> Result<Unsure> {
        if !self.desk.goes_on(&ask.token) {
            return Err(shut_down(&ask.name));
        }
        ask.token = self.runtime.sys.token();
        Unsure::new(self, ask)
    }

    /// Asks once and, if it is queued, waits. None where it is taken and the ask doesn't wait.
    async fn ask(&self, ask: &Ask, give_up: BootTime) -> Result<Option<Outcome>> {
        let sys = &self.runtime.sys;
        let sent = sys.now();
        let outcome = ask.wait.map(|_| self.desk.register(ask, sent)).transpose()?;
        let limit = give_up.min(sent + REQUEST_TIMEOUT);
        let asks = std::slice::from_ref(ask);
        let answers = within(sys, limit, self.desk.store().acquire(asks, How::EachAlone)).await;
        let answer = match answers {
            Some(Ok(answers)) => answers.into_iter().next(),
            Some(Err(error)) => {
                self.desk.remove(&ask.token);
                return Err(error);
            }
            None => {
                self.desk.remove(&ask.token);
                // The caller's own limit is a timeout, whatever kept the store.
                if ask.wait.is_some() && limit == give_up {
                    return Err(waited_out(&ask.name));
                }
                return Err(Error::new(
                    ErrorKind::StoreUnavailable,
                    format!("the store did not answer the request for lock {} in time", ask.name),
                ));
            }
        };
        match (answer, outcome) {
            (Some(Answer::Busy { .. }), None) => Ok(None),
            (Some(Answer::Queued { first, look_again_in, .. }), Some(outcome)) => {
                self.desk.queued(&ask.token, look_again_in, first);
                let waited = match ask.owner {
                    None => within(sys, give_up, outcome).await.map(Err),
                    Some(owner) => {
                        let cycle = Box::pin(cycle::closed(&self.desk, owner, ask.token));
                        // The outcome goes first: what was granted in the end is no deadlock.
                        let waited = within(sys, give_up, unless(outcome, cycle)).await;
                        if let Some(graph) = self.desk.store().waits_for() {
                            graph.over(owner, ask.token, &ask.name);
                        }
                        waited
                    }
                };
                match waited {
                    Some(Err(Ok(outcome))) => Ok(Some(outcome)),
                    Some(Err(Err(_))) => {
                        Err(Error::new(ErrorKind::ShutDown, "the client was shut down"))
                    }
                    Some(Ok(cycle)) => Err(Error::deadlock(&ask.name, cycle)),
                    None => Err(waited_out(&ask.name)),
                }
            }
            (Some(answer), _) => {
                self.desk.remove(&ask.token);
                Ok(Some(settle(ask, sent, answer)))
            }
            (None, _) => Err(Error::new(ErrorKind::Internal, "the store gave no answer")),
        }
    }
}

/// A new attempt at what is requested.
pub(super) fn ask_of(sys: &Sys, request: &Request) -> Ask {
    let Request { options, who, .. } = request;
    ask_with(sys.token(), request, Arc::new(who.profile(sys.moment(), options)))
}

/// The same with this `token`, which people see as `profile`.
pub(super) fn ask_with(token: Token, request: &Request, profile: Arc<Profile>) -> Ask {
    let Request { name, kind, options, .. } = request;
    Ask {
        name: name.clone(),
        kind: *kind,
        token,
        ttl: options.ttl,
        grace: grace(options.ttl),
        wait: options.queueing(),
        owner: options.owner,
        profile,
    }
}

pub(super) fn waited_out(name: &Name) -> Error {
    Error::new(ErrorKind::Timeout, format!("lock {name} was not granted within the wait"))
}

pub(super) fn too_late(name: &Name) -> Error {
    Error::new(
        ErrorKind::StoreUnavailable,
        format!("lock {name} was granted, but the answer came after its lease"),
    )
}

/// Whether the store's refusal means that it knows nothing of the attempt.
pub(super) fn nothing_done(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidInput
            | ErrorKind::Unsupported
            | ErrorKind::QueueFull
            | ErrorKind::Cancelled
            | ErrorKind::StoreFailed
    )
}

/// What ends an attempt at the store, with a tombstone against a request still on its way.
pub(crate) fn burial(sys: &Sys, desk: &Arc<Desk>, hold: Hold) -> Burial {
    let until = sys.now() + hold.ttl + hold.grace;
    Burial {
        store: Arc::clone(desk.store()),
        hold,
        cancel: Cancel::Tombstone(TOMBSTONE),
        until,
        desk: Some(Arc::clone(desk)),
    }
}

/// Stands for tokens that the store may know: dropped while armed, it has the reaper end the attempts
/// there, with a tombstone against a request that is still on its way; unless the client's end has done
/// so.
pub(super) struct Unsure<H: AsRef<[Hold]> = [Hold; 1]>(Inherited<Armed<H>>);

struct Armed<H: AsRef<[Hold]>> {
    runtime: Arc<Runtime>,
    desk: Arc<Desk>,
    holds: H,
}

impl Unsure {
    pub(super) fn new(attempt: &Attempt, ask: &Ask) -> Result<Self> {
        Self::of(attempt, [Hold::of(ask)])
    }
}

impl<H: AsRef<[Hold]>> Unsure<H> {
    pub(super) fn of(attempt: &Attempt, holds: H) -> Result<Self> {
        attempt.desk.begin(holds.as_ref())?;
        let (runtime, desk) = (Arc::clone(&attempt.runtime), Arc::clone(&attempt.desk));
        Ok(Self(Inherited::new(Armed { runtime, desk, holds })))
    }

    /// Whether it was armed: false where the client's end was first.
    pub(super) fn disarm(&mut self) -> bool {
        self.disarm_those(|_| true)
    }

    /// The same for those of the list whose places are `these`.
    pub(super) fn disarm_those(&mut self, these: impl Fn(usize) -> bool) -> bool {
        let holds = self.0.holds.as_ref().iter().enumerate().filter(|(place, _)| these(*place));
        self.0.desk.settled(holds.map(|(_, hold)| &hold.token))
    }
}

impl<H: AsRef<[Hold]>> Drop for Armed<H> {
    fn drop(&mut self) {
        // An exit that comes between the two must wait.
        let _under_way = self.runtime.reaper.wait_for_mine();
        for hold in self.holds.as_ref() {
            if self.desk.settled([&hold.token]) {
                let burial = burial(&self.runtime.sys, &self.desk, hold.clone());
                self.runtime.reaper.bury(burial);
            }
        }
    }
}
