//! One try to take a lock, and the tenure that it comes to: one object, which owns what it obtains.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use leasehold_bridge::{Attempt as Bridge, Held, Outcome, Pending, Release};
use napi::Either;
use napi::bindgen_prelude::BigInt;
use napi_derive::napi;

use crate::call::Call;
use crate::holdings::Place;
use crate::mailbox::Mailbox;
use crate::plain::{AskedBack, Failure};

/// One try to take a lock, and its tenure. Dropping it gives up either.
#[napi]
pub struct Attempt {
    attempt: Arc<Bridge>,
    /// Of one of several that were tried each alone: what it came to.
    alone: Option<Outcome>,
    held: OnceLock<Held>,
    failure: OnceLock<Failure>,
    /// Those that JavaScript has not been told the end of.
    releases: RefCell<Vec<(f64, Pending<Release>)>>,
    place: Rc<Place>,
}

/// What an attempt came to.
#[napi]
pub enum State {
    /// Nothing yet.
    Pending,
    /// The lock is held.
    Held,
    /// The lock is another's, and the attempt does not wait.
    Busy,
    /// There is a failure.
    Failed,
}

#[napi]
impl Attempt {
    /// What it came to.
    #[napi]
    pub fn poll(&self) -> State {
        if self.held.get().is_some() {
            return State::Held;
        }
        let error = match self.alone.clone().or_else(|| self.attempt.outcome()) {
            None => return State::Pending,
            Some(Outcome::Busy) => return State::Busy,
            Some(Outcome::Held { .. }) => match self.attempt.held() {
                Some(held) => {
                    let _ = self.held.set(held);
                    return State::Held;
                }
                // Cancelled since the outcome was read.
                None => Outcome::Cancelled.error(),
            },
            Some(other) => other.error(),
        };
        if let Some(error) = error {
            let _ = self.failure.set(error.into());
        }
        State::Failed
    }

    /// Why it failed.
    #[napi]
    pub fn failure(&self) -> Option<Failure> {
        self.failure.get().cloned()
    }

    /// Has `key` put into `mailbox` when it comes to something; false, and nothing is put, if it has.
    #[napi]
    pub fn notify(&self, mailbox: &Mailbox, key: f64) -> bool {
        self.attempt.unless_done(mailbox.letter(key))
    }

    /// Stops waiting, or gives back what was obtained.
    #[napi]
    pub fn cancel(&self) {
        self.attempt.cancel();
    }

    /// One for each of several locks, in the order of their list. This one owns what they hold.
    #[napi]
    pub fn each(&self) -> Vec<Attempt> {
        let alone = self.attempt.each();
        if alone.is_empty() {
            let all = self.held.get().map(Held::each).unwrap_or_default();
            return all.into_iter().map(|held| self.part(None, Some(held))).collect();
        }
        alone.into_iter().map(|(outcome, held)| self.part(Some(outcome), held)).collect()
    }

    /// The fencing token; 0 where nothing is held.
    #[napi]
    pub fn fence(&self) -> f64 {
        // At most 2^53 - 1: the core refuses a grant above.
        self.held.get().map_or(0.0, |held| held.fence() as f64)
    }

    /// How the lock is held.
    #[napi]
    pub fn kind(&self) -> Option<&'static str> {
        self.held.get().map(Held::kind)
    }

    /// Of a reader: the fence of the last writer before it.
    #[napi]
    pub fn epoch(&self) -> Option<f64> {
        self.held.get().and_then(Held::epoch).map(|fence| fence as f64)
    }

    /// The number of the identity that it was taken with.
    #[napi]
    pub fn owner(&self) -> Option<BigInt> {
        self.held.get().and_then(Held::owner).map(BigInt::from)
    }

    /// Whether the lock is this tenure's, computed here and now.
    #[napi]
    pub fn is_held(&self) -> bool {
        self.held.get().is_some_and(Held::is_held)
    }

    /// Seconds of the lease that are left without a renewal.
    #[napi]
    pub fn remaining(&self) -> f64 {
        self.held.get().map_or(0.0, Held::remaining)
    }

    /// Why it was lost, if it was.
    #[napi]
    pub fn lost_reason(&self) -> Option<&'static str> {
        self.held.get().and_then(Held::lost_reason)
    }

    /// The error that says that it was lost, if it was.
    #[napi]
    pub fn loss(&self) -> Option<Failure> {
        self.held.get().and_then(Held::loss).map(Failure::from)
    }

    /// An error where less than `min_remaining` seconds are left.
    #[napi]
    pub fn check(&self, min_remaining: f64) -> Option<Failure> {
        self.held.get().and_then(|held| held.check(min_remaining).err()).map(Failure::from)
    }

    /// Changes the lease's length to `ttl` seconds and renews it now.
    #[napi]
    pub fn extend(&self, ttl: f64) -> Option<Call> {
        self.held.get().map(|held| Call::of(held.extend(ttl)))
    }

    /// Has a writer read on.
    #[napi]
    pub fn downgrade(&self) -> Option<Call> {
        self.held.get().map(|held| Call::of(held.downgrade()))
    }

    /// Has the only reader write.
    #[napi]
    pub fn upgrade(&self) -> Option<Call> {
        self.held.get().map(|held| Call::of(held.upgrade()))
    }

    /// Of a lead: has those who observe be told `value` from now on.
    #[napi]
    pub fn proclaim(&self, value: &[u8]) -> Option<Call> {
        self.held.get().map(|held| Call::of(held.proclaim(value.to_vec())))
    }

    /// Of a place inside a barrier: leaves, and waits until all have, at most so many seconds.
    #[napi]
    pub fn leave(&self, wait: Option<f64>) -> Option<Call> {
        self.held.get().map(|held| Call::of(held.leave(wait)))
    }

    /// Waits until there is a request to give it back to be taken: true then, false once it is over.
    #[napi]
    pub fn asked_back(&self) -> Option<Call> {
        self.held.get().map(|held| Call::of(held.asked_back()))
    }

    /// The request, if there is one that was not taken.
    #[napi]
    pub fn take_asked(&self) -> Option<AskedBack> {
        self.held.get().and_then(Held::take_asked).map(AskedBack::from)
    }

    /// A sign of life: `max_hold` counts anew.
    #[napi]
    pub fn touch(&self) {
        if let Some(held) = self.held.get() {
            held.touch();
        }
    }

    /// Gives the lock back, resigns or leaves, and has `key` put into `mailbox` when that is done;
    /// false, and nothing is put, if it is. Not a `Call`: every lease is given back, and an object that
    /// JavaScript has to collect costs more than the rest.
    #[napi]
    pub fn release(&self, mailbox: &Mailbox, key: f64) -> bool {
        let Some(held) = self.held.get() else { return false };
        let release = held.release();
        let pending = release.unless_done(mailbox.letter(key));
        self.releases.borrow_mut().push((key, release));
        pending
    }

    /// What the release with `key` came to, once.
    #[napi]
    pub fn released(&self, key: f64) -> Option<Either<&'static str, Failure>> {
        let mut releases = self.releases.borrow_mut();
        let at = releases.iter().position(|(other, _)| *other == key)?;
        let (_, release) = releases.swap_remove(at);
        Some(match release.result()? {
            Ok(release) => Either::A(release.state),
            Err(error) => Either::B(error.into()),
        })
    }

    /// Has `key` put into `mailbox` when the lease is lost: at once, if it is.
    #[napi]
    pub fn on_lost(&self, mailbox: &Mailbox, key: f64) {
        if let Some(held) = self.held.get() {
            let letter = mailbox.letter(key);
            held.on_lost(move |_| letter());
        }
    }
}

impl Attempt {
    pub(crate) fn of(attempt: Bridge) -> Self {
        let attempt = Arc::new(attempt);
        let place = Rc::new(Place::of(&attempt));
        let (held, failure, releases) = (OnceLock::new(), OnceLock::new(), RefCell::default());
        Self { attempt, alone: None, held, failure, releases, place }
    }

    fn part(&self, alone: Option<Outcome>, held: Option<Held>) -> Self {
        Self {
            attempt: Arc::clone(&self.attempt),
            alone,
            held: held.map_or_else(OnceLock::new, OnceLock::from),
            failure: OnceLock::new(),
            releases: RefCell::default(),
            place: Rc::clone(&self.place),
        }
    }
}
