//! How news leaves the library's threads without waiting for JavaScript: a number is put into a box,
//! and the event loop is woken, once, to take all that are there.
//!
//! One promise of the runtime per call, resolved by a thread-safe function of its own, costs a wake-up
//! and a queue entry each: at 64 calls at a time that is slower than clients written in JavaScript.
//! Here a thread takes a mutex for a push, and wakes the loop only when the box was empty. Where it
//! can, the loop reads the server's socket itself, and nobody has to wake it. A number says what is most
//! often asked next: for what is held and given back no further call is needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use leasehold_bridge::{ErrorInfo, EventLoop, Release};
use napi::Either;
use napi::bindgen_prelude::{Env, Function, JsValue};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::plain::Failure;
use crate::{holdings, uv};

/// Weak: an environment with nothing else to do ends, whatever may still be told.
type Bell = ThreadsafeFunction<(), (), Vec<f64>, napi::Status, false, true>;

/// A box of numbers that hands them to a JavaScript function: eight times a key, and beside it a word.
#[napi]
pub struct Mailbox(pub(crate) Arc<Letters>);

/// What a number says beside its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Look.
    Look = 0,
    /// The attempt holds its lock.
    Held = 1,
    /// The release gave the lock back.
    Released = 2,
}

/// The key of those who forgot a lease.
const FORGOTTEN: f64 = 0.0;

#[derive(Default)]
pub(crate) struct Letters {
    keys: Mutex<Vec<f64>>,
    bell: OnceLock<Bell>,
    here: OnceLock<Arc<EventLoop>>,
    ends: Mutex<Ends>,
}

/// What JavaScript may ask for after a number came.
#[derive(Default)]
struct Ends {
    /// What a release with this key came to, where it did not give the lock back.
    releases: HashMap<u64, Result<Release, ErrorInfo>>,
    /// The locks whose leases nobody can give back any more.
    forgotten: Vec<String>,
}

#[napi]
impl Mailbox {
    /// A box whose numbers go to `arrived`, an array at a time. One for each environment: its end
    /// gives back what its thread holds.
    #[napi(constructor)]
    pub fn new(env: Env, arrived: Function<'_, Vec<f64>, ()>) -> napi::Result<Self> {
        let letters = Arc::new(Letters::default());
        let box_of = Arc::downgrade(&letters);
        let bell = arrived
            .build_threadsafe_function::<()>()
            .callee_handled::<false>()
            .weak::<true>()
            .build_callback(move |_| {
                Ok(box_of.upgrade().map(|letters| letters.drain()).unwrap_or_default())
            })?;
        // It was empty: nobody else has seen the box.
        let _ = letters.bell.set(bell);
        if let Some(here) = EventLoop::new() {
            let turn = Box::new(Turn { here: Arc::clone(&here), letters: Arc::clone(&letters) });
            if uv::watch(env.raw(), here.descriptor(), arrived.raw(), turn) {
                here.own_thread();
                let _ = letters.here.set(here);
            }
        }
        env.add_env_cleanup_hook((), |()| holdings::give_back())?;
        Ok(Self(letters))
    }

    /// What the release with `key` came to, once; nothing of one that found nothing to give back.
    #[napi]
    pub fn released(&self, key: f64) -> Option<Either<&'static str, Failure>> {
        Some(match self.0.ends().releases.remove(&(key as u64))? {
            Ok(release) => Either::A(release.state),
            Err(error) => Either::B(error.into()),
        })
    }

    /// The locks whose leases were collected while they were held, once.
    #[napi]
    pub fn forgotten(&self) -> Vec<String> {
        std::mem::take(&mut self.0.ends().forgotten)
    }
}

impl Mailbox {
    /// What puts `key` into the box, from any thread.
    pub(crate) fn letter(&self, key: f64) -> impl FnOnce(Word) + Send + 'static {
        let letters = Arc::clone(&self.0);
        move |word| letters.put(key, word)
    }
}

/// What the loop does when there is something to read.
struct Turn {
    here: Arc<EventLoop>,
    letters: Arc<Letters>,
}

impl uv::Readable for Turn {
    fn turn(&self) -> Vec<f64> {
        self.here.turn();
        self.letters.drain()
    }

    fn flush(&self) -> bool {
        self.here.flush() && self.here.glance()
    }
}

impl Letters {
    /// Keeps what the release with `key` came to, unless it says it all.
    pub(crate) fn end(&self, key: f64, release: &Result<Release, ErrorInfo>) -> Word {
        if release.as_ref().is_ok_and(|release| release.state == "released") {
            return Word::Released;
        }
        self.ends().releases.insert(key as u64, release.clone());
        Word::Look
    }

    /// Tells of a lease that was collected while it was held.
    pub(crate) fn forget(&self, lock: String) {
        self.ends().forgotten.push(lock);
        self.put(FORGOTTEN, Word::Look);
    }

    pub(crate) fn put(&self, key: f64, word: Word) {
        let first = {
            let mut keys = self.keys();
            // Exact: keys are counted from one, and 2^50 are never reached.
            keys.push(key * 8.0 + f64::from(word as u8));
            keys.len() == 1
        };
        // In its loop's turn it is looked into next.
        let serving = self.here.get().is_some_and(|here| here.is_serving());
        if first
            && !serving
            && let Some(bell) = self.bell.get()
        {
            // Refused only where the environment has ended, and with it whoever wanted to know.
            bell.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    fn drain(&self) -> Vec<f64> {
        std::mem::take(&mut *self.keys())
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> MutexGuard<'_, Vec<f64>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
