//! Tells a waiter in another process that it holds the lock, and a watcher that its cell was written:
//! one datagram to its client's socket.
//!
//! The sockets lie in a folder beside the database that only its owner may enter, so a datagram is
//! as trustworthy as the database itself. A refused one means that the waiter's process is gone,
//! which is better than a lost one: the lock is handed on at once. A full buffer only costs the
//! waiter its heartbeat.

use std::fs;
use std::io::ErrorKind as Io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use super::file::{beside, prepare, unusable};
use crate::lock::HandOff;
use crate::store::{Grant, Pushed};
use crate::sys::{BootTime, Sys, Token};
use crate::{Error, Name, Result};

/// sockaddr_un.sun_path takes 108 bytes on Linux and 104 on macOS, with the closing NUL.
const LONGEST_ADDRESS: usize = 103;
/// Version 1 of the datagram: this byte, token, fence, end of the claim.
const LAYOUT: u8 = 1;
const LENGTH: usize = 1 + 16 + 8 + 8;
/// A datagram that tells of a cell: this byte, its name. A version that doesn't know it passes it over.
const CELL: u8 = 2;
/// The longest datagram.
const LONGEST: usize = 1 + Name::MAX_BYTES;
/// A socket file younger than this may be of a client that is just binding it.
const SETTLED: Duration = Duration::from_secs(10);

/// The sockets of one database.
pub(super) struct Wake {
    folder: PathBuf,
    database: PathBuf,
    sys: Sys,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    handle: Option<OwnedFd>,
    sender: Option<UnixDatagram>,
    own: Option<Own>,
}

/// This client's socket.
struct Own {
    channel: u64,
    path: PathBuf,
    task: tokio::task::AbortHandle,
}

/// What became of a message.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// On its way, or the waiter will find the grant at its heartbeat.
    Sent,
    /// Nobody listens any more.
    Dead,
}

impl Wake {
    pub(super) fn new(database: &Path, sys: Sys) -> Self {
        let folder = beside(database, "-wake");
        Self { folder, database: database.to_owned(), sys, state: Mutex::default() }
    }

    /// This client's address, for the rows of its waiters. Bound at first use.
    ///
    /// # Errors
    /// [`StoreFailed`](crate::ErrorKind::StoreFailed) where no socket can be made.
    pub(super) fn channel(&self, listener: &Weak<dyn Pushed>) -> Result<u64> {
        let mut state = self.state();
        if let Some(own) = &state.own {
            return Ok(own.channel);
        }
        let failed = |cause: std::io::Error| {
            let what = format!("has no wake-ups: {} can't be used", self.folder.display());
            unusable(&self.database, &what).caused_by(cause)
        };
        prepare(&self.database)?;
        match fs::DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(cause) if cause.kind() == Io::AlreadyExists => {}
            result => result.map_err(failed)?,
        }
        self.sweep();
        let bytes: [u8; 8] = std::array::from_fn(|index| self.sys.token().as_bytes()[index]);
        // Never 0, which means this client; and it fits SQLite's integers.
        let channel = (u64::from_le_bytes(bytes) >> 1) | 1;
        let path = self.folder.join(file_name(channel));
        let address = self.address(&mut state, channel).map_err(failed)?;
        let socket = UnixDatagram::bind(&address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let task = listen(socket, Weak::clone(listener))?;
        state.own = Some(Own { channel, path, task });
        Ok(channel)
    }

    /// Whether this client has its socket.
    pub(super) fn is_bound(&self) -> bool {
        self.state().own.is_some()
    }

    /// Whether `channel` is this client's own.
    pub(super) fn is_own(&self, channel: u64) -> bool {
        self.state().own.as_ref().is_some_and(|own| own.channel == channel)
    }

    /// Sends `hand_off` to its waiter's client.
    pub(super) fn tell(&self, hand_off: &HandOff) -> Told {
        let mut message = [LAYOUT; LENGTH];
        message[1..17].copy_from_slice(hand_off.token.as_bytes());
        message[17..25].copy_from_slice(&hand_off.fence.to_le_bytes());
        message[25..33].copy_from_slice(&hand_off.until.as_nanos().to_le_bytes());
        self.send(hand_off.channel, &message)
    }

    /// Tells the client at `channel` that the cell `name` was written.
    pub(super) fn tell_of_cell(&self, channel: u64, name: &Name) {
        let message = [&[CELL], name.as_str().as_bytes()].concat();
        // A watcher that is gone needs no more than that.
        self.send(channel, &message);
    }

    fn send(&self, channel: u64, message: &[u8]) -> Told {
        let mut state = self.state();
        let Ok(address) = self.address(&mut state, channel) else { return Told::Sent };
        if state.sender.is_none() {
            let sender = UnixDatagram::unbound().and_then(|sender| {
                sender.set_nonblocking(true)?;
                Ok(sender)
            });
            state.sender = sender.ok();
        }
        let Some(sender) = &state.sender else { return Told::Sent };
        match sender.send_to(message, address) {
            Err(cause) if matches!(cause.kind(), Io::ConnectionRefused | Io::NotFound) => {
                let _ = fs::remove_file(self.folder.join(file_name(channel)));
                Told::Dead
            }
            _ => Told::Sent,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket's address: its path, or on Linux a short way to it where the path is too long.
    fn address(&self, state: &mut State, channel: u64) -> std::io::Result<PathBuf> {
        let path = self.folder.join(file_name(channel));
        if path.as_os_str().len() <= LONGEST_ADDRESS {
            return Ok(path);
        }
        if !cfg!(target_os = "linux") {
            return Err(std::io::Error::new(Io::InvalidInput, "the path is too long for a socket"));
        }
        let handle = match &state.handle {
            Some(handle) => handle,
            None => state.handle.insert(OwnedFd::from(fs::File::open(&self.folder)?)),
        };
        Ok(PathBuf::from(format!("/proc/self/fd/{}/{}", handle.as_raw_fd(), file_name(channel))))
    }

    /// Removes what killed processes left behind.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let settled = entry
                .metadata()
                .and_then(|found| found.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > SETTLED));
            if !settled {
                continue;
            }
            let refused = UnixDatagram::unbound()
                .and_then(|probe| probe.connect(entry.path()))
                .is_err_and(|cause| cause.kind() == Io::ConnectionRefused);
            if refused {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = state.own.take() {
            own.task.abort();
            let _ = fs::remove_file(own.path);
        }
    }
}

fn file_name(channel: u64) -> String {
    format!("{channel:016x}")
}

#[allow(clippy::disallowed_methods, reason = "a socket belongs to the pool that polls it")]
fn listen(socket: UnixDatagram, listener: Weak<dyn Pushed>) -> Result<tokio::task::AbortHandle> {
    let pool = crate::runtime::io()?;
    let _context = pool.enter();
    let socket = tokio::net::UnixDatagram::from_std(socket).map_err(|cause| {
        Error::new(crate::ErrorKind::Internal, "the wake-up socket can't be polled")
            .caused_by(cause)
    })?;
    let task = pool.spawn(async move {
        let mut buffer = [0; LONGEST + 1];
        while let Ok(length) = socket.recv(&mut buffer).await {
            let Some(listener) = listener.upgrade() else { return };
            let message = &buffer[..length];
            if let Some(grant) = parse(message) {
                listener.granted(grant);
            } else if let Some(name) = cell_of(message) {
                listener.changed(&name);
            }
        }
    });
    Ok(task.abort_handle())
}

/// The cell in a datagram; none for what tells of none.
fn cell_of(message: &[u8]) -> Option<Name> {
    let name = message.strip_prefix(&[CELL])?;
    Name::new(std::str::from_utf8(name).ok()?).ok()
}

/// The grant in a datagram; none for what is not one.
fn parse(message: &[u8]) -> Option<Grant> {
    let message: &[u8; LENGTH] = message.try_into().ok()?;
    if message[0] != LAYOUT {
        return None;
    }
    let number =
        |from: usize| u64::from_le_bytes(std::array::from_fn(|index| message[from + index]));
    Some(Grant {
        token: Token::from_bytes(std::array::from_fn(|index| message[1 + index])),
        fence: number(17),
        claim_until: Some(BootTime::from_nanos(number(25))),
    })
}
