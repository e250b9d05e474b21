//! How news leaves the library's threads without waiting for JavaScript: a number is put into a box,
//! and the event loop is woken, once, to take all that are there.
//!
//! One promise of the runtime per call, resolved by a thread-safe function of its own, costs a wake-up
//! and a queue entry each: at 64 calls at a time that is slower than clients written in JavaScript.
//! Here a thread takes a mutex for a push, and wakes the loop only when the box was empty. Where it
//! can, the loop reads the server's socket itself, and nobody has to wake it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use leasehold_bridge::EventLoop;
use napi::bindgen_prelude::{Env, Function, JsValue};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::{holdings, uv};

/// Weak: an environment with nothing else to do ends, whatever may still be told.
type Bell = ThreadsafeFunction<(), (), Vec<f64>, napi::Status, false, true>;

/// A box of numbers that hands them to a JavaScript function.
#[napi]
pub struct Mailbox(Arc<Letters>);

#[derive(Default)]
struct Letters {
    keys: Mutex<Vec<f64>>,
    bell: OnceLock<Bell>,
    here: OnceLock<Arc<EventLoop>>,
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
}

impl Mailbox {
    /// What puts `key` into the box, from any thread.
    pub(crate) fn letter(&self, key: f64) -> impl FnOnce() + Send + 'static {
        let letters = Arc::clone(&self.0);
        move || letters.put(key)
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

    fn flush(&self) {
        self.here.flush();
    }
}

impl Letters {
    fn put(&self, key: f64) {
        let first = {
            let mut keys = self.keys();
            keys.push(key);
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

    fn keys(&self) -> MutexGuard<'_, Vec<f64>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
