//! Several locks as Rust users see them: taken together, held together, given back together.

use std::ops::Deref;
use std::time::Duration;

use crate::lease::release_together;
use crate::options::Patience;
use crate::{Client, Error, ErrorKind, Lease, Lock, Name, Release, Result};

/// Locks that are taken all or none, from [`Client::lock_all`].
///
/// Those that are free are taken in one atomic step where the store can, and those that are not are
/// waited for in the order of their names: so no two of these wait for each other, however their lists
/// overlap. While one is waited for, the ones before it are held.
///
/// ```
/// # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
/// let client = leasehold::Client::connect("memory://")?;
/// let both = client.lock_all([client.lock("account:1"), client.lock("account:2")]);
/// let leases = both.acquire().await?;
/// assert!(leases.is_held() && leases[1].name().as_str() == "account:2");
/// leases.release().await;
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "locks do nothing until they are acquired"]
pub struct LockAll {
    client: Client,
    locks: Vec<Lock>,
    wait: Patience,
}

impl LockAll {
    /// The most locks at once: they are one step of the store, which serves nobody else meanwhile.
    pub const MOST: usize = 1000;

    pub(crate) fn new(client: Client, locks: Vec<Lock>) -> Self {
        Self { client, locks, wait: Patience::Forever }
    }

    /// How long to wait for all of them. Default: for ever. What the single locks say of it does not
    /// count.
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = if limit.is_zero() { Patience::None } else { Patience::AtMost(limit) };
        self
    }

    /// Takes all of them. Dropping the future gives back whatever it obtained.
    ///
    /// # Errors
    /// [`Timeout`](ErrorKind::Timeout) where the wait ran out; [`InvalidInput`](ErrorKind::InvalidInput)
    /// for a wrong name or option, a name that is there twice, more than [`MOST`](Self::MOST), and a
    /// lock of another client; as the store fails. Nothing is held then.
    pub async fn acquire(self) -> Result<Leases> {
        match self.take().await? {
            Some(leases) => Ok(leases),
            None => Err(Error::new(ErrorKind::Timeout, "one of the locks is held by another")),
        }
    }

    /// Takes all of them if all are free now; none otherwise.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), but for the wait.
    pub async fn try_acquire(mut self) -> Result<Option<Leases>> {
        self.wait = Patience::None;
        self.take().await
    }

    /// Takes those that are free now, in one request, and says of each what came of it, in the order
    /// of the list: the lease, none where another holds it, or the error.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), where it concerns them all.
    pub async fn try_each(self) -> Result<Vec<Result<Option<Lease>>>> {
        let requests = self.requests()?;
        self.client.attempt()?.try_each(&requests).await
    }

    async fn take(self) -> Result<Option<Leases>> {
        let requests = self.requests()?;
        let leases = self.client.attempt()?.acquire_all(requests, self.wait).await?;
        Ok(leases.map(Leases))
    }

    fn requests(&self) -> Result<Vec<crate::wait::Request>> {
        let most = Self::MOST;
        if self.locks.len() > most {
            let found = self.locks.len();
            return Err(Error::invalid(format!("{found} locks at once: at most {most} can be")));
        }
        let locks = self.locks.iter().map(|lock| lock.request_of(&self.client));
        let requests = locks.collect::<Result<Vec<_>>>()?;
        let mut names: Vec<&Name> = requests.iter().map(|request| &request.name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::invalid(format!("lock {} is in the list twice", pair[0]))),
            None => Ok(requests),
        }
    }
}

/// The leases of locks that were taken together, in the order of their list. Dropping them gives all
/// back in the background.
#[derive(Debug)]
pub struct Leases(Vec<Lease>);

impl Leases {
    /// Whether all are held, as far as can be known here and now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.iter().all(Lease::is_held)
    }

    /// For how long all of them are held without a renewal; of none, for ever.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.iter().map(Lease::remaining).min().unwrap_or(Duration::MAX)
    }

    /// Succeeds while at least `least` is left of each.
    ///
    /// # Errors
    /// [`Lost`](ErrorKind::Lost), of the first of which less is left.
    pub fn check(&self, least: Duration) -> Result<()> {
        self.0.iter().try_for_each(|lease| lease.check(least))
    }

    /// Gives all of them back, in one request of the store, and says what became of each. Waits as
    /// [`Lease::release`] does.
    pub async fn release(&self) -> Vec<Release> {
        release_together(&self.0).await
    }

    /// The single leases.
    #[must_use]
    pub fn into_vec(self) -> Vec<Lease> {
        self.0
    }
}

impl Deref for Leases {
    type Target = [Lease];
    fn deref(&self) -> &[Lease] {
        &self.0
    }
}
