//! Keeps leases alive, and tells their holders in time when it can't.

mod belief;
mod held;
mod renew;
mod schedule;

pub(crate) use belief::{believed_until, claimed_until};
pub(crate) use held::{Held, Terms};
pub(crate) use renew::Watchdog;
pub use schedule::Schedule;
