//! The side contracts that later parts stand on: who waits for whom, small fenced values, and
//! admission counters. They belong to the contract from the first day so that a store's layout leaves
//! room for them; a store without them answers none.

use std::sync::Arc;
use std::time::Duration;

use super::{HolderView, Kind};
use crate::sys::{BoxFuture, MaybeSend, MaybeSync, Token};
use crate::{Error, Name, Owner, Profile, Result};

/// One wait of an owner, and who keeps it waiting: its edges in the graph of who waits for whom.
///
/// A wait is one stay in a queue and a tenure is contiguous, so an attempt and a fence that are found
/// together twice were there together all the time between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanting {
    /// The lock.
    pub name: Name,
    /// The attempt that waits.
    pub attempt: Token,
    /// How it wants to hold the lock.
    pub kind: Kind,
    /// Larger goes first.
    pub priority: i32,
    /// The waiter.
    pub profile: Arc<Profile>,
    /// Who holds the lock, at most 100 of them.
    pub holders: Vec<HolderView>,
}

/// Who waits for whom, for the search for deadlocks.
pub trait WaitsFor: MaybeSend + MaybeSync {
    /// What `owner` waits for: its waiters that are alive, and who holds each lock they wait for.
    /// Each lock is seen at one instant, several may be seen at different ones.
    fn wants(&self, owner: Owner) -> BoxFuture<'_, Result<Vec<Wanting>>>;

    /// A wait of `owner` is over, whatever came of it: what was kept so that it can be found may go.
    /// Nobody waits for that, and a wait that is not said to be over must still not be found.
    fn over(&self, owner: Owner, attempt: Token, name: &Name) {
        let _ = (owner, attempt, name);
    }
}

/// A small value with the version to compare it by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell {
    /// The bytes, at most [`MAX_VALUE`](Self::MAX_VALUE).
    pub value: Vec<u8>,
    /// Larger than that of every cell of this name before, at most 2^53 − 1. 0 stands for no cell.
    pub version: u64,
    /// What is left of it by the store's clock; none where it stays.
    pub left: Option<Duration>,
}

impl Cell {
    /// The longest value, in bytes.
    pub const MAX_VALUE: usize = 64 << 10;

    /// Refuses a value that is too long.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the cell and the length.
    pub fn check(name: &Name, value: &[u8]) -> Result<()> {
        if value.len() <= Self::MAX_VALUE {
            return Ok(());
        }
        let (long, most) = (value.len(), Self::MAX_VALUE);
        Err(Error::invalid(format!(
            "the value for {name} has {long} bytes: at most {most} are allowed"
        )))
    }
}

/// What a watch found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Watched {
    /// The cell is still at the version. Its next change will be told.
    Same {
        /// When it vanishes, which nobody tells of.
        left: Option<Duration>,
    },
    /// It is at another, or there is none any more. Nothing will be told.
    Changed(Option<Cell>),
}

/// Values that change only by whoever saw the latest. A cell has nothing to do with the lock of the
/// same name.
pub trait Cells: MaybeSend + MaybeSync {
    /// The cell, if there is one.
    fn get<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Option<Cell>>>;

    /// Writes `value` if the cell is still at `version` (0: absent); answers whether it did, and the
    /// cell as it is now. A cell with `keep` vanishes after that long by the store's clock, with zero
    /// at once.
    fn compare_and_set<'a>(
        &'a self,
        name: &'a Name,
        version: u64,
        value: &'a [u8],
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<(bool, Option<Cell>)>>;

    /// Looks whether the cell is still at `version`, and if so has its next write told to this client
    /// ([`Pushed::changed`](super::Pushed::changed)), unless that comes later than `alive_for`. A
    /// store without pushes only looks.
    fn watch<'a>(
        &'a self,
        name: &'a Name,
        version: u64,
        alive_for: Duration,
    ) -> BoxFuture<'a, Result<Watched>>;
}

/// A rate: at most `permits` in any `window`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Admissions per window.
    pub permits: u64,
    /// The window.
    pub window: Duration,
    /// Admissions at once beyond the steady rate.
    pub burst: u64,
}

/// What a limiter decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Go on.
    Admitted {
        /// Admissions left in the window.
        left: u64,
    },
    /// Not now.
    Refused {
        /// When the same request may be admitted.
        retry_after: Duration,
    },
}

/// Counts admissions in one atomic step.
pub trait Limiter: MaybeSend + MaybeSync {
    /// Asks for `weight` admissions under `limit`.
    fn admit<'a>(
        &'a self,
        name: &'a Name,
        limit: Limit,
        weight: u64,
    ) -> BoxFuture<'a, Result<Decision>>;
}
