//! How an attempt waits: one desk per client repeats the asks of all waiters in batches and takes
//! the store's pushes in; an attempt gives back whatever it obtained and nobody took.

mod attempt;
mod cells;
mod cohort;
mod cycle;
mod desk;
#[cfg_attr(
    not(feature = "manager"),
    allow(dead_code, unreachable_pub, reason = "what a manager counts")
)]
mod in_use;
mod reentry;
mod together;

pub(crate) use attempt::{Attempt, Request, burial};
pub(crate) use cells::{Next, Shelf};
pub(crate) use cohort::{Cohorts, unsupported};
pub use cycle::Deadlocks;
pub(crate) use desk::Desk;
#[cfg(feature = "manager")]
pub(crate) use in_use::Registry;
#[cfg(feature = "manager")]
pub use in_use::Usage;
pub(crate) use in_use::{InUse, Role};
