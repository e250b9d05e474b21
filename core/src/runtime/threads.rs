//! The two tokio runtimes: a pool for store traffic, and the lease thread, where nothing of the
//! user's and no store traffic can delay a renewal or the news of a loss.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::sys::{BootClock, BootTime, BoxFuture, Clock, Executor, OsRandom, Sys};
use crate::{Error, ErrorKind, Result};

/// tokio's clock stops while the machine is suspended: never sleep longer than this in one go, so
/// that a lease that ended meanwhile is told at most this late. `is_held()` is exact all the same.
const LEASE_NAP: Duration = Duration::from_secs(1);
const IO_NAP: Duration = Duration::from_secs(60);

/// Both runtimes. Never dropped: dropping would join their threads.
pub(crate) struct Threads {
    io: Runtime,
    lease: Handle,
}

impl Threads {
    /// Starts both.
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
        crate::sys::thread("leasehold-lease", move || lease.block_on(std::future::pending::<()>()))
            .map_err(failed)?;
        Ok(Self { io, lease: handle })
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
        // The lease thread keeps its own time: the pool's timer may be starved.
        let on_lease = Handle::try_current().is_ok_and(|here| here.id() == self.lease.id());
        let (handle, nap) =
            if on_lease { (&self.lease, LEASE_NAP) } else { (self.io.handle(), IO_NAP) };
        let sleep = async move {
            loop {
                let left = until.since(BootClock.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(nap)).await;
            }
        };
        Box::pin(InContext { handle: handle.clone(), future: Box::pin(sleep) })
    }
}

/// Polls a future inside a runtime's context, whichever executor polls it: our callers may be on
/// any, or on none.
struct InContext {
    handle: Handle,
    future: BoxFuture<'static, ()>,
}

impl Future for InContext {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let _guard = this.handle.enter();
        this.future.as_mut().poll(context)
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
