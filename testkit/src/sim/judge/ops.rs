//! The operations of a schedule: attempts to take a lock and what became of them.

use std::ops::Range;
use std::sync::Weak;

use leasehold::{Lease, Leases, LostReason};

use crate::sim::kernel::Life;
use crate::sim::mix::How;

/// How an attempt was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) lock: usize,
    /// How it is to be held.
    pub(crate) how: How,
    /// In ns of the machine's clock: how long it waits; none for ever.
    pub(crate) wait: Option<u64>,
    /// Whether it queues.
    pub(crate) queues: bool,
    /// In ns: what its lease may last from a request on.
    pub(crate) ttl: u64,
    /// It is renewed and has no longest tenure: only a fault ends it.
    pub(crate) kept: bool,
}

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// Given back, given up or refused: its client cleans up.
    Tidy,
    /// Its lease was lost: the store's expiry cleans up.
    Lost,
    /// Its process is gone.
    Crashed,
}

/// The lease of an operation, which its user has.
#[derive(Clone, Default)]
pub(super) struct Handle {
    leases: Weak<Leases>,
    index: usize,
}

/// An attempt and its lease.
pub(crate) struct Op {
    pub(super) life: Life,
    pub(super) ask: Ask,
    /// The ttl that it asked for; that of `ask` grows with each wish for more.
    pub(super) term: u64,
    /// The attempts for the locks that are taken together; this one alone, mostly.
    pub(super) group: Range<usize>,
    /// True time, and by the machine's clock.
    pub(super) started: u64,
    pub(super) started_local: u64,
    pub(super) held: bool,
    pub(super) handle: Handle,
    pub(super) held_since: u64,
    /// Its lease's number, as it was first told.
    pub(super) fence: u64,
    /// The newest is the one that counts, and since when.
    pub(super) tokens: Vec<(Vec<u8>, u64)>,
    /// The latest deadline that was seen, by the machine's clock.
    pub(super) deadline: Option<u64>,
    pub(super) ended: Option<(u64, Ending)>,
    pub(super) lost: Option<(u64, LostReason)>,
    /// Nobody will give it back: its longest tenure ends it.
    pub(super) leaked: bool,
    /// Data loss, a clock step or an eviction: its belief is not promised to be true.
    pub(super) excused: bool,
    /// A proxy kept to itself that it was granted the lock, having said before that it was taken.
    pub(super) unheard: bool,
}

impl Op {
    pub(super) fn new(life: Life, ask: Ask, group: Range<usize>, started: u64, local: u64) -> Self {
        Self {
            life,
            ask,
            term: ask.ttl,
            group,
            started,
            started_local: local,
            held: false,
            handle: Handle::default(),
            held_since: 0,
            fence: 0,
            tokens: Vec::new(),
            deadline: None,
            ended: None,
            lost: None,
            leaked: false,
            excused: false,
            unheard: false,
        }
    }

    pub(super) fn token(&self) -> Option<&Vec<u8>> {
        self.tokens.last().map(|(token, _)| token)
    }

    /// When and how `token` was given up: for another, or with the operation.
    pub(super) fn given_up(&self, token: &[u8]) -> Option<(u64, Ending)> {
        let index = self.tokens.iter().position(|(own, _)| own == token);
        let newer =
            index.and_then(|index| self.tokens.get(index + 1)).map(|(_, at)| (*at, Ending::Tidy));
        let lost = self.lost.map(|(at, _)| (at, Ending::Lost));
        newer.or(lost).or(self.ended)
    }

    pub(super) fn waiting(&self) -> bool {
        !self.held && self.lost.is_none() && self.ended.is_none()
    }

    /// Whether it is one of several locks that are taken together.
    pub(super) fn grouped(&self) -> bool {
        self.group.len() > 1
    }
}

impl Handle {
    pub(super) fn new(leases: &std::sync::Arc<Leases>, index: usize) -> Self {
        Self { leases: std::sync::Arc::downgrade(leases), index }
    }

    /// What `look` says of the lease, if its user has it still.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Lease) -> T) -> Option<T> {
        self.leases.upgrade().map(|leases| look(&leases[self.index]))
    }
}
