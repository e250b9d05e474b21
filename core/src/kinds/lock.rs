//! What is asked for before there is a lease: one builder for all kinds, so that each option is said
//! and checked in one place.

use std::sync::Arc;
use std::time::Duration;

use crate::options::Patience;
use crate::store::Kind;
use crate::sys::{BoxFuture, Sys};
use crate::wait::{InUse, Request};
use crate::{Client, Error, ErrorKind, Lease, LockOptions, Name, Order, Owner, Result};

/// A lock to be taken, or a part of one: await it, [`acquire`](Self::acquire) it or [`run`](Self::run) under it.
///
/// ```
/// # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
/// use std::time::Duration;
/// let client = leasehold::Client::connect("memory://")?;
/// let lease = client.lock("invoice:42").ttl(Duration::from_secs(30)).await?;
/// assert!(lease.is_held() && lease.fence() > 0);
/// lease.release().await;
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a lock does nothing until it is awaited"]
pub struct Lock {
    client: Client,
    name: Result<Name, String>,
    kind: Kind,
    options: LockOptions,
    in_use: Option<Arc<InUse>>,
}

impl Lock {
    pub(crate) fn new(client: Client, name: Result<Name>) -> Self {
        let options = client.defaults().clone();
        let name = name.map_err(|error| error.message().to_owned());
        Self { client, name, kind: Kind::Exclusive, options, in_use: None }
    }

    pub(crate) fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Has its attempts and leases counted.
    #[cfg(feature = "manager")]
    pub(crate) fn counted(mut self, in_use: InUse) -> Self {
        self.in_use = Some(Arc::new(in_use));
        self
    }

    /// How long the lease lasts without a renewal. Default 30 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl = ttl;
        self
    }

    /// How long to wait. Default: for ever. Zero takes no place in the queue.
    pub fn wait(mut self, limit: Duration) -> Self {
        self.options.wait = if limit.is_zero() { Patience::None } else { Patience::AtMost(limit) };
        self
    }

    /// A lease that is never renewed: it ends after its ttl, whatever happens.
    pub fn fixed_term(mut self) -> Self {
        self.options.renew = false;
        self
    }

    /// The longest tenure, however often renewed. [`Lease::touch`] starts it anew.
    pub fn max_hold(mut self, limit: Duration) -> Self {
        self.options.max_hold = Some(limit);
        self
    }

    /// The identity for re-entry and deadlock detection. While a lease of this owner holds the lock
    /// exclusively, another acquire by it through the same client gives one more lease of the same
    /// tenure, with the same fence; the lock is given back with the last of them.
    pub fn owner(mut self, owner: Owner) -> Self {
        self.options.owner = Some(owner);
        self
    }

    /// Larger goes first in the queue; equal is by arrival. Default 0. It is the default of
    /// [`deadlock_priority`](Self::deadlock_priority), too.
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }

    /// Of the waits in a deadlock the one with the smallest is ended, of equal ones the youngest: give
    /// a unit of work that is dear to repeat more. Has no say in the queue. Default: the priority.
    pub fn deadlock_priority(mut self, priority: i32) -> Self {
        self.options.deadlock_priority = Some(priority);
        self
    }

    /// The longest queue to join: behind more waiters the attempt is refused at once with
    /// [`QueueFull`](ErrorKind::QueueFull). Default 10,000.
    pub fn max_queue(mut self, waiters: u32) -> Self {
        self.options.max_queue = waiters;
        self
    }

    /// In what order those who wait get the lock. Default: by arrival, whatever process they are in.
    pub fn order(mut self, order: Order) -> Self {
        self.options.order = order;
        self
    }

    /// Free text for people who look at the lock, at most 256 bytes.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.options.note = note.into();
        self
    }

    /// All options at once.
    pub fn options(mut self, options: LockOptions) -> Self {
        self.options = options;
        self
    }

    /// The options as said so far.
    #[must_use]
    pub fn described(&self) -> &LockOptions {
        &self.options
    }

    /// Takes the lock. Dropping the future gives back whatever it obtained.
    ///
    /// # Errors
    /// [`Timeout`](ErrorKind::Timeout) where the wait ran out, [`InvalidInput`](ErrorKind::InvalidInput)
    /// for a wrong name or option, and as the store fails.
    pub async fn acquire(self) -> Result<Lease> {
        let name = self.name.clone();
        match self.take().await? {
            Some(lease) => Ok(lease),
            None => Err(Error::new(
                ErrorKind::Timeout,
                format!("lock {} is held by another", name.map_err(Error::invalid)?),
            )),
        }
    }

    /// Takes the lock if it is free now; none where another holds it.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), but for the wait.
    pub async fn try_acquire(mut self) -> Result<Option<Lease>> {
        self.options.wait = Patience::None;
        self.take().await
    }

    /// Runs `body` under the lock and gives it back. When the lease is lost first, `body` is
    /// dropped where it awaits and the loss is the error. The result of `body` is never masked.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire); [`Lost`](ErrorKind::Lost) where the lease was lost.
    pub async fn run<T>(self, body: impl AsyncFnOnce(&Lease) -> T) -> Result<T> {
        let lease = self.acquire().await?;
        let done = lease.while_held(body(&lease)).await;
        match done {
            Ok(value) => {
                lease.release().await;
                Ok(value)
            }
            Err(reason) => Err(Error::lost(lease.name(), reason)),
        }
    }

    /// [`acquire`](Self::acquire) in this thread, with no runtime of the caller's.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    #[cfg(feature = "native")]
    pub fn acquire_blocking(self) -> Result<Lease> {
        crate::block_on(self.acquire())
    }

    /// Refuses an order in which the store doesn't know each holder by its fence.
    pub(crate) fn known_to_the_store(&self, name: &Name) -> Result<()> {
        match self.options.order {
            Order::Fifo => Ok(()),
            Order::Throughput => Err(crate::wait::unsupported(name, "has no one holder to show")),
        }
    }

    /// Changes how many permits the semaphore of this name has.
    pub(crate) async fn resize(&self, from: u32, to: u32) -> Result<u64> {
        let name = self.name.clone().map_err(Error::invalid)?;
        self.client.shelf()?.resize(&name, from, to).await
    }

    /// The clock of its client.
    pub(crate) fn sys(&self) -> Result<Sys> {
        Ok(self.client.attempt()?.runtime.sys.clone())
    }

    async fn take(mut self) -> Result<Option<Lease>> {
        if self.options.wait == Patience::AtMost(Duration::ZERO) {
            self.options.wait = Patience::None;
        }
        let attempt = self.client.attempt()?;
        let waits = self.in_use.as_ref().and_then(|it| it.waits(&attempt.runtime.sys));
        let lease = attempt.acquire(self.request()?).await?;
        Ok(lease.map(|lease| lease.counted(waits)))
    }

    /// What is asked for, if it is in order and of `client`.
    pub(crate) fn request_of(self, client: &Client) -> Result<Request> {
        if !self.client.is(client) {
            let name = self.name.map_err(Error::invalid)?;
            return Err(Error::invalid(format!("lock {name} is of another client")));
        }
        self.request()
    }

    fn request(self) -> Result<Request> {
        self.options.check()?;
        let name = self.name.map_err(Error::invalid)?;
        let who = self.client.who()?;
        Ok(Request { name, kind: self.kind, options: self.options, who })
    }
}

impl IntoFuture for Lock {
    type Output = Result<Lease>;
    type IntoFuture = BoxFuture<'static, Result<Lease>>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.acquire())
    }
}
