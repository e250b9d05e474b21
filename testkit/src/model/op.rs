//! The steps of a history.

use std::time::Duration;

use leasehold::store::{How, Kind, Wait};

/// Locks in a history.
pub(super) const NAMES: usize = 2;
/// Attempts for each lock. An attempt has one token for ever, as a buggy or slow client would.
pub(super) const ATTEMPTS: usize = 7;

/// One attempt's ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Try {
    /// The lock.
    pub name: usize,
    /// The attempt.
    pub attempt: usize,
    /// How it wants to hold the lock.
    pub kind: Kind,
    /// The ttl.
    pub ttl: Duration,
    /// Kept beyond it.
    pub grace: Duration,
    /// Whether and how it waits.
    pub wait: Option<Wait>,
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Ask for one lock or several.
    Ask(Vec<Try>, How),
    /// Renew a tenure.
    Renew {
        /// The lock.
        name: usize,
        /// The attempt.
        attempt: usize,
        /// How it thinks that it holds the lock.
        kind: Kind,
        /// For how long.
        ttl: Duration,
    },
    /// Release or leave the queue, with a tombstone or without.
    Release {
        /// The lock.
        name: usize,
        /// The attempt.
        attempt: usize,
        /// The tombstone's length.
        tomb: Option<Duration>,
    },
    /// End a tenure from outside; true demands the fence that was seen last.
    Evict {
        /// The lock.
        name: usize,
        /// Whether the last seen fence is demanded.
        fence: bool,
    },
    /// Change a semaphore's number of permits.
    Resize {
        /// The lock.
        name: usize,
        /// So many there must be.
        from: u32,
        /// So many there will be.
        to: u32,
        /// Whether it names the change before it.
        fresh: bool,
    },
    /// Let time pass.
    Advance(Duration),
    /// Step the wall clock, in seconds.
    StepWall(i64),
}

/// Which kinds of lock a history is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mix {
    /// Exclusive locks alone.
    Exclusive,
    /// Readers and writers, which now and then change from one to the other.
    ReadWrite,
    /// Permits, now and then of another capacity, which is changed now and then.
    Permits,
    /// All kinds on the same names: what one attempt uses as a semaphore another asks to write.
    All,
}
