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
