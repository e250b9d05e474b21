//! One database: its turnstile, its connection, and the one way to use them, a step.
//!
//! Order of locks: the turn (this process), the `flock` (all processes), the pass (no fork), the
//! connection. Only the first two may wait long; a fork waits for the last two alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, TryLockError, Weak};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::file::{Turnstile, prepare, unusable};
use super::rows::{SqlBook, SqlError};
use super::schema::{configure, explain, ready};
use crate::lock::Event;
use crate::options::REQUEST_TIMEOUT;
use crate::sys::{Clock, boot_id, fork};
use crate::{Error, Result};

/// How often a short turn of another process is waited out before the worker thread is asked: a
/// step takes about 30 µs, two thread hops take longer.
const PEEKS: u32 = 8;

/// A database file and this client's access to it.
pub(super) struct Db {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    turn: Mutex<Option<Turnstile>>,
    open: Mutex<Option<Open>>,
}

struct Open {
    connection: Connection,
    /// Device and inode: a file that was removed or replaced must not be written on unseen.
    identity: (u64, u64),
}

/// All databases of the process, to be closed before a fork.
static ALL: Mutex<Vec<Weak<Db>>> = Mutex::new(Vec::new());

impl Db {
    pub(super) fn new(path: &Path, clock: Arc<dyn Clock>) -> Arc<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| fork::before_fork(close_all));
        let db = Arc::new(Self {
            path: path.to_owned(),
            clock,
            turn: Mutex::default(),
            open: Mutex::default(),
        });
        let _pass = fork::pass();
        let mut all = lock(&ALL);
        all.retain(|db| db.strong_count() > 0);
        all.push(Arc::downgrade(&db));
        drop(all);
        db
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file that this client had open was deleted: what gives something back must not
    /// make it anew. A file that isn't there *yet* is another matter: a tombstone may be the first
    /// thing that it is to hold.
    pub(super) fn is_gone(&self) -> bool {
        let _pass = fork::pass();
        let Ok(open) = self.open.try_lock() else { return false };
        open.is_some()
            && fs::metadata(&self.path)
                .is_err_and(|cause| cause.kind() == std::io::ErrorKind::NotFound)
    }

    /// Runs `rules` in one transaction at one moment. None where others are at it and `wait` is
    /// false; nothing was done then.
    pub(super) fn step<T>(
        &self,
        wait: bool,
        rules: impl FnOnce(&mut SqlBook<'_>, Event) -> Result<T, SqlError>,
    ) -> Result<Option<T>> {
        let mut turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) if wait => lock(&self.turn),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let gate = match &mut *turn {
            Some(gate) => gate,
            none => {
                prepare(&self.path)?;
                none.insert(Turnstile::open(&self.path)?)
            }
        };
        if !enter(gate, wait)? {
            return Ok(None);
        }
        let done = self.transaction(wait, rules);
        gate.leave();
        match done {
            Ok(value) => Ok(Some(value)),
            Err(SqlError::Sqlite(cause)) if !wait && busy(&cause) => Ok(None),
            Err(error) => Err(explain(&self.path, error)),
        }
    }

    fn transaction<T>(
        &self,
        wait: bool,
        rules: impl FnOnce(&mut SqlBook<'_>, Event) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let _pass = fork::pass();
        let mut slot = lock(&self.open);
        let open = self.opened(&mut slot)?;
        // Only a program that ignores the turnstile can be in the way here.
        let patience = if wait { REQUEST_TIMEOUT } else { Duration::ZERO };
        open.connection.busy_timeout(patience)?;
        in_transaction(&open.connection, |connection| {
            rules(&mut SqlBook(connection), self.clock.moment())
        })
    }

    /// The connection, made or made anew where the file at the path is not the one it was.
    fn opened<'a>(&self, slot: &'a mut Option<Open>) -> Result<&'a mut Open, SqlError> {
        if let Some(open) = slot.as_ref() {
            let same =
                fs::metadata(&self.path).is_ok_and(|found| identity(&found) == open.identity);
            if !same {
                tracing::warn!(path = %self.path.display(), "the database was replaced; reopening");
                *slot = None;
            }
        }
        match slot {
            Some(open) => Ok(open),
            none => Ok(none.insert(self.connect()?)),
        }
    }

    fn connect(&self) -> Result<Open, SqlError> {
        prepare(&self.path)?;
        // Made here and not by SQLite: its log files take the database's mode over.
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)
            .and_then(|file| file.metadata())
            .map_err(|cause| {
                let read_only = cause.kind() == std::io::ErrorKind::ReadOnlyFilesystem
                    || fs::metadata(&self.path).is_ok_and(|found| found.permissions().readonly());
                let what = if read_only { "is read-only" } else { "can't be opened" };
                unusable(&self.path, what).caused_by(cause)
            })?;
        let boot = boot_id().map_err(|cause| {
            Error::new(crate::ErrorKind::StoreFailed, "the boot id can't be read").caused_by(cause)
        })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(REQUEST_TIMEOUT)?;
        configure(&connection)?;
        log_ahead(&connection, &self.path)?;
        in_transaction(&connection, |connection| ready(connection, &self.path, boot))?;
        Ok(Open { connection, identity: identity(&file) })
    }
}

/// A write-ahead log: a commit is one append, and a process killed in the middle leaves the file
/// whole.
fn log_ahead(connection: &Connection, path: &Path) -> Result<(), SqlError> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode.eq_ignore_ascii_case("wal") {
        return Ok(());
    }
    Err(unusable(path, "can't have a write-ahead log where it is").into())
}

fn in_transaction<T>(
    connection: &Connection,
    body: impl FnOnce(&Connection) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let done = body(connection).and_then(|value| {
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(value)
    });
    if done.is_err() && !connection.is_autocommit() {
        // Fails only where SQLite has rolled back already.
        let _ = connection.execute_batch("ROLLBACK");
    }
    done
}

fn enter(gate: &Turnstile, wait: bool) -> Result<bool> {
    for _ in 0..PEEKS {
        if gate.enter(false)? {
            return Ok(true);
        }
        std::thread::yield_now();
    }
    if wait { gate.enter(true) } else { Ok(false) }
}

/// Closes every connection of the process; each is opened again at its next use. No step is under
/// way: [`fork::pass`] holds them off.
fn close_all() {
    let Ok(all) = ALL.try_lock() else { return };
    for db in all.iter().filter_map(Weak::upgrade) {
        if let Ok(mut open) = db.open.try_lock() {
            *open = None;
        }
    }
}

fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn busy(cause: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as Code;
    matches!(cause.sqlite_error_code(), Some(Code::DatabaseBusy | Code::DatabaseLocked))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
