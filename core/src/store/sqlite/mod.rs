//! Placeholder.
use crate::store::memory::MemoryStore;
/// Placeholder.
pub struct SqliteStore;
impl SqliteStore {
    /// Placeholder.
    pub fn open(_: &std::path::Path, _: &crate::sys::Sys) -> crate::Result<MemoryStore> {
        Err(crate::Error::invalid("not yet"))
    }
}
