//! The bridge's mailbox as Python reads it: by `asyncio`'s loop, or by a thread.
//!
//! One future of the runtime per call, with `call_soon_threadsafe` from a worker, would have our
//! threads wait for the interpreter's lock (and hang or abort when it goes away).

use std::os::fd::AsRawFd;
use std::sync::Arc;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// A box of numbers with a file descriptor that is readable while there are any.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Mailbox(pub(crate) Arc<leasehold_bridge::Mailbox>);

#[pymethods]
impl Mailbox {
    /// A mailbox for a thread that waits, or for an event loop.
    #[new]
    fn new(event_loop: bool) -> PyResult<Self> {
        let mailbox = leasehold_bridge::Mailbox::new(event_loop);
        let mailbox = mailbox.map_err(|error| PyOSError::new_err(error.message))?;
        Ok(Self(Arc::new(mailbox)))
    }

    /// The descriptor to wait for. It is the mailbox's own: not to be closed.
    fn fileno(&self) -> i32 {
        self.0.descriptor().as_raw_fd()
    }

    /// Takes all numbers. An event loop calls `flush` once it has gone on with those whose they are.
    fn drain(&self) -> Vec<u64> {
        self.0.drain()
    }

    /// Sends what was asked for since `drain`. Whether there is something to drain at once.
    fn flush(&self, py: Python<'_>) -> bool {
        // Other threads need not wait while it looks; and to have the lock back costs more than the rest.
        self.0.flush() && py.detach(|| self.0.glance())
    }
}
