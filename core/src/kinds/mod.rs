//! What users call: one file per kind of lock, and the builder that they share.

mod lock;
mod multi;
mod rwlock;
mod semaphore;

pub use lock::Lock;
pub use multi::{Leases, LockAll};
pub use rwlock::RwLock;
pub use semaphore::Semaphore;
