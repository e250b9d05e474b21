//! One try to take a lock, and the tenure that it comes to: one object, which owns what it obtains.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leasehold_bridge::{Attempt as Bridge, Held, Outcome};

use crate::call::Call;
use crate::mailbox::Mailbox;
use crate::plain::{AskedBack, Failure};

/// One try to take a lock, and its tenure. Dropping it gives up either.
#[derive(uniffi::Object)]
pub struct Attempt {
    attempt: Arc<Bridge>,
    /// Of one of several that were tried each alone: what it came to.
    alone: Option<Outcome>,
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
        self.state(self.alone.clone().or_else(|| self.attempt.outcome()))
    }

    /// Blocks until it comes to something, at most `slice_ms`.
    pub fn wait_for(&self, slice_ms: u32) -> Result<State, Failure> {
        self.state(self.attempt.wait_for(Duration::from_millis(slice_ms.into())))
    }

    /// Has `key` put into `mailbox` when it comes to something; false, and nothing is put, if it has, or does
    /// in a moment.
    pub fn notify(&self, mailbox: &Mailbox, key: u64) -> bool {
        self.attempt.unless_done_tell_in(&mailbox.0, key)
    }

    /// Stops waiting, or gives back what was obtained.
    pub fn cancel(&self) {
        self.attempt.cancel();
    }

    /// One for each of several locks, in the order of their list. This one owns what they hold.
    pub fn each(&self) -> Vec<Arc<Self>> {
        let alone = self.attempt.each();
        if alone.is_empty() {
            let all = self.held.get().map(Held::each).unwrap_or_default();
            return all.into_iter().map(|held| self.part(None, Some(held))).collect();
        }
        alone.into_iter().map(|(outcome, held)| self.part(Some(outcome), held)).collect()
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

    /// Of a lead: has those who observe be told `value` from now on.
    pub fn proclaim(&self, value: Vec<u8>) -> Option<Arc<Call>> {
        self.held.get().map(|held| Call::of(held.proclaim(value)))
    }

    /// Of a place inside a barrier: leaves, and waits until all have, at most so many seconds.
    pub fn leave(&self, wait: Option<f64>) -> Option<Arc<Call>> {
        self.held.get().map(|held| Call::of(held.leave(wait)))
    }

    /// Waits until there is a request to give it back to be taken, or until it is over.
    pub fn asked_back(&self) -> Option<Arc<Call>> {
        self.held.get().map(|held| Call::of(held.asked_back()))
    }

    /// The request, if there is one that was not taken.
    pub fn take_asked(&self) -> Option<AskedBack> {
        self.held.get().and_then(Held::take_asked).map(AskedBack::from)
    }

    /// A sign of life: `max_hold` counts anew.
    pub fn touch(&self) {
        if let Some(held) = self.held.get() {
            held.touch();
        }
    }

    /// Gives the lock back, resigns or leaves, and goes on with that if nobody waits for the result.
    /// Fails where nothing was ever held. (Not an `Option`: that would travel through a buffer.)
    pub fn release(&self) -> Result<Arc<Call>, Failure> {
        self.held.get().map(|held| Call::of(held.release())).ok_or_else(cancelled)
    }

    /// Has `key` put into `mailbox` when the lease is lost: at once, if it is.
    pub fn on_lost(&self, mailbox: &Mailbox, key: u64) {
        if let Some(held) = self.held.get() {
            let letter = mailbox.0.letter(key);
            held.on_lost(move |_| letter());
        }
    }
}

impl Attempt {
    pub(crate) fn of(attempt: Bridge) -> Arc<Self> {
        Arc::new(Self { attempt: Arc::new(attempt), alone: None, held: OnceLock::new() })
    }

    fn part(&self, alone: Option<Outcome>, held: Option<Held>) -> Arc<Self> {
        let held = held.map_or_else(OnceLock::new, OnceLock::from);
        Arc::new(Self { attempt: Arc::clone(&self.attempt), alone, held })
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
        Err(cancelled())
    }
}

/// An attempt that yields no lease, ever.
fn cancelled() -> Failure {
    match Outcome::Cancelled.error() {
        Some(error) => error.into(),
        None => unreachable!("the outcome of a cancelled attempt is an error"),
    }
}
