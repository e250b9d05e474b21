//! What people and tools see of a lock, and how they end a tenure from outside.

use std::sync::Arc;
use std::time::Duration;

use crate::lock::{Tenure, Waiter};
use crate::sys::BootTime;
use crate::{Name, Profile};

/// How many waiters of a lock an inspection lists.
pub const SHOWN: usize = 100;

/// Which locks to show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// This one, held, waited for or not.
    Name(Name),
    /// Those that are held or waited for and whose names start with `prefix`, in order of name.
    Prefix {
        /// Empty for all.
        prefix: String,
        /// Only names after this one: the last of the previous page.
        after: Option<Name>,
        /// How many.
        limit: u32,
    },
}

/// One lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockView {
    /// Its name.
    pub name: Name,
    /// Who holds it.
    pub holder: Option<HolderView>,
    /// Who waits, first in line first; at most 100.
    pub queue: Vec<WaiterView>,
    /// How many wait in all.
    pub waiting: u64,
}

/// The holder of a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HolderView {
    /// The fence of the tenure.
    pub fence: u64,
    /// What is left of the lease as the holder was told.
    pub told: Duration,
    /// What is left of it in the store.
    pub stored: Duration,
    /// Granted by hand-off and not yet confirmed by the holder.
    pub claimed: bool,
    /// Who it is.
    pub profile: Arc<Profile>,
}

/// One waiter of a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaiterView {
    /// What is left until it counts as dead, unless it asks again.
    pub alive_for: Duration,
    /// Who it is.
    pub profile: Arc<Profile>,
}

/// Why a tenure is ended from outside. Logged with the eviction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evict {
    /// The reason.
    pub why: String,
    /// End it only if it has this fence: no one else's by mistake.
    pub fence: Option<u64>,
}

/// What an eviction did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Evicted {
    /// This tenure was ended.
    Evicted {
        /// Its fence.
        fence: u64,
        /// Who held it.
        profile: Arc<Profile>,
    },
    /// No one held the lock, or not with that fence.
    NotHeld,
}

impl HolderView {
    /// `tenure` as seen at `now`.
    #[must_use]
    pub fn of(tenure: &Tenure, now: BootTime) -> Self {
        Self {
            fence: tenure.fence,
            told: tenure.told.since(now),
            stored: tenure.until.since(now),
            claimed: tenure.claimed,
            profile: Arc::clone(&tenure.profile),
        }
    }
}

impl WaiterView {
    /// `waiter` as seen at `now`.
    #[must_use]
    pub fn of(waiter: &Waiter, now: BootTime) -> Self {
        Self { alive_for: waiter.alive_until.since(now), profile: Arc::clone(&waiter.profile) }
    }
}
