//! Wakes whoever waits for a file descriptor: an eventfd where there is one, else a socket pair.
//!
//! Both ends never block: the ringing end is on the library's own threads.

#[cfg(target_os = "linux")]
pub(crate) use eventfd::Bell;
#[cfg(not(target_os = "linux"))]
pub(crate) use pair::Bell;

#[cfg(target_os = "linux")]
mod eventfd {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    use rustix::event::{EventfdFlags, eventfd};

    pub(crate) struct Bell(OwnedFd);

    impl Bell {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
        }

        pub(crate) fn hearing(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }

        pub(crate) fn ring(&self) {
            // It fails only where 2^64 - 2 rings are unheard: the reader is awake anyway.
            let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
        }

        pub(crate) fn hush(&self) {
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.0, &mut count);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod pair {
    use std::io::{self, Read, Write};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;

    pub(crate) struct Bell {
        ringing: UnixStream,
        hearing: UnixStream,
    }

    impl Bell {
        pub(crate) fn new() -> io::Result<Self> {
            let (ringing, hearing) = UnixStream::pair()?;
            ringing.set_nonblocking(true)?;
            hearing.set_nonblocking(true)?;
            Ok(Self { ringing, hearing })
        }

        pub(crate) fn hearing(&self) -> BorrowedFd<'_> {
            self.hearing.as_fd()
        }

        pub(crate) fn ring(&self) {
            // A full buffer means that the reader has not heard the rings before: it will.
            let _ = (&self.ringing).write(&[1]);
        }

        pub(crate) fn hush(&self) {
            let mut rings = [0; 64];
            while matches!((&self.hearing).read(&mut rings), Ok(count) if count == rings.len()) {}
        }
    }
}
