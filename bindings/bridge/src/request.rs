//! Requests and views as plain data, in the units that languages have: seconds as a float.

use leasehold::options::seconds;
use leasehold::store::{HolderView, Kind, LockView, WaiterView};
use leasehold::{ClientOptions, LockOptions, Order, Owner, Patience, Result};

use crate::Audit;

/// How a client is made.
#[derive(Clone, Debug, Default)]
pub struct ClientRequest {
    /// The store's URL; none for the default store.
    pub url: Option<String>,
    /// The caller's language, for people who look at a lock.
    pub language: &'static str,
    /// How many owners the search for deadlocks follows; none: 64.
    pub deadlock_depth: Option<u32>,
    /// Who is told of each eviction and each request to give a lock back.
    pub audit: Option<Audit>,
}

/// What is asked of a lock. None, false, 0 and no text mean the default; seconds are checked when the attempt is made.
#[derive(Clone, Debug, Default)]
pub struct LockRequest {
    /// The lock's name.
    pub name: String,
    /// How it is to be held.
    pub kind: Kind,
    /// The lease's length in seconds.
    pub ttl: Option<f64>,
    /// How long to wait in seconds; none: for ever.
    pub wait: Option<f64>,
    /// Don't wait at all: the outcome is `Busy` where another holds the lock.
    pub try_only: bool,
    /// A lease that is never renewed.
    pub fixed_term: bool,
    /// The longest tenure in seconds.
    pub max_hold: Option<f64>,
    /// The identity for re-entry and deadlock detection.
    pub owner: Option<u128>,
    /// Larger goes first.
    pub priority: i32,
    /// Whose wait ends in a deadlock: the smallest; none: as the priority.
    pub deadlock_priority: Option<i32>,
    /// Free text for people.
    pub note: String,
    /// In what order those who wait get the lock: `fifo` or `throughput`.
    pub order: Option<String>,
}

/// What a language says of how a lock is to be held: so many of `capacity` permits, or together with
/// other readers, or alone.
#[must_use]
pub fn kind(shared: bool, permits: Option<u32>, capacity: u32) -> Kind {
    match permits {
        Some(count) => Kind::Permits { count, capacity },
        None if shared => Kind::Shared,
        None => Kind::Exclusive,
    }
}

impl ClientRequest {
    /// What it asks for beside the URL.
    pub(crate) fn options(self) -> Result<ClientOptions> {
        Ok(ClientOptions {
            language: Some(self.language),
            deadlock_depth: self.deadlock_depth,
            audit: self.audit.map(Audit::sink).transpose()?,
            ..ClientOptions::default()
        })
    }
}

impl LockRequest {
    pub(crate) fn options(&self, defaults: &LockOptions) -> Result<LockOptions> {
        let mut options = defaults.clone();
        if let Some(ttl) = self.ttl {
            options.ttl = seconds("ttl", ttl)?;
        }
        if let Some(wait) = self.wait {
            options.wait = Patience::AtMost(seconds("wait", wait)?);
        }
        if self.try_only {
            options.wait = Patience::None;
        }
        options.renew &= !self.fixed_term;
        options.max_hold = match self.max_hold {
            Some(limit) => Some(seconds("max_hold", limit)?),
            None => options.max_hold,
        };
        options.owner = self.owner.map(Owner::from_number).or(options.owner);
        if self.priority != 0 {
            options.priority = self.priority;
        }
        options.deadlock_priority = self.deadlock_priority.or(options.deadlock_priority);
        if !self.note.is_empty() {
            options.note.clone_from(&self.note);
        }
        if let Some(order) = &self.order {
            options.order = Order::named(order)?;
        }
        Ok(options)
    }
}

/// One lock, as people see it.
#[derive(Clone, PartialEq, Debug)]
pub struct LockInfo {
    /// Its name.
    pub name: String,
    /// Who holds it.
    pub holder: Option<HolderInfo>,
    /// Who waits, first in line first; at most 100.
    pub queue: Vec<WaiterInfo>,
    /// How many wait in all.
    pub waiting: u64,
}

/// The holder of a lock.
#[derive(Clone, PartialEq, Debug)]
pub struct HolderInfo {
    /// The fence of the tenure.
    pub fence: u64,
    /// Seconds left of the lease as the holder was told.
    pub told: f64,
    /// Seconds left of it in the store.
    pub stored: f64,
    /// Who it is.
    pub who: WaiterInfo,
}

/// Who holds or waits.
#[derive(Clone, PartialEq, Debug)]
pub struct WaiterInfo {
    /// The host's name.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// The language.
    pub language: String,
    /// When the attempt began, in seconds since 1970.
    pub since: f64,
    /// The caller's note.
    pub note: String,
}

impl From<LockView> for LockInfo {
    fn from(view: LockView) -> Self {
        Self {
            name: view.name.as_str().to_owned(),
            holder: view.holder.as_ref().map(HolderInfo::from),
            queue: view.queue.iter().map(WaiterInfo::from).collect(),
            waiting: view.waiting,
        }
    }
}

impl From<&HolderView> for HolderInfo {
    fn from(view: &HolderView) -> Self {
        Self {
            fence: view.fence,
            told: view.told.as_secs_f64(),
            stored: view.stored.as_secs_f64(),
            who: WaiterInfo::of(&view.profile),
        }
    }
}

impl From<&WaiterView> for WaiterInfo {
    fn from(view: &WaiterView) -> Self {
        Self::of(&view.profile)
    }
}

impl WaiterInfo {
    pub(crate) fn of(profile: &leasehold::Profile) -> Self {
        Self {
            host: profile.host.clone(),
            pid: profile.pid,
            language: profile.language.clone(),
            since: profile.since_us as f64 / 1e6,
            note: profile.note.clone(),
        }
    }
}
