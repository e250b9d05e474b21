//! The two tokio runtimes: a pool for store traffic, and the lease thread, where nothing of the
//! user's and no store traffic can delay a renewal or the news of a loss.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

use super::timers::Timers;
use crate::sys::{BootClock, BootTime, BoxFuture, Executor, OsRandom, Sys};
use crate::{Error, ErrorKind, Result};

/// tokio's clock stops while the machine is suspended: never sleep longer than this in one go, so
/// that a lease that ended meanwhile is told at most this late. `is_held()` is exact all the same.
const LEASE_NAP: Duration = Duration::from_secs(1);
const IO_NAP: Duration = Duration::from_secs(60);

/// Both runtimes. Those of the process are never dropped. But of two threads that are the first to
/// need them at once both make them, and one is too late; it may be a task of the caller's, where a
/// tokio runtime must not be dropped as it is.
pub(crate) struct Threads {
    /// None while it is dropped.
    io: Option<Runtime>,
    pool: Handle,
    lease: Handle,
    /// Ends the lease thread with this.
    _lease_ends: oneshot::Sender<()>,
    io_timers: Arc<Timers>,
    lease_timers: Arc<Timers>,
}

impl Threads {
    /// Starts both.
    #[allow(clippy::disallowed_methods, reason = "the one implementation of spawning")]
    pub(crate) fn start() -> Result<Self> {
        let failed = |cause| {
            Error::new(ErrorKind::Internal, "the background threads could not be started")
                .caused_by(cause)
        };
        let workers = std::env::var("LEASEHOLD_THREADS").ok().and_then(|text| text.parse().ok());
        let io = Builder::new_multi_thread()
            .worker_threads(workers.unwrap_or(2_usize).clamp(1, 64))
            .thread_name("leasehold-io")
            .enable_all()
            .build()
            .map_err(failed)?;
        let lease = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = lease.handle().clone();
        let (io_timers, lease_timers) = (Arc::<Timers>::default(), Arc::<Timers>::default());
        io.spawn(Arc::clone(&io_timers).run(IO_NAP));
        let timers = Arc::clone(&lease_timers).run(LEASE_NAP);
        let (_lease_ends, ended) = oneshot::channel();
        let until_the_end = async move {
            let (mut timers, mut ended) = (pin!(timers), pin!(ended));
            poll_fn(|context| match ended.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => timers.as_mut().poll(context),
            })
            .await;
        };
        crate::sys::thread("leasehold-lease", move || lease.block_on(until_the_end))
            .map_err(failed)?;
        let pool = io.handle().clone();
        Ok(Self { io: Some(io), pool, lease: handle, _lease_ends, io_timers, lease_timers })
    }

    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "for a store with sockets"))]
    pub(crate) fn io(&self) -> &Handle {
        &self.pool
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(io) = self.io.take() {
            io.shutdown_background();
        }
    }
}

impl Executor for Threads {
    #[allow(clippy::disallowed_methods, reason = "the one implementation of spawning")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.pool.spawn(task);
    }

    #[allow(clippy::disallowed_methods, reason = "the one implementation of spawning")]
    fn spawn_lease(&self, task: BoxFuture<'static, ()>) {
        self.lease.spawn(task);
    }

    fn sleep_until(&self, until: BootTime) -> BoxFuture<'static, ()> {
        // The lease thread keeps its own time: the pool's may be starved.
        let on_lease = Handle::try_current().is_ok_and(|here| here.id() == self.lease.id());
        let timers = if on_lease { &self.lease_timers } else { &self.io_timers };
        Box::pin(timers.sleep_until(until))
    }
}

/// The operating system's time and randomness, over `threads`.
pub(crate) fn sys_of(threads: Arc<Threads>) -> Sys {
    Sys::new(Arc::new(BootClock), Arc::new(OsRandom), threads)
}

/// The operating system's time, randomness and the shared threads, for a test or a tool that opens
/// a store by itself.
///
/// # Errors
/// [`Internal`](ErrorKind::Internal) where threads can't be started.
pub fn native_sys() -> Result<Sys> {
    Ok(super::shared()?.sys.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Clock;

    /// The first use of the process may be by several tasks at once, and all but one are too late.
    #[test]
    fn threads_that_came_too_late_may_be_dropped_by_a_task_and_end() {
        let threads = Threads::start().expect("threads");
        let timers = [&threads.io_timers, &threads.lease_timers].map(Arc::downgrade);
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async move { drop(threads) });
        let patience = BootClock.now() + Duration::from_secs(30);
        // Both schedules go with what runs them, which nobody tells of.
        while timers.iter().any(|timers| timers.strong_count() > 0) {
            assert!(BootClock.now() < patience, "they never end");
            std::thread::yield_now();
        }
    }
}
