//! The bridge's plain data as uniffi's. The Kotlin half makes its own types of them.

use leasehold_bridge::{ErrorInfo, HolderInfo, LeaderInfo, LockInfo, WaiterInfo};

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
