//! Folders for a test's files: on a local disk, for a database of locks refuses a network one, and
//! gone when the test is.

use tempfile::TempDir;

/// A fresh folder whose name tells which test made it.
///
/// # Errors
/// As the file system refuses.
pub fn folder(test: &str) -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix(&format!("leasehold-{test}-")).tempdir()
}

/// The same in memory, where the system has a place for that: a database there waits for no disk. Not for
/// a test of what outlives a crash of the machine.
///
/// # Errors
/// As [`folder`].
pub fn folder_in_memory(test: &str) -> std::io::Result<TempDir> {
    let within =
        tempfile::Builder::new().prefix(&format!("leasehold-{test}-")).tempdir_in("/dev/shm");
    within.or_else(|_| folder(test))
}
