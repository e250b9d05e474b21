//! The database's tables, and the refusal of a file that isn't ours.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};

use super::file::unusable;
use super::rows::SqlError;
use crate::Error;

/// "lsho": marks the file as ours, for file(1) and for us.
const APPLICATION: i32 = 0x6c73_686f;
/// The layout below.
const FORMAT: i32 = 1;

/// Names and tokens are blobs: compared byte by byte, whatever they contain. Times are
/// nanoseconds of the boot clock, valid for the boot in `meta`. The row without a name (no lock has an
/// empty one) holds the largest fence ever granted: in a table of its own it would cost each grant a
/// second page in the log.
const TABLES: &str = "
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    boot TEXT NOT NULL
);
CREATE TABLE lock (
    name BLOB PRIMARY KEY,
    token BLOB NOT NULL,
    fence INTEGER NOT NULL,
    until INTEGER NOT NULL,
    told INTEGER NOT NULL,
    claimed INTEGER NOT NULL,
    owner BLOB,
    profile TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO lock VALUES (x'', zeroblob(16), 0, 0, 0, 0, NULL, '');
CREATE TABLE waiter (
    name BLOB NOT NULL,
    rank INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    token BLOB NOT NULL,
    alive_until INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    owner BLOB,
    profile TEXT NOT NULL,
    PRIMARY KEY (name, rank, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX waiter_token ON waiter (token, name);
CREATE TABLE tomb (
    token BLOB PRIMARY KEY,
    kind INTEGER NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tomb_until ON tomb (until);
";

/// Settings of each connection. The log is synced at checkpoints only: what a power cut takes is
/// void anyway, for it ends the boot, and the file stays whole.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    // Plan each statement once. Without this SQLite plans the search for a queue's head anew each
    // time a name is bound to it: a third of the cost of a step.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Rows are small and a commit logs whole pages. Takes effect when the file is made.
    connection.pragma_update(None, "page_size", 1024)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", 8000)
}

/// Makes or checks the tables, and empties them after a reboot. Runs inside a transaction.
pub(super) fn ready(connection: &Connection, path: &Path, boot: &str) -> Result<(), SqlError> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, format) = (pragma("application_id")?, pragma("user_version")?);
    if application != APPLICATION {
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 || application != 0 {
            return Err(unusable(path, "belongs to another program").into());
        }
        connection.execute_batch(TABLES)?;
        connection.pragma_update(None, "application_id", APPLICATION)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
    } else if format != FORMAT {
        let what = format!("has format {format}; this version of leasehold knows {FORMAT}");
        return Err(unusable(path, &what).into());
    }
    let stored: Option<String> =
        connection.query_row("SELECT boot FROM meta", [], |row| row.get(0)).optional()?;
    match stored {
        None => {
            connection.execute("INSERT INTO meta (id, boot) VALUES (1, ?1)", [boot]).map(drop)?
        }
        Some(stored) if stored != boot => {
            connection.execute_batch(
                "DELETE FROM lock WHERE name > x''; DELETE FROM waiter; DELETE FROM tomb;",
            )?;
            connection.execute("UPDATE meta SET boot = ?1", [boot])?;
        }
        Some(_) => {}
    }
    Ok(())
}

/// An error that names the file.
pub(super) fn explain(path: &Path, error: SqlError) -> Error {
    let cause = match error {
        SqlError::Rules(error) => return error,
        SqlError::Sqlite(cause) => cause,
    };
    use rusqlite::ErrorCode as Code;
    let what = match cause.sqlite_error_code() {
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
            return Error::new(
                crate::ErrorKind::StoreUnavailable,
                format!("the database {} is locked by another program", path.display()),
            )
            .caused_by(cause);
        }
        Some(Code::NotADatabase) => "is not a SQLite database",
        Some(Code::DatabaseCorrupt) => "is damaged",
        Some(Code::ReadOnly) => "is read-only",
        Some(Code::CannotOpen | Code::PermissionDenied) => "can't be opened",
        Some(Code::DiskFull) => "can't be written: the disk is full",
        // The log's shared memory could not be made longer.
        _ if cause.sqlite_error().map(|error| error.extended_code)
            == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) =>
        {
            "can't be written: the disk is full"
        }
        Some(Code::SystemIoFailure) => "can't be read or written",
        _ => "failed",
    };
    unusable(path, what).caused_by(cause)
}
