//! How the command ends: one list of exit codes, and what is said on stderr.
//!
//! The codes are those of sysexits.h and of POSIX shells, so that a script can tell a lock that was
//! taken (75, try again) from a program that failed.

use std::process::ExitCode;

use leasehold::ErrorKind;
use rustix::process::Signal;

use crate::print;

/// The exit codes besides 0 and those of the program that is run.
pub(crate) mod code {
    /// EX_USAGE: wrong usage or input.
    pub(crate) const USAGE: u8 = 64;
    /// EX_UNAVAILABLE: the store did not answer.
    pub(crate) const UNAVAILABLE: u8 = 69;
    /// EX_SOFTWARE: the lease was lost, and the program was ended for it.
    pub(crate) const LOST: u8 = 70;
    /// EX_OSERR: the operating system refused, or a bug.
    pub(crate) const SYSTEM: u8 = 71;
    /// EX_IOERR: the store is unusable.
    pub(crate) const STORE: u8 = 74;
    /// EX_TEMPFAIL: the wait ran out.
    pub(crate) const TEMPORARY: u8 = 75;
    /// The program can't be executed.
    pub(crate) const CANNOT_EXECUTE: u8 = 126;
    /// The program was not found.
    pub(crate) const NOT_FOUND: u8 = 127;
    /// Plus the signal's number.
    pub(crate) const SIGNAL: u8 = 128;
}

/// How the process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// With this code.
    Code(u8),
    /// By Ctrl-C at the terminal: with its default action, so that a shell script around us ends
    /// too instead of going on with its next line. A shell sees 130 either way. With `group`, the
    /// rest of our own process group gets it as well: only the program's group had it so far.
    Interrupted {
        /// Whether the rest of our process group has not had it.
        group: bool,
    },
}

impl Exit {
    /// 128 + `signal`.
    pub(crate) fn signal(signal: i32) -> Self {
        Self::Code(code::SIGNAL.saturating_add(u8::try_from(signal).unwrap_or(u8::MAX)))
    }

    /// Ends the process so, or answers with what code `main` must.
    pub(crate) fn finish(self) -> ExitCode {
        match self {
            Self::Code(code) => ExitCode::from(code),
            Self::Interrupted { group } => {
                leasehold::sys::child::restore_default(Signal::INT);
                // Neither can fail for one's own process; if it did, the code below says the same.
                let _ = if group {
                    rustix::process::kill_current_process_group(Signal::INT)
                } else {
                    rustix::process::kill_process(rustix::process::getpid(), Signal::INT)
                };
                ExitCode::from(code::SIGNAL + 2)
            }
        }
    }
}

/// What went wrong, and the code for it.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    causes: Vec<String>,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: Vec::new() }
    }

    /// The operating system's refusal of `what`.
    pub(crate) fn system(what: &str, cause: impl std::fmt::Display) -> Self {
        Self { code: code::SYSTEM, message: what.to_owned(), causes: vec![cause.to_string()] }
    }

    /// Says it on stderr.
    pub(crate) fn tell(&self) -> Exit {
        print::complain(&self.message);
        for cause in &self.causes {
            print::complain(&format!("  caused by: {cause}"));
        }
        Exit::Code(self.code)
    }
}

impl From<leasehold::Error> for Failure {
    fn from(error: leasehold::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::Unsupported => code::USAGE,
            ErrorKind::Timeout | ErrorKind::QueueFull | ErrorKind::Cancelled => code::TEMPORARY,
            ErrorKind::Lost => code::LOST,
            ErrorKind::StoreUnavailable => code::UNAVAILABLE,
            ErrorKind::StoreFailed => code::STORE,
            _ => code::SYSTEM,
        };
        Self { code, message: error.message().to_owned(), causes: error.causes() }
    }
}
