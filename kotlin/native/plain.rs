//! The bridge's plain data as uniffi's. The Kotlin half makes its own types of them.

use leasehold_bridge::{
    ErrorInfo, HealthInfo, HolderInfo, LeaderInfo, LockInfo, PlacedInfo, UsageInfo, WaiterInfo,
};

/// An error as data: the Kotlin half has the classes.
#[derive(Clone, Debug, uniffi::Error)]
pub enum Failure {
    /// The one kind: what to do about it, the code says.
    Told {
        /// Of the one list of codes.
        code: String,
        /// One line that names the input or the place. (Kotlin's exceptions have a `message` already.)
        text: String,
        /// Why the lease was lost, if that is what the error says.
        reason: Option<String>,
        /// Of a deadlock each wait in it, the caller's own first.
        cycle: Vec<String>,
        /// The causes, nearest first.
        causes: Vec<String>,
    },
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Told { code, text, .. } = self;
        write!(f, "{code}: {text}")
    }
}

impl std::error::Error for Failure {}

impl From<ErrorInfo> for Failure {
    fn from(error: ErrorInfo) -> Self {
        let ErrorInfo { code, message, reason, cycle, causes, .. } = error;
        Self::Told {
            code: code.to_owned(),
            text: message,
            reason: reason.map(str::to_owned),
            cycle,
            causes,
        }
    }
}

/// One lock, as people see it.
#[derive(uniffi::Record)]
pub struct Lock {
    /// Its name.
    pub name: String,
    /// Who holds it.
    pub holder: Option<Holder>,
    /// Who waits, first in line first; at most 100.
    pub queue: Vec<Who>,
    /// How many wait in all.
    pub waiting: u64,
}

/// The holder of a lock.
#[derive(uniffi::Record)]
pub struct Holder {
    /// The fence of the tenure.
    pub fence: u64,
    /// Seconds left of the lease as the holder was told.
    pub told: f64,
    /// Seconds left of it in the store.
    pub stored: f64,
    /// Who it is.
    pub who: Who,
}

/// Who holds or waits.
#[derive(uniffi::Record)]
pub struct Who {
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

/// Who leads.
#[derive(uniffi::Record)]
pub struct Leader {
    /// The fence of its lease.
    pub fence: u64,
    /// What it said last.
    pub value: Vec<u8>,
    /// Who it is.
    pub who: Who,
}

/// A request to give a lease back.
#[derive(uniffi::Record)]
pub struct AskedBack {
    /// Who asks.
    pub by: Who,
    /// The reason.
    pub why: String,
    /// The seconds that the holder had.
    pub grace: f64,
}

/// What a request to give a lock back came to.
#[derive(uniffi::Record)]
pub struct Returned {
    /// In a word.
    pub state: String,
    /// The fence of the tenure.
    pub fence: Option<u64>,
    /// Who holds or held it.
    pub holder: Option<Who>,
    /// The fences of those that hold it too.
    pub others: Vec<u64>,
}

/// A lock in one of a manager's stores.
#[derive(uniffi::Record)]
pub struct Placed {
    /// The store's name.
    pub store: String,
    /// The lock.
    pub lock: Lock,
}

/// One store of a manager.
#[derive(uniffi::Record)]
pub struct Health {
    /// Its name.
    pub store: String,
    /// Its URL, without secrets.
    pub url: String,
    /// How many seconds it took to answer.
    pub round_trip: Option<f64>,
    /// Why it did not.
    pub error: Option<Failure>,
    /// Leases in it.
    pub held: u64,
    /// Attempts that ask or wait.
    pub waiting: u64,
}

/// How this process uses one name.
#[derive(uniffi::Record)]
pub struct Usage {
    /// The name.
    pub name: String,
    /// Leases that are held.
    pub held: u64,
    /// Calls that ask or wait.
    pub waiting: u64,
    /// Described, or over.
    pub idle: u64,
    /// In seconds since 1970.
    pub last_used: Option<f64>,
}

/// What the searches for deadlocks came to.
#[derive(uniffi::Record)]
pub struct Deadlocks {
    /// Looks taken.
    pub looks: u64,
    /// Cycles found.
    pub found: u64,
    /// Waits that were ended.
    pub victims: u64,
    /// Owners in the longest cycle found.
    pub longest: u64,
    /// Looks that followed a chain to no end.
    pub cut: u64,
}

impl From<leasehold_bridge::Deadlocks> for Deadlocks {
    fn from(found: leasehold_bridge::Deadlocks) -> Self {
        let leasehold_bridge::Deadlocks { looks, found, victims, longest, cut, .. } = found;
        Self { looks, found, victims, longest, cut }
    }
}

impl From<leasehold_bridge::AskedBack> for AskedBack {
    fn from(asked: leasehold_bridge::AskedBack) -> Self {
        let leasehold_bridge::AskedBack { by, why, grace } = asked;
        Self { by: by.into(), why, grace }
    }
}

impl From<leasehold_bridge::Returned> for Returned {
    fn from(returned: leasehold_bridge::Returned) -> Self {
        let leasehold_bridge::Returned { state, fence, holder, others } = returned;
        Self { state: state.to_owned(), fence, holder: holder.map(Who::from), others }
    }
}

impl From<PlacedInfo> for Placed {
    fn from(info: PlacedInfo) -> Self {
        let PlacedInfo { store, lock } = info;
        Self { store, lock: lock.into() }
    }
}

impl From<HealthInfo> for Health {
    fn from(info: HealthInfo) -> Self {
        let HealthInfo { store, url, round_trip, error, held, waiting } = info;
        let error = error.map(Failure::from);
        Self { store, url, round_trip, error, held, waiting }
    }
}

impl From<UsageInfo> for Usage {
    fn from(info: UsageInfo) -> Self {
        let UsageInfo { name, held, waiting, idle, last_used } = info;
        Self { name, held, waiting, idle, last_used }
    }
}

impl From<LeaderInfo> for Leader {
    fn from(info: LeaderInfo) -> Self {
        let LeaderInfo { fence, value, who } = info;
        Self { fence, value, who: who.into() }
    }
}

impl From<LockInfo> for Lock {
    fn from(info: LockInfo) -> Self {
        Self {
            name: info.name,
            holder: info.holder.map(Holder::from),
            queue: info.queue.into_iter().map(Who::from).collect(),
            waiting: info.waiting,
        }
    }
}

impl From<HolderInfo> for Holder {
    fn from(info: HolderInfo) -> Self {
        let HolderInfo { fence, told, stored, who } = info;
        Self { fence, told, stored, who: who.into() }
    }
}

impl From<WaiterInfo> for Who {
    fn from(info: WaiterInfo) -> Self {
        let WaiterInfo { host, pid, language, since, note } = info;
        Self { host, pid, language, since, note }
    }
}
