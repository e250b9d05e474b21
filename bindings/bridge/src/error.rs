//! An error as plain data, to be made an exception of the language.

use leasehold::{Error, ErrorKind, LostReason};

/// What went wrong. `code` is of the one list that [`error_codes`] gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorInfo {
    /// The stable code.
    pub code: &'static str,
    /// One line that names the input or the place.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// Why the lease was lost, if that is what the error says.
    pub reason: Option<&'static str>,
    /// Of a deadlock each wait in it, the caller's own first.
    pub cycle: Vec<String>,
    /// The causes, nearest first.
    pub causes: Vec<String>,
}

impl From<&Error> for ErrorInfo {
    fn from(error: &Error) -> Self {
        Self {
            code: error.kind().code(),
            message: error.message().to_owned(),
            retryable: error.kind().retryable(),
            reason: error.lost_reason().map(LostReason::code),
            cycle: error.cycle().to_vec(),
            causes: error.causes(),
        }
    }
}

impl From<Error> for ErrorInfo {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl ErrorInfo {
    pub(crate) fn cancelled() -> Self {
        Error::new(ErrorKind::Cancelled, "the attempt was cancelled").into()
    }

    pub(crate) fn forked(what: &str) -> Self {
        Error::new(ErrorKind::Forked, format!("{what} was inherited through fork")).into()
    }
}

/// Every error code, for a binding's test that each has a class.
#[must_use]
pub fn error_codes() -> Vec<&'static str> {
    ErrorKind::ALL.iter().map(|kind| kind.code()).collect()
}

/// Every reason for a loss.
#[must_use]
pub fn lost_reasons() -> Vec<&'static str> {
    LostReason::ALL.iter().map(|reason| reason.code()).collect()
}
