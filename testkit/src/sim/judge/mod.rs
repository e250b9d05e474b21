//! The oracles: what they saw, and what must never be.
//!
//! They read the simulated server's keys and what `is_held` and `remaining` answer at an instant,
//! never what the library says happened. Numbers as in the list of hazards: O1 belief, O2 fences, O3
//! tenures, O4 orphans, O5 progress, O6 deadlines, O7 foreign hands, O8 what is left over.

mod beliefs;
mod bench;
mod keys;
mod ops;
mod tenures;
mod turns;
mod waits;

pub(crate) use bench::{Judge, Loss};
pub(crate) use ops::{Ask, Ending};
pub(crate) use tenures::Cause;
