//! A call under way, whatever it yields.

use std::sync::Arc;
use std::time::Duration;

use leasehold_bridge::{ErrorInfo, HealthInfo, Pending, PlacedInfo, Release};

use crate::mailbox::Mailbox;
use crate::plain::{Failure, Health, Lock, Placed, Returned};

/// What a call yields.
#[derive(uniffi::Enum)]
pub enum Value {
    /// Nothing but that it is done.
    Done,
    /// Whether the time was enough, or there is something to take.
    Enough {
        /// It was, there is.
        it_was: bool,
    },
    /// What a release found.
    Release {
        /// `released`, `background`, `lost` or `repeated`.
        state: String,
    },
    /// The fence that was ended, if there was one.
    Ended {
        /// It.
        fence: Option<u64>,
    },
    /// What is left of a latch, or the number of a change.
    Left {
        /// So often it is to be counted down, or that.
        count: u64,
    },
    /// Locks, as people see them.
    Locks {
        /// One, or as many as there are.
        locks: Vec<Lock>,
    },
    /// What a request to give a lock back came to.
    Returned {
        /// It.
        returned: Returned,
    },
    /// Locks in stores.
    Placed {
        /// As many as there are.
        placed: Vec<Placed>,
    },
    /// How stores are.
    Health {
        /// Of each.
        health: Vec<Health>,
    },
}

/// A call under way. Dropping it stops nothing but a mere wait.
#[derive(uniffi::Object)]
pub struct Call(Box<dyn Work>);

#[uniffi::export]
impl Call {
    /// What it yielded, if it is done.
    pub fn value(&self) -> Result<Option<Value>, Failure> {
        Ok(self.0.result().transpose()?)
    }

    /// Blocks for the result, at most `slice_ms`.
    pub fn wait_for(&self, slice_ms: u32) -> Result<Option<Value>, Failure> {
        Ok(self.0.wait_for(Duration::from_millis(slice_ms.into())).transpose()?)
    }

    /// Ends a mere wait. All other work is finished.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Has `key` put into `mailbox` when it is done: at once, if it is.
    pub fn tell(&self, mailbox: &Mailbox, key: u64) {
        self.0.tell(&mailbox.0, key);
    }

    /// Has `key` put into `mailbox` when it is done; false, and nothing is put, if it is, or is in a moment.
    pub fn notify(&self, mailbox: &Mailbox, key: u64) -> bool {
        self.0.notify(&mailbox.0, key)
    }
}

impl Call {
    pub(crate) fn of<T: Plain>(pending: Pending<T>) -> Arc<Self> {
        Arc::new(Self(Box::new(pending)))
    }
}

trait Work: Send + Sync {
    fn result(&self) -> Option<Result<Value, ErrorInfo>>;
    fn wait_for(&self, slice: Duration) -> Option<Result<Value, ErrorInfo>>;
    fn tell(&self, mailbox: &Arc<leasehold_bridge::Mailbox>, key: u64);
    fn notify(&self, mailbox: &Arc<leasehold_bridge::Mailbox>, key: u64) -> bool;
    fn cancel(&self);
}

impl<T: Plain> Work for Pending<T> {
    fn result(&self) -> Option<Result<Value, ErrorInfo>> {
        Pending::result(self).map(|result| result.map(Plain::plain))
    }

    fn wait_for(&self, slice: Duration) -> Option<Result<Value, ErrorInfo>> {
        Pending::wait_for(self, slice).map(|result| result.map(Plain::plain))
    }

    fn tell(&self, mailbox: &Arc<leasehold_bridge::Mailbox>, key: u64) {
        self.tell_in(mailbox, key);
    }

    fn notify(&self, mailbox: &Arc<leasehold_bridge::Mailbox>, key: u64) -> bool {
        self.unless_done_tell_in(mailbox, key)
    }

    fn cancel(&self) {
        Pending::cancel(self);
    }
}

/// What a call yields, as Kotlin sees it.
pub(crate) trait Plain: Clone + Send + 'static {
    fn plain(self) -> Value;
}

impl Plain for () {
    fn plain(self) -> Value {
        Value::Done
    }
}

impl Plain for bool {
    fn plain(self) -> Value {
        Value::Enough { it_was: self }
    }
}

impl Plain for Release {
    fn plain(self) -> Value {
        Value::Release { state: self.state.to_owned() }
    }
}

impl Plain for Option<u64> {
    fn plain(self) -> Value {
        Value::Ended { fence: self }
    }
}

impl Plain for u64 {
    fn plain(self) -> Value {
        Value::Left { count: self }
    }
}

impl Plain for leasehold_bridge::LockInfo {
    fn plain(self) -> Value {
        Value::Locks { locks: vec![self.into()] }
    }
}

impl Plain for Vec<leasehold_bridge::LockInfo> {
    fn plain(self) -> Value {
        Value::Locks { locks: self.into_iter().map(Lock::from).collect() }
    }
}

impl Plain for leasehold_bridge::Returned {
    fn plain(self) -> Value {
        Value::Returned { returned: self.into() }
    }
}

impl Plain for Vec<PlacedInfo> {
    fn plain(self) -> Value {
        Value::Placed { placed: self.into_iter().map(Placed::from).collect() }
    }
}

impl Plain for Vec<HealthInfo> {
    fn plain(self) -> Value {
        Value::Health { health: self.into_iter().map(Health::from).collect() }
    }
}
