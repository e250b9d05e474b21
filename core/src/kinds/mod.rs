//! What users call: one file per kind of lock, and the builder that they share.

mod election;
mod lock;
mod multi;
mod record;
mod rwlock;
mod semaphore;

pub use election::{Campaign, Election, Leader, Leadership, Observer};
pub use lock::Lock;
pub use multi::{Leases, LockAll};
pub use rwlock::RwLock;
pub use semaphore::Semaphore;

/// The kinds that keep a state in the cell of their name, by their words there.
const WITH_STATE: [&str; 1] = [election::WORD];
