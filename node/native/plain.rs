//! The bridge's plain data as JavaScript objects. The TypeScript half makes its own types of them.

use leasehold_bridge::{
    ErrorInfo, HealthInfo, HolderInfo, LeaderInfo, LockInfo, PlacedInfo, Release, UsageInfo,
    WaiterInfo,
};
use napi::bindgen_prelude::{Buffer, Either8};
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

/// A request to give a lease back.
#[napi(object, object_from_js = false)]
pub struct AskedBack {
    /// Who asks.
    pub by: Who,
    /// The reason.
    pub why: String,
    /// The seconds that the holder had.
    pub grace: f64,
}

/// What a request to give a lock back came to.
#[napi(object, object_from_js = false)]
pub struct Returned {
    /// In a word.
    pub state: &'static str,
    /// The fence of the tenure.
    pub fence: Option<f64>,
    /// Who holds or held it.
    pub holder: Option<Who>,
    /// The fences of those that hold it too.
    pub others: Vec<f64>,
}

/// A lock in one of a manager's stores.
#[napi(object, object_from_js = false)]
pub struct Placed {
    /// The store's name.
    pub store: String,
    /// The lock.
    pub lock: Lock,
}

/// One store of a manager.
#[napi(object, object_from_js = false)]
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
    pub held: f64,
    /// Attempts that ask or wait.
    pub waiting: f64,
}

/// How this process uses one name.
#[napi(object, object_from_js = false)]
pub struct Usage {
    /// The name.
    pub name: String,
    /// Leases that are held.
    pub held: f64,
    /// Calls that ask or wait.
    pub waiting: f64,
    /// Described, or over.
    pub idle: f64,
    /// In seconds since 1970.
    pub last_used: Option<f64>,
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
pub(crate) type Value =
    Either8<bool, String, Lock, Vec<Lock>, f64, Returned, Vec<Placed>, Vec<Health>>;

/// What a call yields, as JavaScript sees it.
pub(crate) trait Plain: Clone + Send + 'static {
    fn plain(self) -> Value;
}

impl Plain for () {
    fn plain(self) -> Value {
        Either8::A(true)
    }
}

impl Plain for bool {
    fn plain(self) -> Value {
        Either8::A(self)
    }
}

impl Plain for Release {
    fn plain(self) -> Value {
        Either8::B(self.state.to_owned())
    }
}

/// 0 for none: no fence is 0.
impl Plain for Option<u64> {
    fn plain(self) -> Value {
        Either8::E(self.unwrap_or_default() as f64)
    }
}

impl Plain for u64 {
    fn plain(self) -> Value {
        Either8::E(self as f64)
    }
}

impl Plain for LockInfo {
    fn plain(self) -> Value {
        Either8::C(self.into())
    }
}

impl Plain for Vec<LockInfo> {
    fn plain(self) -> Value {
        Either8::D(self.into_iter().map(Lock::from).collect())
    }
}

impl Plain for leasehold_bridge::Returned {
    fn plain(self) -> Value {
        let Self { state, fence, holder, others } = self;
        Either8::F(Returned {
            state,
            fence: fence.map(|fence| fence as f64),
            holder: holder.map(Who::from),
            others: others.into_iter().map(|fence| fence as f64).collect(),
        })
    }
}

impl Plain for Vec<PlacedInfo> {
    fn plain(self) -> Value {
        let placed = |it: PlacedInfo| Placed { store: it.store, lock: it.lock.into() };
        Either8::G(self.into_iter().map(placed).collect())
    }
}

impl Plain for Vec<HealthInfo> {
    fn plain(self) -> Value {
        let health = |it: HealthInfo| Health {
            store: it.store,
            url: it.url,
            round_trip: it.round_trip,
            error: it.error.map(Failure::from),
            held: it.held as f64,
            waiting: it.waiting as f64,
        };
        Either8::H(self.into_iter().map(health).collect())
    }
}

impl From<leasehold_bridge::AskedBack> for AskedBack {
    fn from(asked: leasehold_bridge::AskedBack) -> Self {
        let leasehold_bridge::AskedBack { by, why, grace } = asked;
        Self { by: by.into(), why, grace }
    }
}

impl From<UsageInfo> for Usage {
    fn from(info: UsageInfo) -> Self {
        let UsageInfo { name, held, waiting, idle, last_used } = info;
        let [held, waiting, idle] = [held, waiting, idle].map(|count| count as f64);
        Self { name, held, waiting, idle, last_used }
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
