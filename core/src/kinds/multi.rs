//! Several locks as Rust users see them: taken together, held together, given back together.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use crate::lease::release_together;
use crate::options::Patience;
use crate::runtime::unless;
use crate::sys::MaybeSend;
use crate::{Client, Error, ErrorKind, Lease, Lock, LostReason, Release, Result};

/// Locks that are taken all or none, from [`Client::lock_all`].
///
/// Those that are free are taken in one atomic step where the store can, and those that are not are
/// waited for in the order of their names: so no two of these wait for each other, however their lists
/// overlap. While one is waited for, the ones before it are held; where one of these is lost meanwhile, all
/// are given back and asked for anew.
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
    /// of the list: the lease, none where another holds it, or the error. Collected into [`Leases`]
    /// they are given back in one request, too.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), where it concerns them all.
    pub async fn try_each(self) -> Result<Vec<Result<Option<Lease>>>> {
        let client = self.client.clone();
        let (requests, _) = self.requests()?;
        client.attempt()?.try_each(&requests).await
    }

    /// Runs `body` under all of them and gives them back. When one is lost first, `body` is dropped where
    /// it awaits and the loss is the error. The result of `body` is never masked.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire); [`Lost`](ErrorKind::Lost) where a lease was lost.
    pub async fn run<T>(self, body: impl AsyncFnOnce(&Leases) -> T) -> Result<T> {
        let leases = self.acquire().await?;
        let done = unless(leases.lost(), body(&leases)).await;
        match done {
            Ok(value) => {
                leases.release().await;
                Ok(value)
            }
            Err((index, reason)) => Err(Error::lost(leases[index].name(), reason)),
        }
    }

    /// [`acquire`](Self::acquire) in this thread, with no runtime of the caller's.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    #[cfg(feature = "native")]
    pub fn acquire_blocking(self) -> Result<Leases> {
        crate::block_on(self.acquire())
    }

    async fn take(self) -> Result<Option<Leases>> {
        let (client, wait) = (self.client.clone(), self.wait);
        let (requests, order) = self.requests()?;
        let leases = client.attempt()?.acquire_all(requests, &order, wait).await?;
        Ok(leases.map(Leases))
    }

    /// What is asked for, and the places of the list in the order of the locks' names.
    fn requests(self) -> Result<(Vec<crate::wait::Request>, Vec<usize>)> {
        let most = Self::MOST;
        if self.locks.len() > most {
            let found = self.locks.len();
            return Err(Error::invalid(format!("{found} locks at once: at most {most} can be")));
        }
        let client = &self.client;
        let locks = self.locks.into_iter().map(|lock| lock.request_of(client));
        let requests = locks.collect::<Result<Vec<_>>>()?;
        let name = |place: &usize| &requests[*place].name;
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_unstable_by(|one, other| name(one).cmp(name(other)));
        match order.windows(2).find(|pair| name(&pair[0]) == name(&pair[1])) {
            Some(pair) => {
                Err(Error::invalid(format!("lock {} is in the list twice", name(&pair[0]))))
            }
            None => Ok((requests, order)),
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

    /// Why the first of them ended that did, if one ended before its release.
    #[must_use]
    pub fn lost_reason(&self) -> Option<LostReason> {
        self.0.iter().find_map(Lease::lost_reason)
    }

    /// Completes when one of them is lost, with its place and the reason: what needs them all must stop
    /// then. Never completes for leases that are all released.
    pub async fn lost(&self) -> (usize, LostReason) {
        let mut all: Vec<_> = self.0.iter().map(|lease| Box::pin(lease.lost())).collect();
        std::future::poll_fn(move |context| {
            let lost = all.iter_mut().enumerate().find_map(|(index, lost)| {
                match lost.as_mut().poll(context) {
                    Poll::Ready(reason) => Some((index, reason)),
                    Poll::Pending => None,
                }
            });
            lost.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Calls `listener` once when the first of them is lost, on the lease thread: it must not block.
    pub fn on_lost(&self, listener: impl FnOnce(LostReason) + MaybeSend + 'static) {
        let listener = Arc::new(Mutex::new(Some(listener)));
        for lease in &self.0 {
            let listener = Arc::clone(&listener);
            lease.on_lost(move |reason| {
                let taken = listener.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(listener) = taken {
                    listener(reason);
                }
            });
        }
    }

    /// Changes the length of each to `ttl` and renews it now, one after the other.
    ///
    /// # Errors
    /// As [`Lease::extend`], of the first that can't be; those before it are extended.
    pub async fn extend(&self, ttl: Duration) -> Result<()> {
        for lease in &self.0 {
            lease.extend(ttl).await?;
        }
        Ok(())
    }

    /// A sign of life for each of them.
    pub fn touch(&self) {
        self.0.iter().for_each(Lease::touch);
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

impl From<Lease> for Leases {
    fn from(lease: Lease) -> Self {
        Self(vec![lease])
    }
}

impl FromIterator<Lease> for Leases {
    /// Leases that were taken each alone, to be held and given back together from now on. They are of
    /// one client.
    fn from_iter<I: IntoIterator<Item = Lease>>(leases: I) -> Self {
        Self(leases.into_iter().collect())
    }
}

impl Deref for Leases {
    type Target = [Lease];
    fn deref(&self) -> &[Lease] {
        &self.0
    }
}
