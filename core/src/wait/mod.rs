//! How an attempt waits: one desk per client repeats the asks of all waiters in batches and takes
//! the store's pushes in; an attempt gives back whatever it obtained and nobody took.

mod attempt;
mod cells;
mod cohort;
mod cycle;
mod desk;
mod reentry;
mod together;

pub(crate) use attempt::{Attempt, Request, burial};
pub(crate) use cells::{Next, Shelf};
pub(crate) use cohort::{Cohorts, unsupported};
pub use cycle::Deadlocks;
pub(crate) use desk::Desk;
