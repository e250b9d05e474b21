//! Who leads, one change at a time: it lies here until it is taken.

use std::sync::Arc;

use leasehold_bridge::Observer as Bridge;

use crate::call::Call;
use crate::plain::Leader;

/// Watches who leads.
#[derive(uniffi::Object)]
pub struct Observer(Bridge);

/// A change.
#[derive(uniffi::Record)]
pub struct Change {
    /// Who leads now, if anyone does.
    pub leader: Option<Leader>,
}

#[uniffi::export]
impl Observer {
    /// Waits until there is a change to take.
    pub fn changed(&self) -> Arc<Call> {
        Call::of(self.0.changed())
    }

    /// The change, if there is one that was not taken.
    pub fn take(&self) -> Option<Change> {
        self.0.take().map(|leader| Change { leader: leader.map(Leader::from) })
    }
}

impl Observer {
    pub(crate) fn of(observer: Bridge) -> Arc<Self> {
        Arc::new(Self(observer))
    }
}
