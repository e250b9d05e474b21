//! The audit file: one JSON document a line.
//!
//! The traps are lines of two processes that mix, and a file that was rotated away. Each event is one
//! write to a file opened for appending, which the kernel doesn't split among writers; and it is opened
//! anew for each, for they are rare.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{AuditEvent, AuditSink};
use crate::{Error, ErrorKind, Result};

/// Appends each event to a file, as one line of JSON, and has it on the disk before it goes on. Several
/// processes of one host may use the same file. It is made with mode 0600 where there is none.
#[derive(Clone, Debug)]
pub struct AuditFile {
    path: PathBuf,
}

impl AuditFile {
    /// The file at `path`. Opens it once, so that one that can't be written is found now.
    ///
    /// # Errors
    /// [`StoreFailed`](ErrorKind::StoreFailed) where it can't be opened for appending.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = std::path::absolute(path.as_ref()).map_err(|cause| {
            Error::invalid(format!("the path of the audit file {}", path.as_ref().display()))
                .caused_by(cause)
        })?;
        let file = Self { path };
        file.opened()?;
        Ok(file)
    }

    fn opened(&self) -> Result<std::fs::File> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path);
        file.map_err(|cause| self.failed("can't be opened", cause))
    }

    fn failed(&self, what: &str, cause: std::io::Error) -> Error {
        let message = format!("the audit file {} {what}", self.path.display());
        Error::new(ErrorKind::StoreFailed, message).caused_by(cause)
    }
}

impl AuditSink for AuditFile {
    fn record(&self, event: &AuditEvent) -> Result<()> {
        let mut line = serde_json::to_vec(event).map_err(|cause| {
            Error::new(ErrorKind::Internal, "an audit event can't be written").caused_by(cause)
        })?;
        line.push(b'\n');
        let mut file = self.opened()?;
        let written = file.write(&line).map_err(|cause| self.failed("can't be written", cause))?;
        if written < line.len() {
            // The rest in a second write could land behind another's line.
            let cause = std::io::Error::from(std::io::ErrorKind::WriteZero);
            return Err(self.failed("took only a part of a line", cause));
        }
        file.sync_data().map_err(|cause| self.failed("can't be brought to the disk", cause))
    }
}
