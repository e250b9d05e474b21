//! How an attempt waits: one desk per client repeats the asks of all waiters in batches and takes
//! the store's pushes in; an attempt gives back whatever it obtained and nobody took.

mod attempt;
mod cycle;
mod desk;
mod reentry;
mod together;

pub(crate) use attempt::{Attempt, Request, burial};
pub use cycle::Deadlocks;
pub(crate) use desk::Desk;
