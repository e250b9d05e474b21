//! One try to take a lock, and the tenure that it comes to: one object, which owns what it obtains.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use leasehold_bridge::{Attempt as Bridge, Held, Outcome};
use napi::Either;
use napi::bindgen_prelude::BigInt;
use napi_derive::napi;

use crate::call::Call;
use crate::holdings::Place;
use crate::mailbox::{Letters, Mailbox, Word};
use crate::plain::{AskedBack, Failure};

/// One try to take a lock, and its tenure. Dropping it gives up either.
#[napi]
pub struct Attempt {
    attempt: Arc<Bridge>,
    /// Of one of several that were tried each alone: what it came to.
    alone: Option<Outcome>,
    held: OnceLock<Held>,
    failure: OnceLock<Failure>,
    /// Who is told where it is collected while it holds anything; of a part the whole's are.
    letters: OnceLock<Arc<Letters>>,
    /// It is being given back.
    released: Cell<bool>,
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
            Some(Outcome::Held { .. }) if self.held().is_some() => return State::Held,
            // Cancelled since the outcome was read.
            Some(Outcome::Held { .. }) => Outcome::Cancelled.error(),
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

    /// Has `key` put into `mailbox` when it comes to something; false, and nothing is put, if it has. In
    /// any case `mailbox` is told if it is forgotten.
    #[napi]
    pub fn notify(&self, mailbox: &Mailbox, key: f64) -> bool {
        let _ = self.letters.set(Arc::clone(&mailbox.0));
        let letter = mailbox.letter(key);
        self.attempt.unless_done(move |outcome| {
            letter(if matches!(outcome, Outcome::Held { .. }) { Word::Held } else { Word::Look });
        })
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
            let all = self.held().map(Held::each).unwrap_or_default();
            return all.into_iter().map(|held| self.part(None, Some(held))).collect();
        }
        alone.into_iter().map(|(outcome, held)| self.part(Some(outcome), held)).collect()
    }

    /// The same tenure, which this one still owns: what is given up with it keeps nothing.
    #[napi]
    pub fn share(&self) -> Attempt {
        self.part(self.alone.clone(), self.held().cloned())
    }

    /// The fencing token; 0 where nothing is held.
    #[napi]
    pub fn fence(&self) -> f64 {
        // At most 2^53 - 1: the core refuses a grant above.
        self.held().map_or(0.0, |held| held.fence() as f64)
    }

    /// How the lock is held.
    #[napi]
    pub fn kind(&self) -> Option<&'static str> {
        self.held().map(Held::kind)
    }

    /// Of a reader: the fence of the last writer before it.
    #[napi]
    pub fn epoch(&self) -> Option<f64> {
        self.held().and_then(Held::epoch).map(|fence| fence as f64)
    }

    /// The number of the identity that it was taken with.
    #[napi]
    pub fn owner(&self) -> Option<BigInt> {
        self.held().and_then(Held::owner).map(BigInt::from)
    }

    /// Whether the lock is this tenure's, computed here and now.
    #[napi]
    pub fn is_held(&self) -> bool {
        self.held().is_some_and(Held::is_held)
    }

    /// Seconds of the lease that are left without a renewal.
    #[napi]
    pub fn remaining(&self) -> f64 {
        self.held().map_or(0.0, Held::remaining)
    }

    /// Why it was lost, if it was.
    #[napi]
    pub fn lost_reason(&self) -> Option<&'static str> {
        self.held().and_then(Held::lost_reason)
    }

    /// The error that says that it was lost, if it was.
    #[napi]
    pub fn loss(&self) -> Option<Failure> {
        self.held().and_then(Held::loss).map(Failure::from)
    }

    /// An error where less than `min_remaining` seconds are left.
    #[napi]
    pub fn check(&self, min_remaining: f64) -> Option<Failure> {
        self.held().and_then(|held| held.check(min_remaining).err()).map(Failure::from)
    }

    /// Changes the lease's length to `ttl` seconds and renews it now.
    #[napi]
    pub fn extend(&self, ttl: f64) -> Option<Call> {
        self.held().map(|held| Call::of(held.extend(ttl)))
    }

    /// Has a writer read on.
    #[napi]
    pub fn downgrade(&self) -> Option<Call> {
        self.held().map(|held| Call::of(held.downgrade()))
    }

    /// Has the only reader write.
    #[napi]
    pub fn upgrade(&self) -> Option<Call> {
        self.held().map(|held| Call::of(held.upgrade()))
    }

    /// Of a lead: has those who observe be told `value` from now on.
    #[napi]
    pub fn proclaim(&self, value: &[u8]) -> Option<Call> {
        self.held().map(|held| Call::of(held.proclaim(value.to_vec())))
    }

    /// Of a place inside a barrier: leaves, and waits until all have, at most so many seconds.
    #[napi]
    pub fn leave(&self, wait: Option<f64>) -> Option<Call> {
        self.held().map(|held| Call::of(held.leave(wait)))
    }

    /// Waits until there is a request to give it back to be taken: true then, false once it is over.
    #[napi]
    pub fn asked_back(&self) -> Option<Call> {
        self.held().map(|held| Call::of(held.asked_back()))
    }

    /// The request, if there is one that was not taken.
    #[napi]
    pub fn take_asked(&self) -> Option<AskedBack> {
        self.held().and_then(Held::take_asked).map(AskedBack::from)
    }

    /// A sign of life: `max_hold` counts anew.
    #[napi]
    pub fn touch(&self) {
        if let Some(held) = self.held() {
            held.touch();
        }
    }

    /// Gives the lock back, resigns or leaves. The word for what it came to, if it is done; else `key` is
    /// put into `mailbox` when it is. Not a `Call`: every lease is given back, and an object that
    /// JavaScript has to collect costs more than the rest.
    #[napi]
    pub fn release(&self, mailbox: &Mailbox, key: f64) -> Option<u8> {
        let Some(held) = self.held() else { return Some(Word::Look as u8) };
        self.released.set(true);
        let release = held.release();
        let letters = Arc::clone(&mailbox.0);
        let pending = release.unless_done(move |release| {
            let word = letters.end(key, release);
            letters.put(key, word);
        });
        if pending { None } else { release.result().map(|it| mailbox.0.end(key, &it) as u8) }
    }

    /// Has `key` put into `mailbox` when the lease is lost: at once, if it is.
    #[napi]
    pub fn on_lost(&self, mailbox: &Mailbox, key: f64) {
        if let Some(held) = self.held() {
            let letter = mailbox.letter(key);
            held.on_lost(move |_| letter(Word::Look));
        }
    }
}

/// An attempt that will tell of its outcome; in a list, if it has it already.
pub(crate) type Begun = Either<Attempt, Vec<Attempt>>;

impl Attempt {
    /// Begun and asked to tell, in one call: a second costs about a thirtieth of what a lock does.
    pub(crate) fn begun(attempt: Bridge, mailbox: &Mailbox, key: f64) -> Begun {
        let attempt = Self::of(attempt);
        if attempt.notify(mailbox, key) { Either::A(attempt) } else { Either::B(vec![attempt]) }
    }

    pub(crate) fn of(attempt: Bridge) -> Self {
        let attempt = Arc::new(attempt);
        let place = Rc::new(Place::of(&attempt));
        let (held, failure, letters) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let released = Cell::default();
        Self { attempt, alone: None, held, failure, letters, released, place }
    }

    /// What it holds or held, once it is known to have come to that.
    fn held(&self) -> Option<&Held> {
        if self.held.get().is_none() && self.alone.is_none() {
            let _ = self.held.set(self.attempt.held()?);
        }
        self.held.get()
    }

    fn part(&self, alone: Option<Outcome>, held: Option<Held>) -> Self {
        Self {
            attempt: Arc::clone(&self.attempt),
            alone,
            held: held.map_or_else(OnceLock::new, OnceLock::from),
            failure: OnceLock::new(),
            letters: OnceLock::new(),
            released: Cell::default(),
            place: Rc::clone(&self.place),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Its parts are kept by whoever keeps the whole. Of several some may have been given back alone.
        let Some(letters) = self.letters.get() else { return };
        if !self.released.get()
            && let Some(held) = self.held()
            && held.any_held()
        {
            let name = held.name();
            self.attempt.cancel();
            letters.forget(name);
        }
    }
}
