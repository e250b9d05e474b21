//! A descriptor's readiness in the current runtime, for as long as someone wants to know.
//!
//! Registered on its own copy of the descriptor and only while needed: a registration that nobody
//! waits on still wakes its runtime's thread at every byte.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::fork::ClosedInChild;

/// A registration with the current runtime.
#[derive(Debug)]
pub(crate) struct Readiness {
    // First: the mark goes before the descriptor's number can be another's.
    _mark: ClosedInChild,
    copy: AsyncFd<OwnedFd>,
}

impl Readiness {
    /// Registers a copy of `fd`. Must be called in a runtime with I/O.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let copy = fd.try_clone_to_owned()?;
        let mark = ClosedInChild::new(copy.as_fd());
        // SAFETY: an `OwnedFd` is open until it is dropped, and always answers the same number.
        let copy = unsafe { AsyncFd::register(copy) }.map_err(io::Error::from)?;
        Ok(Self { _mark: mark, copy })
    }

    /// Completes when there may be something to read or, with `writing`, room to write.
    pub(crate) async fn ready(&self, writing: bool) -> io::Result<()> {
        let interest =
            if writing { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        // Cleared at once: whoever is told reads until there is nothing, or comes back.
        self.copy.ready(interest).await?.clear_ready();
        Ok(())
    }
}
