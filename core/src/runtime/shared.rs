//! The process's one runtime, made at first use and again in a forked child.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::threads::{Threads, sys_of};
use super::{Runtime, block_on};
use crate::sys::fork::PerProcess;
use crate::{Error, Result};

struct Process {
    runtime: Arc<Runtime>,
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "for a store with sockets"))]
    threads: Arc<Threads>,
}

/// Never dropped, for a static isn't; a forked child leaks it and makes its own.
static PROCESS: PerProcess<Process> = PerProcess::new();

fn process() -> Result<Arc<Process>> {
    PROCESS.get_or_try_init(|| {
        let threads = Arc::new(Threads::start()?);
        let runtime = Arc::new(Runtime::new(sys_of(Arc::clone(&threads))));
        Ok::<_, Error>(Process { runtime, threads })
    })
}

/// The shared runtime.
///
/// # Errors
/// [`Internal`](crate::ErrorKind::Internal) where its threads can't be started.
pub fn shared() -> Result<Arc<Runtime>> {
    Ok(Arc::clone(&process()?.runtime))
}

/// Runs `task` on the I/O pool. For the bindings: nothing that blocks or runs user code.
///
/// # Errors
/// [`Internal`](crate::ErrorKind::Internal) where the threads can't be started.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    process()?.runtime.sys.spawn(Box::pin(task));
    Ok(())
}

/// For an exit hook: tells all holders in this process (`shutdown`), refuses its waiters, gives
/// everything back and waits at most `grace` for it. Does nothing where no lock was ever taken.
pub fn release_all(grace: Duration) -> bool {
    match PROCESS.get() {
        Some(process) => block_on(process.runtime.release_all(grace)),
        None => true,
    }
}

/// The I/O pool's context, for a store that opens sockets.
#[cfg(feature = "sqlite")]
pub(crate) fn io() -> Result<tokio::runtime::Handle> {
    Ok(process()?.threads.io().clone())
}
