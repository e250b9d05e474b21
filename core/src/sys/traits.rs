//! The three things the core may not take from a global: time, randomness, spawning.

use super::{BootTime, BoxFuture, MaybeSend, MaybeSync, Moment};

/// Reads the clocks.
pub trait Clock: MaybeSend + MaybeSync {
    /// Boot time and wall time, read together.
    fn moment(&self) -> Moment;

    /// Boot time alone.
    fn now(&self) -> BootTime {
        self.moment().now
    }
}

/// Fills buffers with unpredictable bytes.
pub trait Randomness: MaybeSend + MaybeSync {
    /// Fills `bytes`. Never blocks after the machine's early boot.
    fn fill(&self, bytes: &mut [u8]);
}

/// Runs futures and wakes them in time.
pub trait Executor: MaybeSend + MaybeSync {
    /// Runs `task` to its end in the background.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Runs `task` where user code, store traffic and other tasks can't delay it.
    fn spawn_lease(&self, task: BoxFuture<'static, ()>);

    /// Completes at `until` on the boot clock, or up to a second late after the machine was
    /// suspended.
    fn sleep_until(&self, until: BootTime) -> BoxFuture<'static, ()>;
}
