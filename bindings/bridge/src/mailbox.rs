//! How news leaves the library's threads without waiting for a language's own: a number is put into a
//! box, and its reader (an event loop or a thread) is woken by a file descriptor.
//!
//! Whoever would call into an interpreter or a JVM for each completion would wait for its lock or its
//! garbage collection, and renewals with it. Here a thread takes a mutex for a push and writes eight
//! bytes, and only when the box was empty: a thousand completions cost the reader one wake-up. A reader
//! that is told to reads the server's socket, too, where the system lets it: then there is nobody to be
//! woken.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold::runtime::{EventLoop, LOOKS};
use leasehold::sys::fork::generation;
use leasehold::{Error, ErrorKind};
use rustix::event::{PollFd, PollFlags, poll};

use crate::ErrorInfo;
use crate::bell::Bell;

/// A box of numbers with a file descriptor that is readable while there are any.
pub struct Mailbox {
    keys: Mutex<Vec<u64>>,
    bell: Bell,
    here: Option<Arc<EventLoop>>,
    /// The process that made it. A forked child shares the descriptor: reading it there would take
    /// the parent's wake-up.
    born: u64,
    /// How many calls have yet to be told of.
    promised: AtomicUsize,
    /// How many were told of at last.
    told: AtomicUsize,
    /// How many were done before they were to be told of, in a row.
    at_once: AtomicU32,
}

impl Mailbox {
    /// An empty box, whose reader reads the server's socket if it `reads`.
    ///
    /// # Errors
    /// `INTERNAL` where the system has no descriptor left.
    pub fn new(reads: bool) -> Result<Self, ErrorInfo> {
        let bell = Bell::new().map_err(|cause| {
            Error::new(ErrorKind::Internal, "there is no descriptor for completions")
                .caused_by(cause)
        })?;
        let here = if reads { EventLoop::new() } else { None };
        let here = here.filter(|here| here.hear(bell.hearing()).is_ok());
        let (promised, told, at_once) = Default::default();
        Ok(Self { keys: Mutex::default(), bell, here, born: generation(), promised, told, at_once })
    }

    /// The descriptor to wait for. It is the mailbox's own: not to be closed.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.here {
            Some(here) => here.descriptor(),
            None => self.bell.hearing(),
        }
    }

    /// The event loop that its reader is, if it reads.
    #[must_use]
    pub fn here(&self) -> Option<&Arc<EventLoop>> {
        self.here.as_ref()
    }

    /// What puts `key` into the box, from any thread.
    pub fn letter(self: &Arc<Self>, key: u64) -> impl FnOnce() + Send + 'static {
        let this = Arc::clone(self);
        move || this.put(key)
    }

    /// The same for a call, which is counted until then.
    pub(crate) fn promise(self: &Arc<Self>, key: u64) -> Promise {
        self.promised.fetch_add(1, Ordering::Relaxed);
        Promise(Arc::clone(self), key)
    }

    /// Whether a call is the only one here: to look for its answer for a moment holds up nobody.
    pub(crate) fn alone(&self) -> bool {
        self.promised.load(Ordering::Relaxed) == 0
            && self.told.load(Ordering::Relaxed) <= 1
            && self.keys().is_empty()
    }

    /// Whether the caller of a call that is done already may go on at once; else it is told as if it
    /// had waited, so that other tasks have their turn.
    pub(crate) fn goes_on(&self) -> bool {
        let goes_on = self.at_once.fetch_add(1, Ordering::Relaxed) + 1 < LOOKS;
        if !goes_on {
            self.at_once.store(0, Ordering::Relaxed);
        }
        goes_on
    }

    /// Takes all numbers, in a turn of the event loop, which [`flush`](Self::flush) ends.
    pub fn drain(&self) -> Vec<u64> {
        if self.born != generation() {
            return Vec::new();
        }
        // In this order: a number put in after the taking rings again.
        if self.here.as_ref().is_none_or(EventLoop::turn) {
            self.bell.hush();
        }
        let keys = std::mem::take(&mut *self.keys());
        if !keys.is_empty() {
            self.told.store(keys.len(), Ordering::Relaxed);
        }
        keys
    }

    /// Sends what was asked for since [`drain`](Self::drain). Whether answers are due for which
    /// [`glance`](Self::glance) would look.
    pub fn flush(&self) -> bool {
        self.here.as_ref().is_some_and(|here| here.flush() && here.is_eager())
    }

    /// Looks for answers for a moment; whether there is something to drain.
    pub fn glance(&self) -> bool {
        self.here.as_ref().is_some_and(|here| here.glance())
    }

    /// Takes all numbers, and blocks until there are some: for a thread that does nothing else.
    pub fn take(&self) -> Vec<u64> {
        loop {
            if !(self.flush() && self.glance()) {
                // Interrupted by a signal: nothing is there, and it waits again.
                let _ =
                    poll(&mut [PollFd::from_borrowed_fd(self.descriptor(), PollFlags::IN)], None);
            }
            let keys = self.drain();
            if !keys.is_empty() {
                self.flush();
                return keys;
            }
        }
    }

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

/// What puts a call's number into its box.
pub(crate) struct Promise(Arc<Mailbox>, u64);

impl Promise {
    pub(crate) fn keep(self) {
        self.0.put(self.1);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.promised.fetch_sub(1, Ordering::Relaxed);
    }
}
