//! One descriptor that is readable while one of several is.
//!
//! Linux's epoll(7) is that by itself. Elsewhere there is none, and who would use one does without:
//! its threads tell it. Each descriptor is watched as a copy of its own, for a registration outlives
//! the number that it was made with where a copy is left open, and would then report for ever.

#[cfg(target_os = "linux")]
pub(crate) use epoll::Poller;
#[cfg(not(target_os = "linux"))]
pub(crate) use none::Poller;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::fork::ClosedInChild;

/// A copy of a descriptor, for one [`Poller`] to watch.
pub(crate) struct Watch {
    // First: the mark goes before the descriptor's number can be another's.
    _mark: ClosedInChild,
    copy: OwnedFd,
}

impl Watch {
    fn of(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let copy = descriptor.try_clone_to_owned()?;
        Ok(Self { _mark: ClosedInChild::new(copy.as_fd()), copy })
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.copy.as_fd()
    }
}

#[cfg(target_os = "linux")]
mod epoll {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    use rustix::buffer::spare_capacity;
    use rustix::event::{PollFd, PollFlags, Timespec, epoll};

    use super::Watch;

    /// How many are told of at once; the others are at the next look.
    const MANY: usize = 16;

    /// A forked child that inherits it may drop it, so it is not closed at the child's birth.
    pub(crate) struct Poller(OwnedFd);

    impl Poller {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
        }

        pub(crate) fn copy(&self, descriptor: BorrowedFd<'_>) -> io::Result<Watch> {
            Watch::of(descriptor)
        }

        /// Watches for `descriptor` being readable, under the name of `key`.
        pub(crate) fn add(&self, descriptor: BorrowedFd<'_>, key: u64) -> io::Result<()> {
            let data = epoll::EventData::new_u64(key);
            Ok(epoll::add(&self.0, descriptor, data, epoll::EventFlags::IN)?)
        }

        pub(crate) fn remove(&self, descriptor: BorrowedFd<'_>) {
            // It fails only for one that is not watched.
            let _ = epoll::delete(&self.0, descriptor);
        }

        /// Whether any can be read now.
        pub(crate) fn any(&self) -> bool {
            let mut own = [PollFd::new(&self.0, PollFlags::IN)];
            rustix::event::poll(&mut own, Some(&Timespec::default())).is_ok_and(|count| count > 0)
        }

        /// The keys of those that can be read now.
        pub(crate) fn ready(&self) -> Vec<u64> {
            let mut events = Vec::with_capacity(MANY);
            let now = Timespec::default();
            match epoll::wait(&self.0, spare_capacity(&mut events), Some(&now)) {
                Ok(_) => events.iter().map(|event| event.data.u64()).collect(),
                // Interrupted by a signal: they are still there at the next look.
                Err(_) => Vec::new(),
            }
        }
    }

    impl AsFd for Poller {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};

    use super::Watch;

    /// Never made.
    pub(crate) enum Poller {}

    impl Poller {
        pub(crate) fn new() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn copy(&self, descriptor: BorrowedFd<'_>) -> io::Result<Watch> {
            Watch::of(descriptor)
        }

        pub(crate) fn add(&self, _: BorrowedFd<'_>, _: u64) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn remove(&self, _: BorrowedFd<'_>) {
            match *self {}
        }

        pub(crate) fn any(&self) -> bool {
            match *self {}
        }

        pub(crate) fn ready(&self) -> Vec<u64> {
            match *self {}
        }
    }

    impl AsFd for Poller {
        fn as_fd(&self) -> BorrowedFd<'_> {
            match *self {}
        }
    }
}
