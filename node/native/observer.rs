//! Who leads, one change at a time: it lies here until it is taken.

use leasehold_bridge::Observer as Bridge;
use napi_derive::napi;

use crate::call::Call;
use crate::plain::Leader;

/// Watches who leads.
#[napi]
pub struct Observer(Bridge);

/// A change.
#[napi(object, object_from_js = false)]
pub struct Change {
    /// Who leads now, if anyone does.
    pub leader: Option<Leader>,
}

#[napi]
impl Observer {
    /// Waits until there is a change to take.
    #[napi]
    pub fn changed(&self) -> Call {
        Call::of(self.0.changed())
    }

    /// The change, if there is one that was not taken.
    #[napi]
    pub fn take(&self) -> Option<Change> {
        self.0.take().map(|leader| Change { leader: leader.map(Leader::from) })
    }
}

impl Observer {
    pub(crate) fn of(observer: Bridge) -> Self {
        Self(observer)
    }
}
