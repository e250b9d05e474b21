//! The two side contracts that later parts stand on: small fenced values, and admission counters.
//! They belong to the contract from the first day so that a store's layout leaves room for them;
//! a store without them answers none.

use std::time::Duration;

use crate::sys::{BoxFuture, MaybeSend, MaybeSync};
use crate::{Name, Result};

/// A small value with the version to compare it by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell {
    /// The bytes, at most 64 KiB.
    pub value: Vec<u8>,
    /// Grows with each change; 0 means that there was no cell.
    pub version: u64,
}

/// Values that change only by whoever saw the latest.
pub trait Cells: MaybeSend + MaybeSync {
    /// The cell, if there is one.
    fn get<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Option<Cell>>>;

    /// Writes `value` if the cell is still at `version` (0: absent); answers the cell as it is now
    /// and whether it was written. A cell with `keep` vanishes after that long.
    fn compare_and_set<'a>(
        &'a self,
        name: &'a Name,
        version: u64,
        value: &'a [u8],
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<(bool, Option<Cell>)>>;

    /// Completes when the cell is no longer at `version`.
    fn changed<'a>(&'a self, name: &'a Name, version: u64) -> BoxFuture<'a, Result<Option<Cell>>>;
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
