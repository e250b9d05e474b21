//! A ttl and a wait from a lock's own history.

use leasehold_bridge::{AdaptiveTtl as Bridge, Choice as Chosen};

use crate::plain::Failure;

/// Follows how long a lock was held and waited for.
#[derive(uniffi::Object)]
pub struct AdaptiveTtl(pub(crate) Bridge);

/// What was chosen, and from what; spans are seconds.
#[derive(uniffi::Record)]
pub struct Choice {
    /// The lease's length.
    pub ttl: f64,
    /// How long to wait.
    pub wait: f64,
    /// How many of the latest holds it goes by.
    pub holds: u64,
    /// What 95 % of them were not longer than.
    pub hold: f64,
    /// What 95 % of the latest waits were not longer than.
    pub waited: f64,
    /// The part of the latest acquires that had to wait, 0 to 1.
    pub load: f64,
    /// All of it in words.
    pub words: String,
}

#[uniffi::export]
impl AdaptiveTtl {
    /// One that knows nothing yet.
    #[uniffi::constructor]
    #[allow(clippy::new_without_default, reason = "made in Kotlin only")]
    pub fn new() -> Self {
        Self(Bridge::default())
    }

    /// Notes a hold of so many seconds.
    pub fn held(&self, span: f64) -> Result<(), Failure> {
        Ok(self.0.held(span)?)
    }

    /// Notes a wait of so many seconds.
    pub fn waited(&self, span: f64) -> Result<(), Failure> {
        Ok(self.0.waited(span)?)
    }

    /// What to ask for now.
    pub fn choose(&self) -> Choice {
        let Chosen { ttl, wait, holds, hold, waited, load, words } = self.0.choose();
        Choice { ttl, wait, holds, hold, waited, load, words }
    }
}
