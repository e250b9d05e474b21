//! What may be granted: the rules, as functions of a lock's rows and an event. Time and expiry are
//! part of the event; nothing here reads a clock, waits or talks to a server. Memory and SQLite run
//! these functions directly; the scripts of other stores are held to them by property tests.

mod batch;
mod capacity;
mod fence;
mod rows;
mod steps;
#[cfg(test)]
mod tests;
mod turn;

pub(crate) use batch::all_or_nothing_waits;
pub use batch::{Book, acquire_many, release_many, renew_many};
pub use capacity::{Capacity, FOLLOWED, resize};
pub use fence::{MAX_FENCE, MAX_FENCES, last_of_next, next_fence};
pub use rows::{Event, HandOff, Head, Rows, Sum, Tenure, Tomb, Waiter};
pub(crate) use steps::reader_among;
pub use steps::{acquire, available, change, evict, release, renew};
