//! The thread that waits when the file is another's: no caller's task and no lease thread may block
//! in `flock`, which a stopped process can hold for ever.

use std::sync::{Mutex, PoisonError, mpsc};

use crate::{Error, ErrorKind, Result};

type Job = Box<dyn FnOnce() + Send>;

/// One thread per store, started at its first job, ended with the store. Jobs run in order.
#[derive(Default)]
pub(super) struct Worker {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
}

impl Worker {
    /// Has `job` run.
    ///
    /// # Errors
    /// [`Internal`](ErrorKind::Internal) where the thread can't be started.
    pub(super) fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<()> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut job: Job = Box::new(job);
        if let Some(send) = &*jobs {
            match send.send(job) {
                Ok(()) => return Ok(()),
                // A job panicked and took the thread with it: start another.
                Err(mpsc::SendError(unsent)) => job = unsent,
            }
        }
        let (send, receive) = mpsc::channel::<Job>();
        crate::sys::thread("leasehold-sqlite", move || {
            for job in receive {
                job();
            }
        })
        .map_err(|cause| {
            Error::new(ErrorKind::Internal, "the database's thread can't be started")
                .caused_by(cause)
        })?;
        let _ = send.send(job);
        *jobs = Some(send);
        Ok(())
    }
}
