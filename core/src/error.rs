//! What can go wrong, in as few kinds as callers act on differently.
//!
//! The kind says what to do next; the message names the input or the place; the causes are chained
//! below. [`ErrorKind::code`] is the one list of codes that every language shares.

use std::error::Error as StdError;
use std::fmt;

use crate::lease::LostReason;

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn StdError + Send + Sync + 'static>;

/// What the caller must, may or should do next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call's own input is wrong. The caller MUST change it; a retry fails alike.
    InvalidInput,
    /// This store, platform or build can't do it. The caller MUST ask for something else.
    Unsupported,
    /// The wait ran out, whatever it was spent on. The caller MAY try again.
    Timeout,
    /// The lock's queue is at its limit. The caller SHOULD shed load or try again later.
    QueueFull,
    /// The attempt was cancelled and yields no lease. The caller MAY start a new attempt.
    Cancelled,
    /// Waiting would never end: the owners wait for each other, or an owner for itself. The caller
    /// MUST release what it holds before it tries again.
    Deadlock,
    /// The lease ended before its release. The caller MUST stop acting under it.
    Lost,
    /// The store did not answer, or not in time. The caller MAY try again.
    StoreUnavailable,
    /// The store refused, is unusable or broken: rights, disk full, not a database. The caller
    /// MUST have it mended; a retry fails alike.
    StoreFailed,
    /// The lease or client was inherited through `fork`. The child MUST take its own.
    Forked,
    /// The client was shut down. The caller MUST make a new one.
    ShutDown,
    /// A bug in leasehold. The caller SHOULD report it with the message.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of the list of codes.
    pub const ALL: [Self; 12] = [
        Self::InvalidInput,
        Self::Unsupported,
        Self::Timeout,
        Self::QueueFull,
        Self::Cancelled,
        Self::Deadlock,
        Self::Lost,
        Self::StoreUnavailable,
        Self::StoreFailed,
        Self::Forked,
        Self::ShutDown,
        Self::Internal,
    ];

    /// The stable code, the same in every language.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidInput => "INVALID_INPUT",
            Self::Unsupported => "UNSUPPORTED",
            Self::Timeout => "LOCK_TIMEOUT",
            Self::QueueFull => "QUEUE_FULL",
            Self::Cancelled => "CANCELLED",
            Self::Deadlock => "DEADLOCK",
            Self::Lost => "LOCK_LOST",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::StoreFailed => "STORE_FAILED",
            Self::Forked => "FORKED",
            Self::ShutDown => "SHUT_DOWN",
            Self::Internal => "INTERNAL",
        }
    }

    /// Whether the same call may succeed later with nothing changed.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Timeout | Self::QueueFull | Self::Cancelled | Self::StoreUnavailable)
    }
}

/// An error: its kind, one line that names what was wrong, and its causes.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    lost: Option<LostReason>,
    cycle: Vec<String>,
    cause: Option<Cause>,
}

impl Error {
    /// An error of `kind`; `message` names the input or the place.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let (message, lost, cycle, cause) = (message.into(), None, Vec::new(), None);
        Self(Box::new(Inner { kind, message, lost, cycle, cause }))
    }

    /// A wrong input.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// The lease of `name` is gone.
    #[must_use]
    pub fn lost(name: &crate::Name, reason: LostReason) -> Self {
        let kind = match reason {
            LostReason::Forked => ErrorKind::Forked,
            _ => ErrorKind::Lost,
        };
        let mut error = Self::new(kind, format!("the lease of lock {name} was lost: {reason}"));
        error.0.lost = Some(reason);
        error
    }

    /// Another holds the lock with a newer fence, as `message` says.
    pub(crate) fn superseded(message: String) -> Self {
        let mut error = Self::new(ErrorKind::Lost, message);
        error.0.lost = Some(LostReason::Superseded);
        error
    }

    /// Waiting for lock `name` would close `cycle`.
    #[must_use]
    pub fn deadlock(name: &crate::Name, cycle: Vec<String>) -> Self {
        let message = format!("waiting for lock {name} would never end: {}", cycle.join("; "));
        let mut error = Self::new(ErrorKind::Deadlock, message);
        error.0.cycle = cycle;
        error
    }

    /// The same error, with what caused it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// What the caller must, may or should do next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The one line, without the causes.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Why the lease was lost, where this error says that one was.
    #[must_use]
    pub fn lost_reason(&self) -> Option<LostReason> {
        self.0.lost
    }

    /// Of a deadlock each wait in it, one line each: who waits for what, held by whom, for how long.
    /// The caller's own wait comes first, each next is of whoever holds what the one before waits for.
    #[must_use]
    pub fn cycle(&self) -> &[String] {
        &self.0.cycle
    }

    /// The causes, nearest first, one line each.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            lines.push(cause.to_string());
            next = cause.source();
        }
        lines
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.code(), self.0.message)?;
        for cause in self.causes() {
            write!(f, "\n  caused by: {cause}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::InvalidInput => std::io::ErrorKind::InvalidInput,
            ErrorKind::Unsupported => std::io::ErrorKind::Unsupported,
            ErrorKind::Timeout => std::io::ErrorKind::TimedOut,
            _ => std::io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
