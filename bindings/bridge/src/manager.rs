//! Locks by name, of the stores and kinds that one configuration says.
//!
//! A lock that is described here keeps what the configuration says of it; a request changes of that
//! only what it names itself.

use std::time::Duration;

use leasehold::manager::{Config, LockKind, Revoked};
use leasehold::options::seconds;
use leasehold::store::{Evict, Evicted, Kind};
use leasehold::{Error, Lock, Name, RwLock, Semaphore};

use crate::ask_back::ask;
use crate::{
    AdaptiveTtl, Attempt, ClientRequest, ErrorInfo, HolderInfo, LockInfo, LockRequest, Pending,
    Returned,
};

/// Where a configuration comes from.
#[derive(Clone)]
pub enum Source {
    /// TOML.
    Toml(String),
    /// A file of TOML.
    File(String),
    /// The same as JSON, as a language writes its own objects.
    Json(String),
}

/// Locks by name.
#[derive(Clone)]
pub struct Manager(leasehold::manager::Manager);

/// A lock in one of the manager's stores.
#[derive(Clone, PartialEq, Debug)]
pub struct PlacedInfo {
    /// The store's name in the configuration.
    pub store: String,
    /// The lock.
    pub lock: LockInfo,
}

/// One store at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct HealthInfo {
    /// Its name in the configuration.
    pub store: String,
    /// Its URL without secrets.
    pub url: String,
    /// How many seconds it took to answer; none where it did not.
    pub round_trip: Option<f64>,
    /// Why it did not.
    pub error: Option<ErrorInfo>,
    /// Leases in it that this process holds through the manager.
    pub held: u64,
    /// Attempts of this process that ask or wait for locks in it.
    pub waiting: u64,
}

/// How this process uses one name.
#[derive(Clone, PartialEq, Debug)]
pub struct UsageInfo {
    /// The name.
    pub name: String,
    /// Leases that are held.
    pub held: u64,
    /// Calls that ask or wait for it.
    pub waiting: u64,
    /// Locks that are described, and leases that are over and not dropped yet.
    pub idle: u64,
    /// When it was last asked for, granted, given back or lost, in seconds since 1970.
    pub last_used: Option<f64>,
}

/// A lock that the configuration describes.
pub struct Managed {
    what: What,
    capacity: u32,
}

enum What {
    Lock(Lock),
    RwLock(RwLock),
    Semaphore(Semaphore),
}

impl Manager {
    /// A manager; no store is opened yet. Of the request everything but the URL counts.
    ///
    /// # Errors
    /// `INVALID_INPUT`, naming the place, for what is no configuration; `UNSUPPORTED` for a store that
    /// this version lacks; `STORE_FAILED` for a file that can't be read.
    pub fn open(source: Source, request: ClientRequest) -> Result<Self, ErrorInfo> {
        let config = match source {
            Source::Toml(text) => Config::from_toml(&text)?,
            Source::File(path) => Config::from_file(path)?,
            Source::Json(text) => Config::from_json(&text)?,
        };
        Ok(Self(leasehold::manager::Manager::with(config, request.options()?)?))
    }

    /// Describes a lock of the kind `exclusive`, `rwlock` or `semaphore`.
    ///
    /// # Errors
    /// `INVALID_INPUT` for a name out of bounds, one that the configuration sends nowhere, and one that it
    /// says to be of another kind.
    pub fn describe(&self, name: &str, kind: &str) -> Result<Managed, ErrorInfo> {
        let (what, capacity) = match kind {
            "exclusive" => (What::Lock(self.0.lock(name)?), 0),
            "rwlock" => (What::RwLock(self.0.rwlock(name)?), 0),
            "semaphore" => {
                let semaphore = self.0.semaphore(name)?;
                let capacity = semaphore.capacity();
                (What::Semaphore(semaphore), capacity)
            }
            other => {
                let kinds = [LockKind::Exclusive, LockKind::RwLock, LockKind::Semaphore];
                let kinds = kinds.map(LockKind::word).join(", ");
                return Err(Error::invalid(format!("{other:?} is no kind: {kinds} are")).into());
            }
        };
        Ok(Managed { what, capacity })
    }

    /// Whether anyone holds the lock, in any way.
    #[must_use]
    pub fn is_locked(&self, name: String) -> Pending<bool> {
        let manager = self.0.clone();
        Pending::start(async move { Ok(manager.is_locked(&name).await?) })
    }

    /// Who holds the lock; of several one.
    #[must_use]
    pub fn holder(&self, name: String) -> Pending<Option<HolderInfo>> {
        let manager = self.0.clone();
        Pending::start(
            async move { Ok(manager.holder(&name).await?.as_ref().map(HolderInfo::from)) },
        )
    }

    /// The lock, as people see it.
    #[must_use]
    pub fn inspect(&self, name: String) -> Pending<LockInfo> {
        let manager = self.0.clone();
        Pending::start(async move { Ok(manager.inspect(&name).await?.into()) })
    }

    /// Locks that are held or waited for and start with `prefix`, after `after`, of all stores.
    #[must_use]
    pub fn list(
        &self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Pending<Vec<PlacedInfo>> {
        let manager = self.0.clone();
        Pending::start(async move {
            let after = after.map(Name::new).transpose()?;
            let found = manager.list(&prefix, after.as_ref(), limit).await?;
            let placed = found.into_iter();
            Ok(placed.map(|it| PlacedInfo { store: it.store, lock: it.view.into() }).collect())
        })
    }

    /// Asks whoever holds the lock to give it back; see [`Client::ask_back`](crate::Client::ask_back).
    #[must_use]
    pub fn ask_back(
        &self,
        name: String,
        why: String,
        grace: f64,
        fence: Option<u64>,
    ) -> Pending<Returned> {
        let manager = self.0.clone();
        Pending::wait(async move {
            let ask = ask(why, grace, fence)?;
            Ok(manager.ask_back(&name, &ask).await?.into())
        })
    }

    /// Ends the tenures of a lock from outside, or the one that has this fence, where the configuration
    /// permits it (`UNSUPPORTED` otherwise); the fence of the first that was ended.
    #[must_use]
    pub fn evict(&self, name: String, fence: Option<u64>, why: String) -> Pending<Option<u64>> {
        let manager = self.0.clone();
        Pending::start(async move {
            Ok(match manager.evict(&name, &Evict { why, fence }).await? {
                Evicted::Evicted { fence, .. } => Some(fence),
                Evicted::NotHeld => None,
            })
        })
    }

    /// Asks for a lock back, and ends those tenures that are not given back within the grace. Can be
    /// cancelled; what is not ended by then is not.
    #[must_use]
    pub fn revoke(
        &self,
        name: String,
        why: String,
        grace: f64,
        fence: Option<u64>,
    ) -> Pending<Returned> {
        let manager = self.0.clone();
        Pending::wait(async move {
            let ask = ask(why, grace, fence)?;
            Ok(match manager.revoke(&name, &ask).await? {
                Revoked::NotHeld => Returned::of("not_held", None),
                Revoked::GivenBack { fence, profile } => {
                    Returned::of("given_back", Some((fence, &profile)))
                }
                Revoked::Evicted { fence, profile } => {
                    Returned::of("evicted", Some((fence, &profile)))
                }
            })
        })
    }

    /// How each store is, asked all at once.
    #[must_use]
    pub fn health(&self) -> Pending<Vec<HealthInfo>> {
        let manager = self.0.clone();
        Pending::start(async move {
            Ok(manager.health().await.into_iter().map(HealthInfo::from).collect())
        })
    }

    /// How this process uses `name` through this manager, if it does.
    #[must_use]
    pub fn usage(&self, name: &str) -> Option<UsageInfo> {
        self.0.usage(name).map(UsageInfo::from)
    }

    /// How this process uses each name that it uses, in order of name.
    #[must_use]
    pub fn usages(&self) -> Vec<UsageInfo> {
        self.0.usages().into_iter().map(UsageInfo::from).collect()
    }

    /// Ends the clients of all stores within `grace` seconds; whether that was enough.
    #[must_use]
    pub fn shutdown(&self, grace: f64) -> Pending<bool> {
        let manager = self.0.clone();
        Pending::start(async move {
            let grace: Duration = seconds("grace", grace)?;
            Ok(manager.shutdown(grace).await)
        })
    }
}

impl Managed {
    /// How many permits there are by the configuration; 0 of what is no semaphore.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Starts one try to take it. Of the request's kind only how it is to be held counts, and the number
    /// of permits; its name and its capacity don't.
    #[must_use]
    pub fn attempt(&self, request: &LockRequest) -> Attempt {
        Attempt::start(self.lock(request), request.try_only)
    }

    /// Starts one try to take it with the ttl and the wait that `adaptive` chooses now; see
    /// [`Client::attempt_adaptive`](crate::Client::attempt_adaptive).
    #[must_use]
    pub fn attempt_adaptive(&self, request: &LockRequest, adaptive: &AdaptiveTtl) -> Attempt {
        Attempt::start_adaptive(self.lock(request), adaptive.clone())
    }

    fn lock(&self, request: &LockRequest) -> leasehold::Result<Lock> {
        let lock = match (&self.what, request.kind) {
            (What::Lock(lock), Kind::Exclusive) => Ok(lock.clone()),
            (What::RwLock(lock), Kind::Exclusive) => Ok(lock.write()),
            (What::RwLock(lock), Kind::Shared) => Ok(lock.read()),
            (What::Semaphore(all), Kind::Permits { count, .. }) => Ok(all.permits(count)),
            _ => {
                Err(Error::invalid("the lock is described as another kind than it is asked for as"))
            }
        };
        lock.and_then(|lock| {
            let options = request.options(lock.described())?;
            Ok(lock.options(options))
        })
    }

    /// Changes the number of a semaphore's permits; the number of the change.
    #[must_use]
    pub fn resize(&self, permits: u32) -> Pending<u64> {
        let semaphore = match &self.what {
            What::Semaphore(semaphore) => Ok(semaphore.clone()),
            _ => Err(Error::invalid("a lock has no permits to be changed in number")),
        };
        Pending::start(async move { Ok(semaphore?.resize(permits).await?) })
    }
}

impl From<leasehold::manager::Health> for HealthInfo {
    fn from(health: leasehold::manager::Health) -> Self {
        Self {
            store: health.store,
            url: health.url,
            round_trip: health.round_trip.map(|span| span.as_secs_f64()),
            error: health.error.map(ErrorInfo::from),
            held: health.held as u64,
            waiting: health.waiting as u64,
        }
    }
}

impl From<leasehold::manager::Usage> for UsageInfo {
    fn from(usage: leasehold::manager::Usage) -> Self {
        Self {
            name: usage.name.as_str().to_owned(),
            held: usage.held as u64,
            waiting: usage.waiting as u64,
            idle: usage.idle as u64,
            last_used: usage.last_used_us.map(|us| us as f64 / 1e6),
        }
    }
}
