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
    /// Takes all of `requests`, whose names differ, or none; their own waits don't count. None where
    /// one is taken and nothing is waited for. The leases come in the order of the requests.
    pub(crate) async fn acquire_all(
        &self,
        requests: Vec<Request>,
        wait: Patience,
    ) -> Result<Option<Vec<Lease>>> {
        in_order(&requests)?;
        let names: Vec<_> = requests.iter().map(|request| request.name.clone()).collect();
        let mut sorted = requests;
        sorted.sort_by(|one, other| one.name.cmp(&other.name));
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
        let mut ordered: Vec<Option<Lease>> = held.into_iter().map(Some).collect();
        let place = |name| ordered.partition_point(|lease| lease.as_ref().map(Lease::name) < name);
        let places: Vec<usize> = names.iter().map(|name| place(Some(name))).collect();
        Ok(Some(places.into_iter().filter_map(|place| ordered[place].take()).collect()))
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
        let Asked { asks, guards, answers, sent } =
            self.ask_many(requests, How::EachAlone, give_up).await?;
        let each = asks.iter().zip(guards).zip(answers).zip(requests);
        Ok(each
            .map(|(((ask, mut guard), answer), request)| match answer {
                Answer::Granted { .. } => self.hold(request, ask, guard, answer, sent).map(Some),
                Answer::Busy { .. } => {
                    guard.disarm();
                    Ok(None)
                }
                other => Err(refusal(ask, sent, other)),
            })
            .collect())
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
        let Asked { asks, mut guards, answers, sent } =
            self.ask_many(requests, How::AllOrNothing, give_up).await?;
        if answers.iter().all(|answer| matches!(answer, Answer::Granted { .. })) {
            let each = asks.iter().zip(guards).zip(answers).zip(requests);
            let leases = each.map(|(((ask, guard), answer), request)| {
                self.hold(request, ask, guard, answer, sent)
            });
            return leases.collect::<Result<_>>().map(Tried::Granted);
        }
        if answers.contains(&Answer::Cancelled) {
            // The others may be had: their guards end them.
            return Ok(Tried::Ended);
        }
        for guard in &mut guards {
            guard.disarm();
        }
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
        let mut guards = Vec::with_capacity(requests.len());
        let mut before: Option<(&Request, Arc<Profile>)> = None;
        for (request, token) in requests.iter().zip(sys.tokens(requests.len())) {
            // Most are shown alike: a thousand need not be described a thousand times.
            let profile = match &before {
                Some((like, profile)) if like.is_shown_as(request) => Arc::clone(profile),
                _ => Arc::new(request.who.profile(sys.moment(), &request.options)),
            };
            before = Some((request, Arc::clone(&profile)));
            let ask = Ask { wait: None, ..ask_with(token, request, profile) };
            guards.push(Unsure::new(self, &ask)?);
            asks.push(ask);
        }
        let sent = sys.now();
        let limit = give_up.min(sent + REQUEST_TIMEOUT);
        match within(sys, limit, self.desk.store().acquire(&asks, how)).await {
            Some(Ok(answers)) if answers.len() == asks.len() => {
                Ok(Asked { asks, guards, answers, sent })
            }
            Some(Ok(_)) => Err(Error::new(ErrorKind::Internal, "the store left answers out")),
            Some(Err(error)) => {
                if nothing_done(error.kind()) {
                    for guard in &mut guards {
                        guard.disarm();
                    }
                }
                Err(error)
            }
            None => Err(Error::new(
                ErrorKind::StoreUnavailable,
                format!("the store did not answer the request for {} locks in time", asks.len()),
            )),
        }
    }

    /// The lease of a grant.
    fn hold(
        &self,
        request: &Request,
        ask: &Ask,
        mut guard: Unsure,
        answer: Answer,
        sent: BootTime,
    ) -> Result<Lease> {
        let Outcome::Granted { fence, deadline, .. } = settle(ask, sent, answer) else {
            return Err(Error::new(ErrorKind::Internal, "a grant is one"));
        };
        if deadline.since(self.runtime.sys.now()).is_zero() {
            return Err(too_late(&ask.name));
        }
        let options = &request.options;
        let (ttl, renew, max_hold) = (options.ttl, options.renew, options.max_hold);
        let terms = Terms { fence, ttl, deadline, renew, max_hold, strays: false };
        let store = Arc::clone(self.desk.store());
        let held = self.runtime.watchdog.watch(store, Hold::of(ask), terms, None);
        if !guard.disarm() {
            self.runtime.watchdog.lose(&held, LostReason::Shutdown);
            return Err(shut_down(&ask.name));
        }
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

/// Several asks that were answered. Whose guard is dropped armed is ended at the store.
struct Asked {
    asks: Vec<Ask>,
    guards: Vec<Unsure>,
    answers: Vec<Answer>,
    sent: BootTime,
}

fn refusal(ask: &Ask, sent: BootTime, answer: Answer) -> Error {
    match settle(ask, sent, answer) {
        Outcome::Refused(error) => error,
        Outcome::Granted { .. } => Error::new(ErrorKind::Internal, "a refusal is one"),
    }
}
