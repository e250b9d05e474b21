//! What the store needs of a network: ordered byte streams to one server.
//!
//! A trait and not a socket, so that a simulator can lose, delay and cut them in virtual time, and a
//! host without sockets can supply its own.

use std::io;
use std::sync::Arc;

use crate::Result;
use crate::sys::{BoxFuture, MaybeSend, MaybeSync};

/// An ordered byte stream to one server.
pub trait Link: MaybeSend + MaybeSync {
    /// Sends `bytes`, after all sent before. Never blocks.
    ///
    /// # Errors
    /// Where the link is dead.
    fn send(&self, bytes: &[u8]) -> io::Result<()>;

    /// Appends what has arrived to `into`; 0 where the other side closed.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there yet; anything else is the link's end, `PermissionDenied`
    /// where the other side is not who it must be.
    fn receive(&self, into: &mut Vec<u8>) -> io::Result<usize>;

    /// Completes when [`receive`](Self::receive) may have something, or the link died.
    fn ready(&self) -> BoxFuture<'_, io::Result<()>>;

    /// What a thread can wait on that reads by itself; none where there is no such thing, or while
    /// something is still to be written.
    #[cfg(feature = "native")]
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }

    /// Nobody will ask [`ready`](Self::ready) for a while.
    fn rest(&self) {}

    /// Closes it now, both ways.
    fn close(&self);
}

/// Which of a store's connections a link is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// Acquire, release, and what the server pushes.
    Requests,
    /// Renewal alone: no other traffic may delay it.
    Renewal,
}

/// Makes links.
pub trait Dial: MaybeSend + MaybeSync {
    /// Opens a link. Called on the runtime that will drive it.
    fn dial(&self, purpose: Purpose) -> BoxFuture<'_, Result<Arc<dyn Link>>>;
}
