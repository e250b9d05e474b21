//! What people and tools see of a lock, and how they end a tenure from outside.

use std::sync::Arc;
use std::time::Duration;

use super::{Kind, Wanting};
use crate::lock::{Tenure, Waiter};
use crate::sys::BootTime;
use crate::{Name, Owner, Profile};

/// How many holders and how many waiters of a lock an inspection lists.
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
    /// Who holds it; of several, one.
    pub holder: Option<HolderView>,
    /// Who holds it besides: the other readers, or holders of permits; at most 99.
    pub others: Vec<HolderView>,
    /// How many hold it in all.
    pub holding: u64,
    /// Who waits, first in line first, but readers after all others; at most 100.
    pub queue: Vec<WaiterView>,
    /// How many wait in all.
    pub waiting: u64,
}

/// The holder of a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HolderView {
    /// How it holds the lock.
    pub kind: Kind,
    /// The fence of the tenure; of a reader its epoch, of permits their number.
    pub fence: u64,
    /// What is left of the lease as the holder was told.
    pub told: Duration,
    /// What is left of it in the store.
    pub stored: Duration,
    /// Granted by hand-off and not yet confirmed by the holder.
    pub claimed: bool,
    /// Its identity for re-entry and deadlock detection, if it gave one.
    pub owner: Option<Owner>,
    /// Who it is.
    pub profile: Arc<Profile>,
}

/// One waiter of a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaiterView {
    /// How it wants to hold the lock.
    pub kind: Kind,
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
    /// End only what has this fence: no one else's tenure by mistake. Without it all holders go.
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

impl LockView {
    /// The view of a lock with these live tenures and waiters, of which only the first may be shown.
    #[must_use]
    pub fn of<'t>(
        name: &Name,
        now: BootTime,
        (tenures, holding): (impl IntoIterator<Item = &'t Tenure>, u64),
        (queue, waiting): (impl IntoIterator<Item = &'t Waiter>, u64),
    ) -> Self {
        let mut holders = tenures.into_iter().take(SHOWN).map(|tenure| HolderView::of(tenure, now));
        Self {
            name: name.clone(),
            holder: holders.next(),
            others: holders.collect(),
            holding,
            queue: queue.into_iter().take(SHOWN).map(|it| WaiterView::of(it, now)).collect(),
            waiting,
        }
    }
}

impl Wanting {
    /// What `waiter` of lock `name` waits for, which these hold.
    #[must_use]
    pub fn of<'t>(
        name: &Name,
        waiter: &Waiter,
        tenures: impl IntoIterator<Item = &'t Tenure>,
        now: BootTime,
    ) -> Self {
        Self {
            name: name.clone(),
            attempt: waiter.token,
            kind: waiter.kind,
            priority: waiter.priority,
            profile: Arc::clone(&waiter.profile),
            holders: tenures.into_iter().take(SHOWN).map(|it| HolderView::of(it, now)).collect(),
        }
    }
}

impl HolderView {
    /// `tenure` as seen at `now`.
    #[must_use]
    pub fn of(tenure: &Tenure, now: BootTime) -> Self {
        Self {
            kind: tenure.kind,
            fence: tenure.fence,
            told: tenure.told.since(now),
            stored: tenure.until.since(now),
            claimed: tenure.claimed,
            owner: tenure.owner,
            profile: Arc::clone(&tenure.profile),
        }
    }
}

impl WaiterView {
    /// `waiter` as seen at `now`.
    #[must_use]
    pub fn of(waiter: &Waiter, now: BootTime) -> Self {
        Self {
            kind: waiter.kind,
            alive_for: waiter.alive_until.since(now),
            profile: Arc::clone(&waiter.profile),
        }
    }
}
