//! Several locks, all or none.
//!
//! Two traps. Who holds one lock while it waits for another can wait in a circle: so locks are waited
//! for in the order of their names, which is the same for everybody. And who asks for a thousand locks
//! one by one makes a thousand round trips: so all that are free are taken in one step of the store, and
//! only those that are not are waited for, each in its queue.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempt, Request, Unsure, ask_with, nothing_done, too_late, waited_out};
use super::cohort::unsupported;
use super::desk::{Outcome, settle, shut_down};
use crate::lease::release_together;
use crate::options::{Order, Patience, REQUEST_TIMEOUT};
use crate::runtime::within;
use crate::store::{Answer, Ask, Hold, How};
use crate::sys::BootTime;
use crate::watchdog::Terms;
use crate::{Error, ErrorKind, Lease, LostReason, Profile, Result};

/// What an ask for several came to.
enum Tried {
    Granted(Vec<Lease>),
    /// All that come before this one are free.
    Taken(usize),
    /// One was had and has ended before the answer came: the ask went twice, by a proxy.
    Ended,
}

impl Attempt {
    /// Takes all of `requests`, whose names differ and whose places are in `order` by their names, or
    /// none; their own waits don't count. None where one is taken and nothing is waited for. The leases
    /// come in the order of the requests.
    pub(crate) async fn acquire_all(
        &self,
        requests: Vec<Request>,
        order: &[usize],
        wait: Patience,
    ) -> Result<Option<Vec<Lease>>> {
        in_order(&requests)?;
        let mut listed: Vec<_> = requests.into_iter().map(Some).collect();
        let sorted: Vec<_> = order.iter().filter_map(|place| listed[*place].take()).collect();
        let sys = &self.runtime.sys;
        let give_up = match wait {
            Patience::Forever => BootTime::NEVER,
            Patience::AtMost(span) => sys.now() + span,
            Patience::None => sys.now() + REQUEST_TIMEOUT,
        };
        let mut held = Vec::with_capacity(sorted.len());
        loop {
            let done = self.take_in_order(&sorted, wait, give_up, &mut held).await;
            let lost = held.iter().find(|lease| !lease.is_held()).map(|lease| lease.name().clone());
            if let (Ok(true), None) = (&done, &lost) {
                break;
            }
            release_together(&held).await;
            held.clear();
            match (done?, lost) {
                // Its term ran out, or the store was out of reach, while another was waited for. All of
                // them anew: it comes before those that are had, and must not be waited for after them.
                (true, Some(name)) if wait == Patience::None => return Err(too_late(&name)),
                (true, Some(name)) if sys.now() >= give_up => return Err(waited_out(&name)),
                (true, _) => {}
                (false, _) => return Ok(None),
            }
        }
        let mut leases: Vec<_> = held.iter().map(|_| None).collect();
        for (place, lease) in order.iter().zip(held) {
            leases[*place] = Some(lease);
        }
        Ok(Some(leases.into_iter().flatten().collect()))
    }

    /// What each of `requests` comes to, in one request of the store; nothing is waited for.
    pub(crate) async fn try_each(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Result<Option<Lease>>>> {
        in_order(requests)?;
        let give_up = self.runtime.sys.now() + REQUEST_TIMEOUT;
        let mut each = self.ask_each(requests, give_up).await?;
        for (request, done) in requests.iter().zip(&mut each) {
            // It was had and has ended before the answer came, as `Tried::Ended`.
            while matches!(done, Err(error) if error.kind() == ErrorKind::Cancelled) {
                let again = self.ask_each(std::slice::from_ref(request), give_up).await;
                *done = again.and_then(|mut one| one.remove(0));
            }
        }
        Ok(each)
    }

    async fn ask_each(
        &self,
        requests: &[Request],
        give_up: BootTime,
    ) -> Result<Vec<Result<Option<Lease>>>> {
        let Asked { asks, mut guard, answers, sent } =
            self.ask_many(requests, How::EachAlone, give_up).await?;
        let now = self.runtime.sys.now();
        let each = asks.iter().zip(answers).zip(requests);
        let each: Vec<Result<Option<Lease>>> = each
            .map(|((ask, answer), request)| match answer {
                Answer::Granted { .. } => self.hold(request, ask, answer, (sent, now)).map(Some),
                Answer::Busy { .. } => Ok(None),
                other => Err(refusal(ask, sent, other)),
            })
            .collect();
        let leases = each.iter().flatten().flatten();
        self.hand_over(&mut guard, leases, |place| each[place].is_ok())?;
        Ok(each)
    }

    /// The watchdog has the leases, and the store knows nothing of the rest of those whose places are
    /// `these`. An error where the client's end took them.
    fn hand_over<'l>(
        &self,
        guard: &mut Unsure<Vec<Hold>>,
        leases: impl Iterator<Item = &'l Lease>,
        these: impl Fn(usize) -> bool,
    ) -> Result<()> {
        // Not before: the end of the client must find each in one of the two places.
        if guard.disarm_those(these) {
            return Ok(());
        }
        let mut ended = Ok(());
        for lease in leases {
            self.runtime.watchdog.lose(lease.held(), LostReason::Shutdown);
            ended = Err(shut_down(lease.name()));
        }
        ended
    }

    /// Puts the leases of `rest` into `held`, in order, until one of them is lost. False where one is
    /// taken and nothing is waited for.
    async fn take_in_order(
        &self,
        mut rest: &[Request],
        wait: Patience,
        give_up: BootTime,
        held: &mut Vec<Lease>,
    ) -> Result<bool> {
        let sys = &self.runtime.sys;
        // An owner's own lock is no obstacle, which only the way of a single one knows.
        let atomic = self.desk.store().capabilities().atomic_multi
            && rest.iter().all(|request| request.options.owner.is_none());
        while !rest.is_empty() && held.iter().all(Lease::is_held) {
            let mut free = if atomic { rest.len() } else { 0 };
            while free > 0 {
                match self.take_at_once(&rest[..free], give_up).await? {
                    Tried::Granted(leases) => {
                        held.extend(leases);
                        break;
                    }
                    Tried::Taken(_) if wait == Patience::None => return Ok(false),
                    // What is before it may have been taken meanwhile, by one that has not all.
                    Tried::Taken(first) => free = first,
                    // With new tokens, as an attempt for one that slept through its claim.
                    Tried::Ended => {}
                }
            }
            let Some((next, later)) = rest[free..].split_first() else { break };
            rest = later;
            let mut next = next.clone();
            next.options.wait = match wait {
                Patience::AtMost(_) => Patience::AtMost(give_up.since(sys.now())),
                other => other,
            };
            if next.options.wait == Patience::AtMost(Duration::ZERO) {
                return Err(waited_out(&next.name));
            }
            match self.clone().acquire(next).await? {
                Some(lease) => held.push(lease),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn take_at_once(&self, requests: &[Request], give_up: BootTime) -> Result<Tried> {
        let Asked { asks, mut guard, answers, sent } =
            self.ask_many(requests, How::AllOrNothing, give_up).await?;
        if answers.iter().all(|answer| matches!(answer, Answer::Granted { .. })) {
            let now = self.runtime.sys.now();
            let each = asks.iter().zip(answers).zip(requests);
            let leases =
                each.map(|((ask, answer), request)| self.hold(request, ask, answer, (sent, now)));
            let leases: Vec<Lease> = leases.collect::<Result<_>>()?;
            self.hand_over(&mut guard, leases.iter(), |_| true)?;
            return Ok(Tried::Granted(leases));
        }
        if answers.contains(&Answer::Cancelled) {
            // The others may be had: their guard ends them.
            return Ok(Tried::Ended);
        }
        guard.disarm();
        let mut first = None;
        for (index, (ask, answer)) in asks.iter().zip(answers).enumerate() {
            match answer {
                Answer::Busy { holder: None } => {}
                Answer::Busy { .. } => first = first.or(Some(index)),
                other => return Err(refusal(ask, sent, other)),
            }
        }
        Ok(Tried::Taken(first.unwrap_or(0)))
    }

    /// Asks for all of `requests` at once.
    async fn ask_many(&self, requests: &[Request], how: How, give_up: BootTime) -> Result<Asked> {
        let sys = &self.runtime.sys;
        let mut asks = Vec::with_capacity(requests.len());
        let mut before: Option<(&Request, Arc<Profile>)> = None;
        for (request, token) in requests.iter().zip(sys.tokens(requests.len())) {
            // Most are shown alike: a thousand need not be described a thousand times.
            let profile = match &before {
                Some((like, profile)) if like.is_shown_as(request) => Arc::clone(profile),
                _ => Arc::new(request.who.profile(sys.moment(), &request.options)),
            };
            before = Some((request, Arc::clone(&profile)));
            let ask = Ask { wait: None, ..ask_with(token, request, profile) };
            asks.push(ask);
        }
        let mut guard = Unsure::of(self, asks.iter().map(Hold::of).collect::<Vec<_>>())?;
        let sent = sys.now();
        let limit = give_up.min(sent + REQUEST_TIMEOUT);
        match within(sys, limit, self.desk.store().acquire(&asks, how)).await {
            Some(Ok(answers)) if answers.len() == asks.len() => {
                Ok(Asked { asks, guard, answers, sent })
            }
            Some(Ok(_)) => Err(Error::new(ErrorKind::Internal, "the store left answers out")),
            Some(Err(error)) => {
                if nothing_done(error.kind()) {
                    guard.disarm();
                }
                Err(error)
            }
            None => Err(Error::new(
                ErrorKind::StoreUnavailable,
                format!("the store did not answer the request for {} locks in time", asks.len()),
            )),
        }
    }

    /// The lease of a grant that was `sent` for and came `now`.
    fn hold(
        &self,
        request: &Request,
        ask: &Ask,
        answer: Answer,
        (sent, now): (BootTime, BootTime),
    ) -> Result<Lease> {
        let Outcome::Granted { fence, deadline, .. } = settle(ask, sent, answer) else {
            return Err(Error::new(ErrorKind::Internal, "a grant is one"));
        };
        if deadline.since(now).is_zero() {
            return Err(too_late(&ask.name));
        }
        let options = &request.options;
        let (ttl, renew, max_hold) = (options.ttl, options.renew, options.max_hold);
        let terms = Terms { fence, ttl, deadline, renew, max_hold, strays: false };
        let store = Arc::clone(self.desk.store());
        let held = self.runtime.watchdog.watch(now, store, Hold::of(ask), terms, None);
        Ok(Lease::new(held, self.shelf(), options.owner))
    }
}

/// Refuses a lock whose waiters have an order of their own: one that comes in the middle of a list would
/// have to be passed on while the others are held.
fn in_order(requests: &[Request]) -> Result<()> {
    match requests.iter().find(|request| request.options.order == Order::Throughput) {
        Some(request) => Err(unsupported(&request.name, "is for locks that are taken alone")),
        None => Ok(()),
    }
}

/// Several asks that were answered. What its guard is armed for when it is dropped is ended at the store.
struct Asked {
    asks: Vec<Ask>,
    guard: Unsure<Vec<Hold>>,
    answers: Vec<Answer>,
    sent: BootTime,
}

fn refusal(ask: &Ask, sent: BootTime, answer: Answer) -> Error {
    match settle(ask, sent, answer) {
        Outcome::Refused(error) => error,
        Outcome::Granted { .. } => Error::new(ErrorKind::Internal, "a refusal is one"),
    }
}
