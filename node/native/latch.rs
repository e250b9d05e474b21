//! A latch as an object, which tells its own calls apart.

use leasehold_bridge::Latch as Bridge;
use napi_derive::napi;

use crate::call::Call;

/// A latch.
#[napi]
pub struct Latch(Bridge);

#[napi]
impl Latch {
    /// Counts down by `count`; what is left.
    #[napi]
    pub fn count_down(&self, count: f64) -> Call {
        Call::of(self.0.count_down(count as u64))
    }

    /// What is left.
    #[napi]
    pub fn left(&self) -> Call {
        Call::of(self.0.count())
    }

    /// Waits until it is open, at most so many seconds.
    #[napi]
    pub fn opened(&self, wait: Option<f64>) -> Call {
        Call::of(self.0.wait(wait))
    }
}

impl Latch {
    pub(crate) fn of(latch: Bridge) -> Self {
        Self(latch)
    }
}
