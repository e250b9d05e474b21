//! What people and tools are told of: who did what to whom.

mod audit;
#[cfg(feature = "native")]
mod file;

pub(crate) use audit::{Audit, Matter};
pub use audit::{AuditAction, AuditEvent, AuditOutcome, AuditSink};
#[cfg(feature = "native")]
pub use file::AuditFile;
