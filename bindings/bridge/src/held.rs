//! A lease as a handle that any thread of any language may use.

use std::sync::Arc;
use std::time::Duration;

use leasehold::options::seconds;
use leasehold::store::Kind;
use leasehold::{Lease, LostReason};

use crate::{ErrorInfo, Pending};

/// What a release found, as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Release {
    /// `released`, `background`, `lost` or `repeated`.
    pub state: &'static str,
    /// Why the lease was lost, where it was.
    pub reason: Option<&'static str>,
}

/// A tenure. Dropping the last handle gives the lock back in the background.
#[derive(Clone)]
pub struct Held(Arc<Lease>);

impl Held {
    pub(crate) fn new(lease: Lease) -> Self {
        Self(Arc::new(lease))
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.name().as_str().to_owned()
    }

    /// The fencing token.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.0.fence()
    }

    /// How it is held: `exclusive`, `shared` or `permits`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.0.kind() {
            Kind::Exclusive => "exclusive",
            Kind::Shared => "shared",
            Kind::Permits { .. } => "permits",
        }
    }

    /// Of a reader: the fence of the last writer before it.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.0.epoch()
    }

    /// The identity it was taken with.
    #[must_use]
    pub fn owner(&self) -> Option<u128> {
        self.0.owner().map(leasehold::Owner::number)
    }

    /// Whether the lock is this tenure's, computed here and now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.is_held()
    }

    /// Seconds of the lease that are left without a renewal.
    #[must_use]
    pub fn remaining(&self) -> f64 {
        self.0.remaining().as_secs_f64()
    }

    /// Why it was lost, if it was.
    #[must_use]
    pub fn lost_reason(&self) -> Option<&'static str> {
        self.0.lost_reason().map(LostReason::code)
    }

    /// Succeeds while at least `min_remaining` seconds are left.
    ///
    /// # Errors
    /// `LOCK_LOST` where less is left, `INVALID_INPUT` for a number that is none.
    pub fn check(&self, min_remaining: f64) -> Result<(), ErrorInfo> {
        let span = seconds("min_remaining", min_remaining)?;
        Ok(self.0.check(span)?)
    }

    /// The error that says that this lease was lost, if it was.
    #[must_use]
    pub fn loss(&self) -> Option<ErrorInfo> {
        self.0.lost_reason().map(|_| match self.0.check(Duration::ZERO) {
            Err(error) => error.into(),
            Ok(()) => unreachable!("a lost lease passed its check"),
        })
    }

    /// Changes the lease's length and renews it now.
    #[must_use]
    pub fn extend(&self, ttl: f64) -> Pending<()> {
        let lease = Arc::clone(&self.0);
        Pending::start(async move {
            let ttl = seconds("ttl", ttl)?;
            Ok(lease.extend(ttl).await?)
        })
    }

    /// Has a writer read on, with no other writer in between.
    #[must_use]
    pub fn downgrade(&self) -> Pending<()> {
        let lease = Arc::clone(&self.0);
        Pending::start(async move { Ok(lease.downgrade().await?) })
    }

    /// Has the only reader write.
    #[must_use]
    pub fn upgrade(&self) -> Pending<()> {
        let lease = Arc::clone(&self.0);
        Pending::start(async move { Ok(lease.upgrade().await?) })
    }

    /// A sign of life: `max_hold` counts anew.
    pub fn touch(&self) {
        self.0.touch();
    }

    /// Gives the lock back.
    #[must_use]
    pub fn release(&self) -> Pending<Release> {
        let lease = Arc::clone(&self.0);
        Pending::start(async move {
            Ok(match lease.release().await {
                leasehold::Release::Released => Release { state: "released", reason: None },
                leasehold::Release::Background => Release { state: "background", reason: None },
                leasehold::Release::Lost(reason) => {
                    Release { state: "lost", reason: Some(reason.code()) }
                }
                leasehold::Release::Repeated => Release { state: "repeated", reason: None },
            })
        })
    }

    /// Calls `listener` once when the lease is lost, on the lease thread: it must neither block nor
    /// take a language's lock.
    pub fn on_lost(&self, listener: impl FnOnce(&'static str) + Send + 'static) {
        self.0.on_lost(move |reason| listener(reason.code()));
    }
}
