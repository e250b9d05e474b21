//! How news leaves the library's threads without the interpreter's lock: a number is put into a
//! box, and its reader (an event loop or a thread) is woken by a file descriptor.
//!
//! One future of the runtime per call, with `call_soon_threadsafe` from a worker, would have our
//! threads wait for the interpreter's lock (and hang or abort when it goes away). Here they take a
//! mutex for a push and write eight bytes, and only when the box was empty: a thousand completions
//! cost the reader one wake-up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::bell::Bell;

/// A box of numbers with a file descriptor that is readable while there are any.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Mailbox(Arc<Letters>);

struct Letters {
    keys: Mutex<Vec<u64>>,
    bell: Bell,
    /// The process that made it. A forked child shares the descriptor: reading it there would take
    /// the parent's wake-up.
    process: u32,
}

#[pymethods]
impl Mailbox {
    #[new]
    fn new() -> PyResult<Self> {
        let letters =
            Letters { keys: Mutex::default(), bell: Bell::new()?, process: std::process::id() };
        Ok(Self(Arc::new(letters)))
    }

    /// The descriptor to wait for. It is the mailbox's own: not to be closed.
    fn fileno(&self) -> i32 {
        self.0.bell.fd()
    }

    /// Takes all numbers.
    fn drain(&self) -> Vec<u64> {
        if self.0.process != std::process::id() {
            return Vec::new();
        }
        // In this order: a number put in after the taking rings again.
        self.0.bell.hush();
        std::mem::take(&mut *self.0.keys())
    }
}

impl Mailbox {
    /// What puts `key` into the box, from any thread.
    pub(crate) fn letter(&self, key: u64) -> impl FnOnce() + Send + 'static {
        let letters = Arc::clone(&self.0);
        move || letters.put(key)
    }
}

impl Letters {
    fn put(&self, key: u64) {
        let first = {
            let mut keys = self.keys();
            keys.push(key);
            keys.len() == 1
        };
        if first {
            self.bell.ring();
        }
    }

    fn keys(&self) -> MutexGuard<'_, Vec<u64>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
