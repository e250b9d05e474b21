//! What is asked of a store and what it answers. A new kind of lock is a new [`Kind`], not a new
//! protocol, so that one contract suite proves every kind on every store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::sys::{BootTime, Token};
use crate::{Name, Owner, Profile};

/// How the lock is to be held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Kind {
    /// By one holder.
    #[default]
    Exclusive,
    /// Together with other readers, never with a writer.
    Shared,
    /// `count` of `capacity` permits.
    Permits {
        /// Permits asked for, at least 1.
        count: u32,
        /// Permits there are; must agree with what the holders and waiters of the moment asked with.
        capacity: u32,
    },
}

impl Kind {
    /// Whether a lock that is in use as `self` may be asked for as `other`. A name is a read-write
    /// lock, of which the exclusive lock is the part without readers, or a semaphore of one capacity:
    /// two programs that disagree on that have a bug, and no order of grants would be right for both.
    #[must_use]
    pub fn fits(self, other: Self) -> bool {
        match (self, other) {
            (Self::Permits { capacity: own, .. }, Self::Permits { capacity, .. }) => {
                own == capacity
            }
            (Self::Permits { .. }, _) | (_, Self::Permits { .. }) => false,
            _ => true,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exclusive => f.write_str("an exclusive lock"),
            Self::Shared => f.write_str("a shared lock"),
            Self::Permits { capacity, .. } => write!(f, "a semaphore of {capacity}"),
        }
    }
}

/// One request to hold one lock. Repeating it with the same token is safe: it confirms a grant,
/// keeps the place in the queue, or answers that the attempt was cancelled.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The lock.
    pub name: Name,
    /// How it is to be held.
    pub kind: Kind,
    /// The attempt. One attempt has one token, for all its tries.
    pub token: Token,
    /// What the holder is told it has.
    pub ttl: Duration,
    /// What the store keeps beyond `ttl`, so that a holder with a slightly slow clock stops first.
    pub grace: Duration,
    /// Whether to queue when the lock is taken, and how.
    pub wait: Option<Wait>,
    /// The identity for re-entry and deadlock detection.
    pub owner: Option<Owner>,
    /// For people.
    pub profile: Arc<Profile>,
}

/// How an attempt waits in the store's queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    /// A waiter that has not repeated its ask for this long is dead and skipped.
    pub alive_for: Duration,
    /// A waiter that is granted the lock by a release has this long to confirm.
    pub claim: Duration,
    /// How often the waiter repeats its ask.
    pub heartbeat: Duration,
    /// The longest queue it joins.
    pub max_queue: u32,
    /// Larger goes first; equal is by arrival.
    pub priority: i32,
    /// How many fences an exclusive tenure is to have, 1 to [`MAX_FENCES`](crate::lock::MAX_FENCES):
    /// one for each of those who hold it in turn. The one that the store answers is the largest of
    /// them, and none of them is another tenure's.
    pub fences: u32,
}

impl Ask {
    /// How many fences the tenure is to have.
    #[must_use]
    pub fn fences(&self) -> u32 {
        self.wait.filter(|_| self.kind == Kind::Exclusive).map_or(1, |wait| wait.fences)
    }
}

/// Whether several asks stand or fall together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// All are granted or none is changed. Only for asks that don't wait.
    AllOrNothing,
    /// Each for itself.
    EachAlone,
    /// Each for itself, and only what its attempt holds: to hold it otherwise from now on, or for longer.
    /// No tenure begins. Whoever holds nothing, as the store forgot it, is answered
    /// [`Cancelled`](Answer::Cancelled): others may have held the lock since.
    Held,
}

/// A store's answer to one [`Ask`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Held.
    Granted {
        /// The fence of this tenure, of several the largest; the same when the ask is repeated. A reader's is its epoch: at
        /// least the fence of every writer before it, less than that of every writer after it, and
        /// the same for all who read together. Permits have a number that no other tenure has.
        fence: u64,
        /// The store keeps the tenure at least this long from when the ask was sent.
        stored_for: Duration,
    },
    /// In the queue.
    Queued {
        /// First in line. (How many are before the others is told by `inspect`: counting them in
        /// each heartbeat would cost O(n) per waiter.)
        first: bool,
        /// Ask again after this long: the heartbeat, or sooner where the holder's lease ends.
        look_again_in: Duration,
        /// Who holds it, if anyone does.
        holder: Option<Holding>,
    },
    /// Taken, and the ask does not wait. Also, in an all-or-nothing call, a lock that was free but
    /// was left alone because another was not; `holder` is then empty.
    Busy {
        /// Who holds it.
        holder: Option<Holding>,
    },
    /// Taken, and the queue is at its limit.
    QueueFull {
        /// The limit that the ask gave.
        limit: u32,
    },
    /// The attempt was cancelled before; it yields no lease, ever. Or it holds nothing, and was to ask
    /// for no more than it holds.
    Cancelled,
    /// The name is in use as another kind of lock, or as a semaphore with another capacity.
    Misfit {
        /// How it is held.
        used: Kind,
    },
    /// Waiting would close a cycle of owners. Also the answer to a reader that asks to write while
    /// others read: it would wait for itself.
    Deadlock {
        /// Each member of the cycle, for people.
        cycle: Vec<String>,
    },
}

/// Who holds a lock that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holding {
    /// When the store lets go of it, from now; none where it never expires (a foreign holder).
    pub expires_in: Option<Duration>,
    /// Who it is, if it is a leasehold client.
    pub profile: Option<Arc<Profile>>,
}

/// One tenure, as its holder names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// The lock.
    pub name: Name,
    /// How it is held.
    pub kind: Kind,
    /// The attempt that holds it.
    pub token: Token,
    /// The ttl to renew for; unused by a release.
    pub ttl: Duration,
    /// What the store keeps beyond `ttl`.
    pub grace: Duration,
}

/// A store's answer to the renewal of one [`Hold`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewal {
    /// Still held.
    Renewed {
        /// The store keeps the tenure at least this long from when the renewal was sent.
        stored_for: Duration,
    },
    /// No longer held; never re-created.
    Gone(crate::LostReason),
}

/// What the release leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancel {
    /// Nothing: every request of the attempt was answered.
    No,
    /// A tombstone for this long: a request may still be on its way, and must find it.
    Tombstone(Duration),
}

/// A store's answer to the release of one [`Hold`]. Never touches another's tenure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Released {
    /// It was held, and is not any more.
    Released,
    /// It waited, and does not any more.
    LeftQueue,
    /// It neither held nor waited: expired, evicted, released before, or never there.
    NotHeld,
}

/// A change of a semaphore's number of permits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resize {
    /// So many there must be now.
    pub from: u32,
    /// So many there will be, at least 1.
    pub to: u32,
    /// The number of the change before this one; 0 where none is remembered.
    pub version: u64,
}

/// A store's answer to a [`Resize`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resized {
    /// It is as it should be.
    Changed {
        /// The number of this change: larger than that of any before.
        version: u64,
    },
    /// Nothing was changed.
    Unchanged {
        /// What the name is in use as; none where nobody holds it and no change is remembered.
        used: Option<Kind>,
        /// The number of the last change; 0 where none is remembered.
        version: u64,
    },
}

impl Hold {
    /// The hold that `ask` would become.
    #[must_use]
    pub fn of(ask: &Ask) -> Self {
        Self {
            name: ask.name.clone(),
            kind: ask.kind,
            token: ask.token,
            ttl: ask.ttl,
            grace: ask.grace,
        }
    }
}

impl Holding {
    /// A tenure of ours that ends at `until`.
    #[must_use]
    pub fn ours(until: BootTime, now: BootTime, profile: &Arc<Profile>) -> Self {
        Self { expires_in: Some(until.since(now)), profile: Some(Arc::clone(profile)) }
    }
}
