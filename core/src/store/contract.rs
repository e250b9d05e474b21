//! The contract of a store. Small on purpose: everything a caller sees (waiting, renewal, loss,
//! cancellation) is built once above it.
//!
//! What every store must keep, and the contract suite in `testkit` shows:
//! * each ask, release and renewal is atomic and idempotent per token;
//! * a token is owner at most once, for one contiguous tenure;
//! * fences strictly increase per lock, also across release, expiry and deletion of its rows;
//! * only the store's own clock decides expiry;
//! * a release and an expiry seen by any request grant the next live waiter in the same step.

use std::fmt;
use std::sync::Weak;

use super::extras::{Cells, Limiter, WaitsFor};
use super::{
    Answer, Ask, Cancel, Evict, Evicted, Hold, How, Kind, LockView, Query, Released, Renewal,
    Resize, Resized,
};
use crate::lock::HandOff;
use crate::sys::{BootTime, BoxFuture, MaybeSend, MaybeSync, Token};
use crate::{Error, ErrorKind, Name, Result};

/// Access to one store. Object-safe. Cancelling (dropping) a returned future leaves it unknown
/// whether the request took place; the caller then releases with a tombstone.
///
/// `acquire`, `release`, `inspect` and `evict` may do a bounded amount of local work in the polling
/// thread; `renew` must not block it at all, for it runs on the lease thread.
pub trait Store: MaybeSend + MaybeSync {
    /// What this store can do, survive and promise.
    fn capabilities(&self) -> &Capabilities;

    /// Asks for locks, in one round trip per node. The answers are in the order of the asks.
    fn acquire<'a>(&'a self, asks: &'a [Ask], how: How) -> BoxFuture<'a, Result<Vec<Answer>>>;

    /// Prolongs tenures; never re-creates one. Never shortens one.
    fn renew<'a>(&'a self, holds: &'a [Hold]) -> BoxFuture<'a, Result<Vec<Renewal>>>;

    /// Ends tenures and leaves queues, and grants the next waiters.
    fn release<'a>(
        &'a self,
        holds: &'a [Hold],
        cancel: Cancel,
    ) -> BoxFuture<'a, Result<Vec<Released>>>;

    /// Shows locks to people and tools.
    fn inspect<'a>(&'a self, what: &'a Query) -> BoxFuture<'a, Result<Vec<LockView>>>;

    /// Ends a tenure from outside. The holder is told `revoked` at its next renewal.
    fn evict<'a>(&'a self, name: &'a Name, why: &'a Evict) -> BoxFuture<'a, Result<Evicted>>;

    /// Changes a semaphore's number of permits, if it is what the change says; those who fit then are
    /// granted in the same step. Refused by a store that can't.
    fn resize<'a>(&'a self, name: &'a Name, change: &'a Resize) -> BoxFuture<'a, Result<Resized>> {
        let _ = change;
        let refusal = self.capabilities().lacks("change of its permits", name);
        Box::pin(std::future::ready(Err(refusal)))
    }

    /// Who waits for whom, where the store keeps it; without it no deadlock is found.
    fn waits_for(&self) -> Option<&dyn WaitsFor> {
        None
    }

    /// Small fenced values, where the store has them.
    fn cells(&self) -> Option<&dyn Cells> {
        None
    }

    /// Atomic admission counters, where the store has them.
    fn limiter(&self) -> Option<&dyn Limiter> {
        None
    }

    /// Where to tell of grants that no request asked for. Called once, before the first ask. A
    /// store without pushes ignores it: the heartbeat finds every grant.
    fn subscribe(&self, to: Weak<dyn Pushed>);

    /// Proves that the store answers.
    fn ping(&self) -> BoxFuture<'_, Result<()>>;
}

/// Receives what a store pushes. Called outside all of the store's own locks.
pub trait Pushed: MaybeSend + MaybeSync {
    /// A release granted the lock to this waiter.
    fn granted(&self, grant: Grant);

    /// Something changed for this lock: a renewal or heartbeat should look at once.
    fn hint(&self, name: &Name);

    /// The cell `name`, which this client watched, was written.
    fn changed(&self, name: &Name);

    /// The connection that pushes come by was lost, and pushes with it: every waiter and every watcher
    /// should look at once.
    fn lost(&self);
}

/// A grant by hand-off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The attempt that holds the lock now.
    pub token: Token,
    /// Its fence.
    pub fence: u64,
    /// When the claim ends, where the store's clock is this machine's boot clock. Elsewhere the
    /// waiter counts from when it sent its last ask.
    pub claim_until: Option<BootTime>,
}

/// What a store can do. Asked before a request is sent, so that what can't be done is refused with
/// [`Unsupported`](ErrorKind::Unsupported) instead of being emulated badly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// The store's name, as in its URL scheme.
    pub store: &'static str,
    /// The kinds of lock.
    pub kinds: Kinds,
    /// What a ttl applies to.
    pub ttl: TtlScope,
    /// Where fences come from.
    pub fence: FenceSource,
    /// Grants are pushed; without it a waiter finds its grant at the next heartbeat.
    pub push: bool,
    /// Who waits is served by arrival and by hand-off; without it whoever looks first has the lock.
    pub queue: bool,
    /// An attempt that was given up is refused when a request of it comes late; without it such a request
    /// may hold the lock for nobody, for a ttl.
    pub tombstones: bool,
    /// Several names in one atomic step.
    pub atomic_multi: bool,
    /// The store's expiry clock is this machine's boot clock.
    pub local_clock: bool,
    /// What failures exclusion outlives.
    pub survives: Survives,
}

/// The kinds of lock that a store grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kinds {
    /// One holder.
    pub exclusive: bool,
    /// Readers and writers.
    pub shared: bool,
    /// Counted permits.
    pub permits: bool,
}

/// What one ttl applies to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TtlScope {
    /// Each tenure has its own.
    Lock,
    /// Tenures of one class of ttl share a lease.
    Class,
    /// All tenures of a client end with its session.
    Session,
}

/// Where a store takes its fences from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FenceSource {
    /// `max(previous + 1, clock in µs)`.
    Clock,
    /// The store's own revision of the key.
    Revision,
    /// None: no fence is promised.
    None,
}

/// Failures after which the store still excludes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Survives {
    /// The holder's process dies.
    pub holder_crash: bool,
    /// The store's process dies and comes back.
    pub store_restart: bool,
    /// The store's wall clock steps.
    pub clock_step: bool,
}

impl Capabilities {
    /// Refuses a change that this store can't make.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where there are no permits;
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a semaphore of none.
    pub fn check_resize(&self, name: &Name, change: &Resize) -> Result<()> {
        if !self.kinds.permits {
            return Err(self.lacks("permits", name));
        }
        if change.to == 0 {
            return Err(Error::invalid(format!("semaphore {name} can't have 0 permits")));
        }
        Ok(())
    }

    fn lacks(&self, what: &str, name: &Name) -> Error {
        let message = format!("the {} store has no {what} (lock {name})", self.store);
        Error::new(ErrorKind::Unsupported, message)
    }

    /// Refuses what this store can't grant.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported), naming the store and the kind;
    /// [`InvalidInput`](ErrorKind::InvalidInput) for permits that can never be granted.
    pub fn check(&self, asks: &[Ask]) -> Result<()> {
        for ask in asks {
            if let Kind::Permits { count, capacity } = ask.kind
                && !(1..=capacity).contains(&count)
            {
                return Err(Error::invalid(format!(
                    "{count} permits of {capacity} were asked for (lock {})",
                    ask.name
                )));
            }
            let (able, what) = match ask.kind {
                Kind::Exclusive => (self.kinds.exclusive, "exclusive locks"),
                Kind::Shared => (self.kinds.shared, "shared locks"),
                Kind::Permits { .. } => (self.kinds.permits, "permits"),
            };
            if !able {
                return Err(self.lacks(what, &ask.name));
            }
        }
        Ok(())
    }
}

impl Grant {
    /// `hand_off` by a store whose clock is this machine's boot clock.
    #[must_use]
    pub fn of(hand_off: &HandOff) -> Self {
        Self { token: hand_off.token, fence: hand_off.fence, claim_until: Some(hand_off.until) }
    }
}

impl fmt::Debug for dyn Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.capabilities().store)
    }
}
