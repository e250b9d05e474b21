//! The rigs of the embedded stores.

mod memory;
mod sqlite;

pub use memory::MemoryRig;
pub use sqlite::SqliteRig;
