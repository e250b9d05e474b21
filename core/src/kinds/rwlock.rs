//! The read-write lock as Rust users see it: two ways to ask for one name, and the change from one to
//! the other without letting go.
//!
//! The trap is a change whose answer is lost. A lease that is to become a reader's counts as one
//! before the request is sent, and one that is to become a writer's counts as a reader's until the
//! store has said otherwise: whatever became of the request, the lease claims no more than it has.

use std::sync::Arc;

use crate::options::{REQUEST_TIMEOUT, grace};
use crate::runtime::within;
use crate::store::{Answer, Ask, How, Kind};
use crate::watchdog::believed_until;
use crate::{Error, ErrorKind, Lease, Lock, Result};

/// A lock that many may hold to read, or one to write.
///
/// Neither readers nor writers starve: a reader that comes while a writer waits queues behind it, and
/// when a writer ends all readers that waited go together.
///
/// ```
/// # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
/// let client = leasehold::Client::connect("memory://")?;
/// let prices = client.rwlock("prices");
/// let (one, other) = (prices.read().await?, prices.read().await?);
/// assert_eq!(one.epoch(), other.epoch());
/// one.release().await;
/// other.release().await;
/// let lease = prices.write().await?;
/// assert!(lease.fence() > one.fence());
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
pub struct RwLock {
    lock: Lock,
}

impl RwLock {
    pub(crate) fn new(lock: Lock) -> Self {
        Self { lock }
    }

    /// To be held together with other readers.
    pub fn read(&self) -> Lock {
        self.lock.clone().kind(Kind::Shared)
    }

    /// To be held alone; the same as [`Client::lock`](crate::Client::lock) of the name.
    pub fn write(&self) -> Lock {
        self.lock.clone().kind(Kind::Exclusive)
    }
}

impl Lease {
    /// Has a writer read on, with no other writer in between: it keeps its fence, which is the epoch
    /// of those that now read with it. Of a reader's lease this changes nothing.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for permits, and while its owner has taken the lock
    /// more than once; [`Lost`](ErrorKind::Lost) where the lease is over; as the store fails, and it
    /// is then a reader's lease that may keep other readers out until it is released or this is
    /// called again.
    pub async fn downgrade(&self) -> Result<()> {
        self.may_change("downgraded")?;
        self.held().set_kind(Kind::Shared);
        match self.change(Kind::Shared).await? {
            fence if fence == self.held().fence() => {
                // Of several that the tenure has, the one that all who read with it know.
                self.set_fence(fence);
                Ok(())
            }
            // Another tenure than ours: the lease was over when the request came.
            _ => Err(self.lose()),
        }
    }

    /// Has the only reader write, with a fence of its own.
    ///
    /// # Errors
    /// [`Deadlock`](ErrorKind::Deadlock) where others read too: two that waited for each other to
    /// leave would wait for ever, so none may; it reads on. [`InvalidInput`](ErrorKind::InvalidInput)
    /// for permits; [`Unsupported`](ErrorKind::Unsupported) where a request of its own was never
    /// answered; [`Lost`](ErrorKind::Lost) where the lease is over; as the store fails, and it is then
    /// still a reader's lease.
    pub async fn upgrade(&self) -> Result<()> {
        self.may_change("upgraded")?;
        if self.kind() == Kind::Exclusive {
            return Ok(());
        }
        if self.held().has_strays() {
            // It could come after the upgrade, and undo it.
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the lease of lock {} can't be upgraded: the store never answered a request of it",
                    self.name()
                ),
            ));
        }
        let fence = self.change(Kind::Exclusive).await?;
        self.held().set_kind(Kind::Exclusive);
        self.set_fence(fence);
        Ok(())
    }

    fn may_change(&self, what: &str) -> Result<()> {
        self.check(std::time::Duration::ZERO)?;
        let name = self.name();
        if matches!(self.kind(), Kind::Permits { .. }) {
            return Err(Error::invalid(format!("permits of {name} can't be {what}")));
        }
        if !self.held().seal() {
            let why = "its owner has taken it more than once";
            return Err(Error::invalid(format!("lock {name} can't be {what}: {why}")));
        }
        Ok(())
    }

    /// The store refused what is not held any more; why it isn't, a renewal is told.
    async fn gone(&self) -> Error {
        match self.runtime().watchdog.renew_now(self.held()).await {
            Err(error) if error.kind() == ErrorKind::Lost => error,
            _ => self.lose(),
        }
    }

    /// Asks the store to hold the lock as `kind` from now on; the fence it then has.
    async fn change(&self, kind: Kind) -> Result<u64> {
        let (held, runtime) = (self.held(), self.runtime());
        let sent = runtime.sys.now();
        let (ttl, hold) = (held.ttl(), held.hold());
        let ask = Ask {
            name: hold.name.clone(),
            kind,
            token: hold.token,
            ttl,
            grace: grace(ttl),
            wait: None,
            owner: self.owner(),
            // The store has the tenure's own.
            profile: Arc::default(),
        };
        let limit = held.deadline().min(sent + REQUEST_TIMEOUT);
        let stray = Stray { held, answered: false };
        let answers = within(
            &runtime.sys,
            limit,
            held.store().acquire(std::slice::from_ref(&ask), How::Held),
        )
        .await;
        let answer = match answers {
            Some(Ok(answers)) => answers.into_iter().next(),
            Some(Err(error)) => return Err(error),
            None => {
                let what = format!("the store did not answer for lock {} in time", hold.name);
                return Err(Error::new(ErrorKind::StoreUnavailable, what));
            }
        };
        stray.answered();
        match answer {
            Some(Answer::Granted { fence, .. }) => {
                held.renewed(believed_until(sent, ttl));
                Ok(fence)
            }
            Some(Answer::Deadlock { cycle }) => Err(Error::new(
                ErrorKind::Deadlock,
                format!("lock {} has other readers: {}", hold.name, cycle.join(", ")),
            )),
            Some(_) => Err(self.gone().await),
            None => Err(Error::new(ErrorKind::Internal, "the store gave no answer")),
        }
    }
}

/// A request of a change that is on its way: one whose future is dropped was never answered.
struct Stray<'a> {
    held: &'a crate::watchdog::Held,
    answered: bool,
}

impl Stray<'_> {
    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Stray<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.held.set_strays();
        }
    }
}
