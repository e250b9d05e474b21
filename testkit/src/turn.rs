//! The file lock that orders the writers of a SQLite store, as a test sees it.
//!
//! A process that is stopped in the middle of a step keeps it, and stops everybody. That is a
//! hazard of its own; a test of another one must stop its process between two steps.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::Process;

/// The turn, in the test's hands: every step of every client waits until this is dropped.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "held for its lock")] File);

impl Turn {
    /// Takes the turn on the database at `path`, waiting for a step under way.
    ///
    /// # Panics
    /// Where the database was never used.
    #[must_use]
    pub fn take(path: &Path) -> Self {
        let file = side_file(path);
        flock(&file, FlockOperation::LockExclusive).expect("the turn can be waited for");
        Self(file)
    }
}

/// Whether nobody is in the middle of a step on the database at `path`.
///
/// # Panics
/// Where the database was never used.
#[must_use]
pub fn turn_is_free(path: &Path) -> bool {
    // Given back when the file is closed.
    flock(side_file(path), FlockOperation::NonBlockingLockExclusive).is_ok()
}

fn side_file(path: &Path) -> File {
    let mut side = path.as_os_str().to_owned();
    side.push("-flock");
    File::open(&side).expect("the database was used, so its side file exists")
}

/// Stops `process` at a moment at which it is not in the middle of a step on `path`.
pub fn stop_between_steps(process: &Process, path: &Path) {
    loop {
        process.stop();
        if turn_is_free(path) {
            return;
        }
        process.wake();
    }
}
