//! A lease as a handle that any thread of any language may use.

use std::sync::Arc;
use std::time::Duration;

use leasehold::options::seconds;
use leasehold::store::Kind;
use leasehold::{Lease, Leases, LostReason};

use crate::{ErrorInfo, Pending};

/// What a release found, as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Release {
    /// `released`, `background`, `lost` or `repeated`.
    pub state: &'static str,
    /// Why the lease was lost, where it was.
    pub reason: Option<&'static str>,
}

impl From<leasehold::Release> for Release {
    fn from(release: leasehold::Release) -> Self {
        let (state, reason) = match release {
            leasehold::Release::Released => ("released", None),
            leasehold::Release::Background => ("background", None),
            leasehold::Release::Lost(reason) => ("lost", Some(reason.code())),
            leasehold::Release::Repeated => ("repeated", None),
        };
        Self { state, reason }
    }
}

/// A tenure; or several that were taken together, as one. Dropping the last handle gives all of them
/// back in the background.
#[derive(Clone)]
pub struct Held {
    leases: Arc<Leases>,
    /// Which of them; none for all.
    one: Option<usize>,
}

impl Held {
    pub(crate) fn new(lease: Lease) -> Self {
        Self { leases: Arc::new(lease.into()), one: Some(0) }
    }

    pub(crate) fn all(leases: Leases) -> Self {
        Self { leases: Arc::new(leases), one: None }
    }

    /// A handle for each of the locks, in the order in which they were asked for. They stay together:
    /// what nobody released is given back when the last handle of all of them is dropped.
    #[must_use]
    pub fn each(&self) -> Vec<Self> {
        let places = match self.one {
            Some(one) => one..one + 1,
            None => 0..self.leases.len(),
        };
        places.map(|one| Self { leases: Arc::clone(&self.leases), one: Some(one) }).collect()
    }

    fn lease(&self) -> Option<&Lease> {
        self.one.and_then(|one| self.leases.get(one))
    }

    /// The lock's name; of several their names.
    #[must_use]
    pub fn name(&self) -> String {
        match self.lease() {
            Some(lease) => lease.name().as_str().to_owned(),
            None => self.leases.iter().map(|it| it.name().as_str()).collect::<Vec<_>>().join(", "),
        }
    }

    /// The fencing token; 0 of several, each of which has its own.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.lease().map_or(0, Lease::fence)
    }

    /// How it is held: `exclusive`, `shared` or `permits`; `several` of more than one.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.lease().map(Lease::kind) {
            Some(Kind::Exclusive) => "exclusive",
            Some(Kind::Shared) => "shared",
            Some(Kind::Permits { .. }) => "permits",
            None => "several",
        }
    }

    /// Of a reader: the fence of the last writer before it.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.lease()?.epoch()
    }

    /// The identity it was taken with.
    #[must_use]
    pub fn owner(&self) -> Option<u128> {
        self.lease()?.owner().map(leasehold::Owner::number)
    }

    /// Whether the lock is this tenure's, computed here and now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.lease().map_or_else(|| self.leases.is_held(), Lease::is_held)
    }

    /// Seconds of the lease that are left without a renewal.
    #[must_use]
    pub fn remaining(&self) -> f64 {
        self.lease().map_or_else(|| self.leases.remaining(), Lease::remaining).as_secs_f64()
    }

    /// Why it was lost, if it was.
    #[must_use]
    pub fn lost_reason(&self) -> Option<&'static str> {
        self.reason().map(LostReason::code)
    }

    /// Succeeds while at least `min_remaining` seconds are left.
    ///
    /// # Errors
    /// `LOCK_LOST` where less is left, `INVALID_INPUT` for a number that is none.
    pub fn check(&self, min_remaining: f64) -> Result<(), ErrorInfo> {
        Ok(self.left(seconds("min_remaining", min_remaining)?)?)
    }

    fn left(&self, span: Duration) -> leasehold::Result<()> {
        self.lease().map_or_else(|| self.leases.check(span), |lease| lease.check(span))
    }

    fn reason(&self) -> Option<LostReason> {
        self.lease().map_or_else(|| self.leases.lost_reason(), Lease::lost_reason)
    }

    /// The error that says that this lease was lost, if it was.
    #[must_use]
    pub fn loss(&self) -> Option<ErrorInfo> {
        self.reason().map(|_| match self.left(Duration::ZERO) {
            Err(error) => error.into(),
            Ok(()) => unreachable!("a lost lease passed its check"),
        })
    }

    /// Changes the lease's length and renews it now.
    #[must_use]
    pub fn extend(&self, ttl: f64) -> Pending<()> {
        let held = self.clone();
        Pending::start(async move {
            let ttl = seconds("ttl", ttl)?;
            let extended = match held.lease() {
                Some(lease) => lease.extend(ttl).await,
                None => held.leases.extend(ttl).await,
            };
            Ok(extended?)
        })
    }

    /// Has a writer read on, with no other writer in between.
    #[must_use]
    pub fn downgrade(&self) -> Pending<()> {
        let held = self.clone();
        Pending::start(async move { Ok(held.sole()?.downgrade().await?) })
    }

    /// Has the only reader write.
    #[must_use]
    pub fn upgrade(&self) -> Pending<()> {
        let held = self.clone();
        Pending::start(async move { Ok(held.sole()?.upgrade().await?) })
    }

    fn sole(&self) -> leasehold::Result<&Lease> {
        let several = || leasehold::Error::invalid("these are several leases: take one of them");
        self.lease().ok_or_else(several)
    }

    /// A sign of life: `max_hold` counts anew.
    pub fn touch(&self) {
        match self.lease() {
            Some(lease) => lease.touch(),
            None => self.leases.touch(),
        }
    }

    /// Gives the lock back; of several all, in one request.
    #[must_use]
    pub fn release(&self) -> Pending<Release> {
        let held = self.clone();
        Pending::start(async move {
            Ok(match held.lease() {
                Some(lease) => lease.release().await.into(),
                None => leasehold::Release::of_all(&held.leases.release().await).into(),
            })
        })
    }

    /// Calls `listener` once when the lease is lost, on the lease thread: it must neither block nor
    /// take a language's lock.
    pub fn on_lost(&self, listener: impl FnOnce(&'static str) + Send + 'static) {
        match self.lease() {
            Some(lease) => lease.on_lost(move |reason| listener(reason.code())),
            None => self.leases.on_lost(move |reason| listener(reason.code())),
        }
    }
}
