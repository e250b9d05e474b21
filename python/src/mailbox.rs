//! How news leaves the library's threads without the interpreter's lock: a number is put into a
//! box, and its reader (an event loop or a thread) is woken by a file descriptor.
//!
//! One future of the runtime per call, with `call_soon_threadsafe` from a worker, would have our
//! threads wait for the interpreter's lock (and hang or abort when it goes away). Here they take a
//! mutex for a push and write eight bytes, and only when the box was empty: a thousand completions
//! cost the reader one wake-up. An event loop's reads the server's socket, too, where it can: then
//! there is nobody to be woken.

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_bridge::EventLoop;
use pyo3::prelude::*;

use crate::bell::Bell;

/// A box of numbers with a file descriptor that is readable while there are any.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Mailbox(Arc<Letters>);

struct Letters {
    keys: Mutex<Vec<u64>>,
    bell: Bell,
    /// Of a mailbox that an event loop reads.
    here: Option<Arc<EventLoop>>,
    /// The process that made it. A forked child shares the descriptor: reading it there would take
    /// the parent's wake-up.
    process: u32,
}

#[pymethods]
impl Mailbox {
    /// A mailbox for a thread that waits, or for an event loop.
    #[new]
    fn new(event_loop: bool) -> PyResult<Self> {
        let bell = Bell::new()?;
        let here = EventLoop::new().filter(|here| event_loop && here.hear(bell.hearing()).is_ok());
        let (keys, process) = (Mutex::default(), std::process::id());
        Ok(Self(Arc::new(Letters { keys, bell, here, process })))
    }

    /// The descriptor to wait for. It is the mailbox's own: not to be closed.
    fn fileno(&self) -> i32 {
        match &self.0.here {
            Some(here) => here.descriptor().as_raw_fd(),
            None => self.0.bell.hearing().as_raw_fd(),
        }
    }

    /// Takes all numbers. An event loop calls `flush` once it has gone on with those whose they are.
    fn drain(&self) -> Vec<u64> {
        if self.0.process != std::process::id() {
            return Vec::new();
        }
        // In this order: a number put in after the taking rings again.
        if self.0.here.as_ref().is_none_or(EventLoop::turn) {
            self.0.bell.hush();
        }
        std::mem::take(&mut *self.0.keys())
    }

    /// Sends what was asked for since `drain`. Whether there is something to drain at once.
    fn flush(&self, py: Python<'_>) -> bool {
        let Some(here) = &self.0.here else { return false };
        // Other threads need not wait while it looks; and to have the lock back costs more than the rest.
        here.flush() && here.is_eager() && py.detach(|| here.glance())
    }
}

impl Mailbox {
    /// What puts `key` into the box, from any thread.
    pub(crate) fn letter(&self, key: u64) -> impl FnOnce() + Send + 'static {
        let letters = Arc::clone(&self.0);
        move || letters.put(key)
    }

    /// The event loop that reads it.
    pub(crate) fn here(&self) -> Option<&Arc<EventLoop>> {
        self.0.here.as_ref()
    }
}

impl Letters {
    fn put(&self, key: u64) {
        let first = {
            let mut keys = self.keys();
            keys.push(key);
            keys.len() == 1
        };
        // In its loop's turn it is looked into next.
        if first && !self.here.as_ref().is_some_and(|here| here.is_serving()) {
            self.bell.ring();
        }
    }

    fn keys(&self) -> MutexGuard<'_, Vec<u64>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
