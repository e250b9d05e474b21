//! One try to take a lock, and the tenure that it comes to: one object, which owns what it obtains.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leasehold_bridge::{Attempt as Bridge, Held, Outcome};

use crate::call::Call;
use crate::mailbox::Mailbox;
use crate::plain::Failure;

/// One try to take a lock, and its tenure. Dropping it gives up either.
#[derive(uniffi::Object)]
pub struct Attempt {
    attempt: Arc<Bridge>,
    held: OnceLock<Held>,
}

/// What an attempt came to, if it is no failure.
#[derive(uniffi::Enum)]
pub enum State {
    /// Nothing yet.
    Pending,
    /// The lock is held.
    Held,
    /// The lock is another's, and the attempt does not wait.
    Busy,
}

#[uniffi::export]
impl Attempt {
    /// What it came to.
    pub fn poll(&self) -> Result<State, Failure> {
        self.state(self.attempt.outcome())
    }

    /// Blocks until it comes to something, at most `slice_ms`.
    pub fn wait_for(&self, slice_ms: u32) -> Result<State, Failure> {
        self.state(self.attempt.wait_for(Duration::from_millis(slice_ms.into())))
    }

    /// Has `key` put into `mailbox` when it comes to something: at once, if it has.
    pub fn notify(&self, mailbox: &Mailbox, key: u64) {
        self.attempt.on_done(mailbox.letter(key));
    }

    /// Stops waiting, or gives back what was obtained.
    pub fn cancel(&self) {
        self.attempt.cancel();
    }

    /// A handle for each tenure, of locks that were taken together. This one owns them.
    pub fn each(&self) -> Vec<Arc<Self>> {
        let all = self.held.get().map(Held::each).unwrap_or_default();
        let part = |held| Self { attempt: Arc::clone(&self.attempt), held: OnceLock::from(held) };
        all.into_iter().map(part).map(Arc::new).collect()
    }

    /// The fencing token; 0 where nothing is held.
    pub fn fence(&self) -> u64 {
        self.held.get().map_or(0, Held::fence)
    }

    /// How the lock is held: `exclusive`, `shared` or `permits`.
    pub fn kind(&self) -> Option<String> {
        self.held.get().map(|held| held.kind().to_owned())
    }

    /// Of a reader: the fence of the last writer before it.
    pub fn epoch(&self) -> Option<u64> {
        self.held.get().and_then(Held::epoch)
    }

    /// The number of the identity that it was taken with, in decimal.
    pub fn owner(&self) -> Option<String> {
        self.held.get().and_then(Held::owner).map(|number| number.to_string())
    }

    /// Whether the lock is this tenure's, computed here and now.
    pub fn is_held(&self) -> bool {
        self.held.get().is_some_and(Held::is_held)
    }

    /// Seconds of the lease that are left without a renewal.
    pub fn remaining(&self) -> f64 {
        self.held.get().map_or(0.0, Held::remaining)
    }

    /// Why it was lost, if it was.
    pub fn lost_reason(&self) -> Option<String> {
        self.held.get().and_then(Held::lost_reason).map(str::to_owned)
    }

    /// Fails where less than `min_remaining` seconds are left.
    pub fn check(&self, min_remaining: f64) -> Result<(), Failure> {
        Ok(self.held.get().map_or(Ok(()), |held| held.check(min_remaining))?)
    }

    /// Fails if it was lost.
    pub fn check_loss(&self) -> Result<(), Failure> {
        self.held.get().and_then(Held::loss).map_or(Ok(()), |loss| Err(loss.into()))
    }

    /// Changes the lease's length to `ttl` seconds and renews it now.
    pub fn extend(&self, ttl: f64) -> Option<Arc<Call>> {
        self.held.get().map(|held| Call::of(held.extend(ttl)))
    }

    /// Has a writer read on.
    pub fn downgrade(&self) -> Option<Arc<Call>> {
        self.held.get().map(|held| Call::of(held.downgrade()))
    }

    /// Has the only reader write.
    pub fn upgrade(&self) -> Option<Arc<Call>> {
        self.held.get().map(|held| Call::of(held.upgrade()))
    }

    /// A sign of life: `max_hold` counts anew.
    pub fn touch(&self) {
        if let Some(held) = self.held.get() {
            held.touch();
        }
    }

    /// Gives the lock back, and goes on with that if nobody waits for the result.
    pub fn release(&self) -> Option<Arc<Call>> {
        self.held.get().map(|held| Call::of(held.release()))
    }

    /// Has `key` put into `mailbox` when the lease is lost: at once, if it is.
    pub fn on_lost(&self, mailbox: &Mailbox, key: u64) {
        if let Some(held) = self.held.get() {
            let letter = mailbox.letter(key);
            held.on_lost(move |_| letter());
        }
    }
}

impl Attempt {
    pub(crate) fn of(attempt: Bridge) -> Arc<Self> {
        Arc::new(Self { attempt: Arc::new(attempt), held: OnceLock::new() })
    }

    fn state(&self, outcome: Option<Outcome>) -> Result<State, Failure> {
        if self.held.get().is_some() {
            return Ok(State::Held);
        }
        match outcome {
            None => return Ok(State::Pending),
            Some(Outcome::Busy) => return Ok(State::Busy),
            Some(Outcome::Held { .. }) => {
                if let Some(held) = self.attempt.held() {
                    let _ = self.held.set(held);
                    return Ok(State::Held);
                }
            }
            Some(other) => {
                if let Some(error) = other.error() {
                    return Err(error.into());
                }
            }
        }
        // Cancelled since the outcome was read.
        Err(Outcome::Cancelled.error().map_or_else(unreached, Failure::from))
    }
}

/// A cancelled attempt has an error.
fn unreached() -> Failure {
    unreachable!("the outcome of a cancelled attempt is an error")
}
