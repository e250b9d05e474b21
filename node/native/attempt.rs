//! One try to take a lock, and the tenure that it comes to: one object, which owns what it obtains.

use std::sync::{Arc, OnceLock};

use leasehold_bridge::{Attempt as Bridge, Held, Outcome};
use napi::bindgen_prelude::BigInt;
use napi_derive::napi;

use crate::call::Call;
use crate::holdings::Place;
use crate::mailbox::Mailbox;
use crate::plain::Failure;

/// One try to take a lock, and its tenure. Dropping it gives up either.
#[napi]
pub struct Attempt {
    attempt: Arc<Bridge>,
    held: OnceLock<Held>,
    failure: OnceLock<Failure>,
    _place: Option<Place>,
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
        let error = match self.attempt.outcome() {
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

    /// Has `key` put into `mailbox` when it comes to something: at once, if it has.
    #[napi]
    pub fn notify(&self, mailbox: &Mailbox, key: f64) {
        self.attempt.on_done(mailbox.letter(key));
    }

    /// Stops waiting, or gives back what was obtained.
    #[napi]
    pub fn cancel(&self) {
        self.attempt.cancel();
    }

    /// A handle for each tenure, of locks that were taken together. This one owns them.
    #[napi]
    pub fn each(&self) -> Vec<Attempt> {
        let all = self.held.get().map(Held::each).unwrap_or_default();
        let part = |held| Self {
            attempt: Arc::clone(&self.attempt),
            held: OnceLock::from(held),
            failure: OnceLock::new(),
            _place: None,
        };
        all.into_iter().map(part).collect()
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

    /// A sign of life: `max_hold` counts anew.
    #[napi]
    pub fn touch(&self) {
        if let Some(held) = self.held.get() {
            held.touch();
        }
    }

    /// Gives the lock back, and goes on with that if nobody waits for the result.
    #[napi]
    pub fn release(&self) -> Option<Call> {
        self.held.get().map(|held| Call::of(held.release()))
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
        let place = Place::of(&attempt);
        Self { attempt, held: OnceLock::new(), failure: OnceLock::new(), _place: Some(place) }
    }
}
