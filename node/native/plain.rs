//! The bridge's plain data as JavaScript objects. The TypeScript half makes its own types of them.

use leasehold_bridge::{ErrorInfo, HolderInfo, LeaderInfo, LockInfo, Release, WaiterInfo};
use napi::bindgen_prelude::{Buffer, Either5};
use napi_derive::napi;

/// An error as data: the TypeScript half has the classes.
#[napi(object, object_from_js = false)]
#[derive(Clone)]
pub struct Failure {
    /// Of the one list of codes.
    pub code: &'static str,
    /// One line that names the input or the place.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// Why the lease was lost, if that is what the error says.
    pub reason: Option<&'static str>,
    /// Of a deadlock each wait in it, the caller's own first.
    pub cycle: Vec<String>,
    /// The causes, nearest first.
    pub causes: Vec<String>,
}

impl From<ErrorInfo> for Failure {
    fn from(error: ErrorInfo) -> Self {
        let ErrorInfo { code, message, retryable, reason, cycle, causes } = error;
        Self { code, message, retryable, reason, cycle, causes }
    }
}

/// One lock, as people see it.
#[napi(object, object_from_js = false)]
pub struct Lock {
    /// Its name.
    pub name: String,
    /// Who holds it.
    pub holder: Option<Holder>,
    /// Who waits, first in line first; at most 100.
    pub queue: Vec<Who>,
    /// How many wait in all.
    pub waiting: f64,
}

/// The holder of a lock.
#[napi(object, object_from_js = false)]
pub struct Holder {
    /// The fence of the tenure.
    pub fence: f64,
    /// Seconds left of the lease as the holder was told.
    pub told: f64,
    /// Seconds left of it in the store.
    pub stored: f64,
    /// Who it is.
    pub who: Who,
}

/// Who holds or waits.
#[napi(object, object_from_js = false)]
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
#[napi(object, object_from_js = false)]
pub struct Leader {
    /// The fence of its lease.
    pub fence: f64,
    /// What it said last.
    pub value: Buffer,
    /// Who it is.
    pub who: Who,
}

/// What the searches for deadlocks came to.
#[napi(object, object_from_js = false)]
pub struct Deadlocks {
    /// Looks taken.
    pub looks: f64,
    /// Cycles found.
    pub found: f64,
    /// Waits that were ended.
    pub victims: f64,
    /// Owners in the longest cycle found.
    pub longest: f64,
    /// Looks that followed a chain to no end.
    pub cut: f64,
}

/// Everything that a call may yield.
pub(crate) type Value = Either5<bool, String, Lock, Vec<Lock>, f64>;

/// What a call yields, as JavaScript sees it.
pub(crate) trait Plain: Clone + Send + 'static {
    fn plain(self) -> Value;
}

impl Plain for () {
    fn plain(self) -> Value {
        Either5::A(true)
    }
}

impl Plain for bool {
    fn plain(self) -> Value {
        Either5::A(self)
    }
}

impl Plain for Release {
    fn plain(self) -> Value {
        Either5::B(self.state.to_owned())
    }
}

/// 0 for none: no fence is 0.
impl Plain for Option<u64> {
    fn plain(self) -> Value {
        Either5::E(self.unwrap_or_default() as f64)
    }
}

impl Plain for u64 {
    fn plain(self) -> Value {
        Either5::E(self as f64)
    }
}

impl Plain for LockInfo {
    fn plain(self) -> Value {
        Either5::C(self.into())
    }
}

impl Plain for Vec<LockInfo> {
    fn plain(self) -> Value {
        Either5::D(self.into_iter().map(Lock::from).collect())
    }
}

impl From<LeaderInfo> for Leader {
    fn from(info: LeaderInfo) -> Self {
        let LeaderInfo { fence, value, who } = info;
        Self { fence: fence as f64, value: value.into(), who: who.into() }
    }
}

impl From<leasehold_bridge::Deadlocks> for Deadlocks {
    fn from(found: leasehold_bridge::Deadlocks) -> Self {
        let leasehold_bridge::Deadlocks { looks, found, victims, longest, cut, .. } = found;
        let [looks, found, victims, longest, cut] =
            [looks, found, victims, longest, cut].map(|count| count as f64);
        Self { looks, found, victims, longest, cut }
    }
}

impl From<LockInfo> for Lock {
    fn from(info: LockInfo) -> Self {
        Self {
            name: info.name,
            holder: info.holder.map(Holder::from),
            queue: info.queue.into_iter().map(Who::from).collect(),
            waiting: info.waiting as f64,
        }
    }
}

impl From<HolderInfo> for Holder {
    fn from(info: HolderInfo) -> Self {
        Self {
            fence: info.fence as f64,
            told: info.told,
            stored: info.stored,
            who: info.who.into(),
        }
    }
}

impl From<WaiterInfo> for Who {
    fn from(info: WaiterInfo) -> Self {
        let WaiterInfo { host, pid, language, since, note } = info;
        Self { host, pid, language, since, note }
    }
}
