//! A latch as an object, which tells its own calls apart.

use std::sync::Arc;

use leasehold_bridge::Latch as Bridge;

use crate::call::Call;

/// A latch.
#[derive(uniffi::Object)]
pub struct Latch(Bridge);

#[uniffi::export]
impl Latch {
    /// Counts down by `count`; what is left.
    pub fn count_down(&self, count: u64) -> Arc<Call> {
        Call::of(self.0.count_down(count))
    }

    /// What is left.
    pub fn left(&self) -> Arc<Call> {
        Call::of(self.0.count())
    }

    /// Waits until it is open, at most so many seconds.
    pub fn opened(&self, wait: Option<f64>) -> Arc<Call> {
        Call::of(self.0.wait(wait))
    }
}

impl Latch {
    pub(crate) fn of(latch: Bridge) -> Arc<Self> {
        Arc::new(Self(latch))
    }
}
