//! The two tokio runtimes: a pool for store traffic, and the lease thread, where nothing of the
//! user's and no store traffic can delay a renewal or the news of a loss.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::timers::Timers;
use crate::sys::{BootClock, BootTime, BoxFuture, Executor, OsRandom, Sys};
use crate::{Error, ErrorKind, Result};

/// tokio's clock stops while the machine is suspended: never sleep longer than this in one go, so
/// that a lease that ended meanwhile is told at most this late. `is_held()` is exact all the same.
const LEASE_NAP: Duration = Duration::from_secs(1);
const IO_NAP: Duration = Duration::from_secs(60);

/// Both runtimes. Never dropped: dropping would join their threads.
pub(crate) struct Threads {
    io: Runtime,
    lease: Handle,
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
        crate::sys::thread("leasehold-lease", move || lease.block_on(timers)).map_err(failed)?;
        Ok(Self { io, lease: handle, io_timers, lease_timers })
    }

    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "for a store with sockets"))]
    pub(crate) fn io(&self) -> &Handle {
        self.io.handle()
    }
}

impl Executor for Threads {
    #[allow(clippy::disallowed_methods, reason = "the one implementation of spawning")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.io.spawn(task);
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
