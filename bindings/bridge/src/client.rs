//! The client, with synchronous calls that start work.

use std::time::Duration;

use leasehold::options::seconds;
use leasehold::store::{Evict, Evicted, Kind};
use leasehold::{ClientOptions, Lock, Name};

use crate::{Attempt, ClientRequest, ErrorInfo, LockInfo, LockRequest, Pending};

/// Access to one store.
#[derive(Clone)]
pub struct Client(leasehold::Client);

impl Client {
    /// A client; nothing is opened yet.
    ///
    /// # Errors
    /// `INVALID_INPUT` or `UNSUPPORTED` for the URL.
    pub fn connect(request: ClientRequest) -> Result<Self, ErrorInfo> {
        let url = match request.url {
            Some(url) => url,
            None => leasehold::default_url()?,
        };
        let options =
            ClientOptions { language: Some(request.language), ..ClientOptions::default() };
        Ok(Self(leasehold::Client::with(&url, options)?))
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

    /// Starts one try to take several locks, all or none; waits at most `wait` seconds for all of them,
    /// without it for ever, and with `try_only` not at all. What the requests say of that does not count.
    #[must_use]
    pub fn attempt_all(
        &self,
        requests: &[LockRequest],
        wait: Option<f64>,
        try_only: bool,
    ) -> Attempt {
        let locks = || {
            let locks = requests.iter().map(|request| self.lock(request));
            let all = self.0.lock_all(locks.collect::<leasehold::Result<Vec<_>>>()?);
            Ok(match wait {
                Some(wait) => all.wait(seconds("wait", wait)?),
                None => all,
            })
        };
        Attempt::start_all(locks(), try_only)
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
