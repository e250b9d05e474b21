//! The operations of a schedule: attempts to take a lock and what became of them.

use std::sync::Weak;

use leasehold::{Lease, LostReason};

use crate::sim::kernel::Life;

/// How an attempt was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) lock: usize,
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

/// An attempt and its lease.
pub(crate) struct Op {
    pub(super) life: Life,
    pub(super) ask: Ask,
    /// True time, and by the machine's clock.
    pub(super) started: u64,
    pub(super) started_local: u64,
    pub(super) held: bool,
    pub(super) lease: Weak<Lease>,
    pub(super) held_since: u64,
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
}

impl Op {
    pub(super) fn token(&self) -> Option<&Vec<u8>> {
        self.tokens.last().map(|(token, _)| token)
    }

    pub(super) fn waiting(&self) -> bool {
        !self.held && self.lost.is_none() && self.ended.is_none()
    }
}
