//! The client, with synchronous calls that start work.

use std::time::Duration;

use leasehold::options::seconds;
use leasehold::store::{Evict, Evicted, Kind};
use leasehold::{Deadlocks, Lock, LockAll, Name};

use crate::{
    AdaptiveTtl, Attempt, ClientRequest, ErrorInfo, Latch, LeaderInfo, LockInfo, LockRequest,
    Observer, Pending,
};

/// Access to one store.
#[derive(Clone)]
pub struct Client(leasehold::Client);

impl Client {
    /// A client; nothing is opened yet.
    ///
    /// # Errors
    /// `INVALID_INPUT` or `UNSUPPORTED` for the URL.
    pub fn connect(request: ClientRequest) -> Result<Self, ErrorInfo> {
        let url = match &request.url {
            Some(url) => url.clone(),
            None => leasehold::default_url()?,
        };
        Ok(Self(leasehold::Client::with(&url, request.options()?)?))
    }

    /// The store's URL, without secrets.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url().map(ToString::to_string).unwrap_or_default()
    }

    /// Starts one try to take a lock.
    #[must_use]
    pub fn attempt(&self, request: &LockRequest) -> Attempt {
        Attempt::start(self.lock(request), request.try_only)
    }

    /// Starts one try to take a lock with the ttl and the wait that `adaptive` chooses now, which is
    /// told how long it was waited for, and, by the release, how long it was held. What the request
    /// says of either does not count.
    #[must_use]
    pub fn attempt_adaptive(&self, request: &LockRequest, adaptive: &AdaptiveTtl) -> Attempt {
        Attempt::start_adaptive(self.lock(request), adaptive.clone())
    }

    /// Starts one try to take several locks, all or none; waits at most `wait` seconds for all of them,
    /// without it for ever, and with `try_only` not at all. What the requests say of that does not count.
    #[must_use]
    pub fn attempt_all(
        &self,
        requests: &[LockRequest],
        wait: Option<f64>,
        try_only: bool,
    ) -> Attempt {
        let locks = self.locks(requests).and_then(|all| {
            Ok(match wait {
                Some(wait) => all.wait(seconds("wait", wait)?),
                None => all,
            })
        });
        Attempt::start_all(locks, try_only)
    }

    /// Starts one try to take each of several locks alone, in one request, that waits for none of them:
    /// [`Attempt::each`] says what each came to.
    #[must_use]
    pub fn attempt_each(&self, requests: &[LockRequest]) -> Attempt {
        Attempt::start_each(self.locks(requests))
    }

    /// Starts one try to lead the election of the request's name; those who observe are told `value`
    /// while it lasts. The request's kind does not count.
    #[must_use]
    pub fn campaign(&self, request: &LockRequest, value: Vec<u8>) -> Attempt {
        let options = request.options(self.0.defaults());
        let campaign = self.0.election(&request.name).campaign().value(value);
        Attempt::start_campaign(options.map(|options| campaign.options(options)), request.try_only)
    }

    /// Watches who leads an election.
    #[must_use]
    pub fn observe(&self, name: &str) -> Observer {
        Observer::of(self.0.election(name).observe())
    }

    /// Changes the number of permits of a semaphore that has `capacity` of them; the number of the change.
    #[must_use]
    pub fn resize(&self, name: &str, capacity: u32, permits: u32) -> Pending<u64> {
        let semaphore = self.0.semaphore(name, capacity);
        Pending::start(async move { Ok(semaphore.resize(permits).await?) })
    }

    /// Who leads an election now, if anyone does.
    #[must_use]
    pub fn leader(&self, name: &str) -> Pending<Option<LeaderInfo>> {
        let election = self.0.election(name);
        Pending::wait(async move { Ok(election.leader().await?.map(LeaderInfo::from)) })
    }

    /// A latch that opens once it was counted down by `count`, and is then kept for `keep` seconds,
    /// without it for an hour.
    #[must_use]
    pub fn latch(&self, name: &str, count: u64, keep: Option<f64>) -> Latch {
        let latch = self.0.latch(name, count);
        Latch::of(match keep.map(|keep| seconds("keep", keep)).transpose() {
            Ok(None) => Ok(latch),
            Ok(Some(keep)) => Ok(latch.keep(keep)),
            Err(error) => Err(error),
        })
    }

    /// Starts one try to enter a barrier with so many parties: its outcome is `Held` once all are in,
    /// and what is held can be [left](crate::Held::leave). Of the request name, ttl, wait and note count.
    #[must_use]
    pub fn enter(&self, request: &LockRequest, parties: u32) -> Attempt {
        let options = request.options(self.0.defaults());
        Attempt::start_enter(options.and_then(|options| {
            let barrier = self.0.barrier(&request.name, parties);
            let wait = request.wait.map(|wait| seconds("wait", wait)).transpose()?;
            Ok((barrier.ttl(options.ttl).note(options.note), wait))
        }))
    }

    pub(crate) fn core(&self) -> &leasehold::Client {
        &self.0
    }

    fn locks(&self, requests: &[LockRequest]) -> leasehold::Result<LockAll> {
        let locks = requests.iter().map(|request| self.lock(request));
        Ok(self.0.lock_all(locks.collect::<leasehold::Result<Vec<_>>>()?))
    }

    fn lock(&self, request: &LockRequest) -> leasehold::Result<Lock> {
        let (client, name) = (&self.0, &request.name);
        let lock = match request.kind {
            Kind::Exclusive => client.lock(name),
            Kind::Shared => client.rwlock(name).read(),
            Kind::Permits { count, capacity } => client.semaphore(name, capacity).permits(count),
        };
        Ok(lock.options(request.options(client.defaults())?))
    }

    /// A fresh identity for the locks of one unit of work.
    ///
    /// # Errors
    /// As the store can't be opened.
    pub fn owner(&self) -> Result<u128, ErrorInfo> {
        Ok(self.0.owner()?.number())
    }

    /// Proves that the store answers.
    #[must_use]
    pub fn ping(&self) -> Pending<()> {
        let client = self.0.clone();
        Pending::start(async move { Ok(client.ping().await?) })
    }

    /// One lock, as people see it.
    #[must_use]
    pub fn inspect(&self, name: String) -> Pending<LockInfo> {
        let client = self.0.clone();
        Pending::start(async move { Ok(client.inspect(&name).await?.into()) })
    }

    /// Locks that are held or waited for and start with `prefix`, after `after`.
    #[must_use]
    pub fn list(
        &self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Pending<Vec<LockInfo>> {
        let client = self.0.clone();
        Pending::start(async move {
            let after = after.map(Name::new).transpose()?;
            let views = client.list(&prefix, after.as_ref(), limit).await?;
            Ok(views.into_iter().map(LockInfo::from).collect())
        })
    }

    /// Ends the tenures of a lock from outside, or the one that has this fence; the fence of the first
    /// that was ended, none where nobody held it so.
    #[must_use]
    pub fn evict(&self, name: String, fence: Option<u64>, why: String) -> Pending<Option<u64>> {
        let client = self.0.clone();
        Pending::start(async move {
            Ok(match client.evict(&name, &Evict { why, fence }).await? {
                Evicted::Evicted { fence, .. } => Some(fence),
                Evicted::NotHeld => None,
            })
        })
    }

    /// What the searches for deadlocks came to so far, of the waits of this client in this process.
    ///
    /// # Errors
    /// As the store can't be opened.
    pub fn deadlocks(&self) -> Result<Deadlocks, ErrorInfo> {
        Ok(self.0.deadlocks()?)
    }

    /// Ends the client: holders are told, waiters refused, leases given back within `grace`
    /// seconds; whether that was enough.
    #[must_use]
    pub fn shutdown(&self, grace: f64) -> Pending<bool> {
        let client = self.0.clone();
        Pending::start(async move {
            let grace = seconds("grace", grace)?;
            Ok(client.shutdown(grace).await)
        })
    }
}

/// For a language's exit hook: tells all holders of the process, gives all leases back, and waits
/// at most `grace` for it.
pub fn release_all(grace: Duration) -> bool {
    leasehold::runtime::release_all(grace)
}
