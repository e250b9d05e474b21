//! How news leaves the library's threads without waiting for the JVM: a number is put into a box, and
//! the one thread that empties it is woken.
//!
//! A callback from a thread of the library's into the JVM would attach that thread to it, at each
//! call, and stop it for as long as a garbage collection stops the JVM: renewals would wait for that.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A box of numbers.
#[derive(uniffi::Object)]
pub struct Mailbox(Arc<Letters>);

#[derive(Default)]
struct Letters {
    keys: Mutex<Vec<u64>>,
    bell: Condvar,
}

#[uniffi::export]
impl Mailbox {
    /// An empty box.
    #[uniffi::constructor]
    #[allow(clippy::new_without_default, reason = "made in Kotlin only")]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Blocks until there is a number, and takes all that are there.
    pub fn take(&self) -> Vec<u64> {
        let keys = self.0.keys();
        let waited = self.0.bell.wait_while(keys, |keys| keys.is_empty());
        std::mem::take(&mut waited.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Mailbox {
    /// What puts `key` into the box, from any thread.
    pub(crate) fn letter(&self, key: u64) -> impl FnOnce() + Send + 'static {
        let letters = Arc::clone(&self.0);
        move || {
            let first = {
                let mut keys = letters.keys();
                keys.push(key);
                keys.len() == 1
            };
            if first {
                letters.bell.notify_one();
            }
        }
    }
}

impl Letters {
    fn keys(&self) -> MutexGuard<'_, Vec<u64>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
