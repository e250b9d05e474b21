//! The memory store: threads and tasks of one process. `memory://` is private to its client,
//! `memory://name` is shared by all clients of the process that use the name.

mod cells;
mod registry;
mod rows;
mod store;

pub(crate) use registry::named;
pub use rows::{LockRows, Locks};
pub use store::{MemoryStore, Shared};
