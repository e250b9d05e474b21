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
const FORMAT: i32 = 2;
/// The layout before there were readers and permits; turned into the one below when met.
const WITHOUT_KINDS: i32 = 1;

/// Names and tokens are blobs: compared byte by byte, whatever they contain. Times are
/// nanoseconds of the boot clock, valid for the boot in `meta`. The row without a name (no lock has an
/// empty one) holds the largest fence ever granted: in a table of its own it would cost each grant a
/// second page in the log.
///
/// A kind is 0 for an exclusive tenure, 1 for a reader, 2 for permits; `count` and `capacity` are of
/// permits, and the `count` of one who waits for an exclusive tenure is of its fences. Readers wait behind all others, whatever their rank.
const TABLES: &str = "
CREATE TABLE tenure (
    name BLOB NOT NULL,
    token BLOB NOT NULL,
    kind INTEGER NOT NULL,
    count INTEGER NOT NULL,
    capacity INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    until INTEGER NOT NULL,
    told INTEGER NOT NULL,
    claimed INTEGER NOT NULL,
    owner BLOB,
    profile TEXT NOT NULL,
    PRIMARY KEY (name, token)
) WITHOUT ROWID;
INSERT INTO tenure VALUES (x'', zeroblob(16), 0, 0, 0, 0, 0, 0, 0, NULL, '');
CREATE TABLE waiting (
    name BLOB NOT NULL,
    reads INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    token BLOB NOT NULL,
    kind INTEGER NOT NULL,
    count INTEGER NOT NULL,
    capacity INTEGER NOT NULL,
    alive_until INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    owner BLOB,
    profile TEXT NOT NULL,
    PRIMARY KEY (name, reads, rank, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX waiting_token ON waiting (token, name);
";

/// The tables that no version changed.
const LASTING: &str = "
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    boot TEXT NOT NULL
);
CREATE TABLE tomb (
    token BLOB PRIMARY KEY,
    kind INTEGER NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tomb_until ON tomb (until);
";

/// For the search for deadlocks; costs a waiter without an owner nothing. It is no part of the layout:
/// a version that doesn't know it keeps it too.
const BY_OWNER: &str =
    "CREATE INDEX IF NOT EXISTS waiting_owner ON waiting (owner) WHERE owner IS NOT NULL";

/// Cells and who watches them. They are no part of the layout: a version that doesn't know them lets
/// them be. The row without a name holds the largest version ever given out, and as its value the boot
/// that all the ends are counted in: such a version empties its own tables only.
const CELLS: &str = "
CREATE TABLE IF NOT EXISTS cell (
    name BLOB PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    until INTEGER,
    value BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS cell_until ON cell (until) WHERE until IS NOT NULL;
CREATE TABLE IF NOT EXISTS watch (
    name BLOB NOT NULL,
    channel INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (name, channel)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS watch_until ON watch (until);
";

/// Takes what the first layout holds into the tables of this one. They have other names on purpose: a
/// program of the older version that has the file open finds no table from then on and says so, where
/// with the old names it would take one reader for the holder and free the lock under the others.
const GAIN_KINDS: &str = "
DELETE FROM tenure;
INSERT INTO tenure
  SELECT name, token, 0, 0, 0, fence, until, told, claimed, owner, profile FROM lock;
INSERT INTO waiting
  SELECT name, 0, rank, seq, token, 0, 0, 0, alive_until, claim, channel, owner, profile FROM waiter;
DROP TABLE waiter;
DROP TABLE lock;
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
        connection.execute_batch(LASTING)?;
        connection.execute_batch(TABLES)?;
        connection.pragma_update(None, "application_id", APPLICATION)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
    } else if format == WITHOUT_KINDS {
        connection.execute_batch(TABLES)?;
        connection.execute_batch(GAIN_KINDS)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
    } else if format != FORMAT {
        let what = format!("has format {format}; this version of leasehold knows {FORMAT}");
        return Err(unusable(path, &what).into());
    }
    connection.execute_batch(BY_OWNER)?;
    cells_ready(connection, boot)?;
    let stored: Option<String> =
        connection.query_row("SELECT boot FROM meta", [], |row| row.get(0)).optional()?;
    match stored {
        None => {
            connection.execute("INSERT INTO meta (id, boot) VALUES (1, ?1)", [boot]).map(drop)?
        }
        Some(stored) if stored != boot => {
            connection.execute_batch(
                "DELETE FROM tenure WHERE name > x''; DELETE FROM waiting; DELETE FROM tomb;",
            )?;
            connection.execute("UPDATE meta SET boot = ?1", [boot])?;
        }
        Some(_) => {}
    }
    Ok(())
}

fn cells_ready(connection: &Connection, boot: &str) -> rusqlite::Result<()> {
    connection.execute_batch(CELLS)?;
    let stored: Option<Vec<u8>> = connection
        .query_row("SELECT value FROM cell WHERE name = x''", [], |row| row.get(0))
        .optional()?;
    match stored {
        Some(stored) if stored == boot.as_bytes() => {}
        Some(_) => {
            connection.execute_batch("DELETE FROM cell WHERE name > x''; DELETE FROM watch;")?;
            connection.execute("UPDATE cell SET value = ?1 WHERE name = x''", [boot.as_bytes()])?;
        }
        None => {
            let first = "INSERT INTO cell VALUES (x'', 0, NULL, ?1)";
            connection.execute(first, [boot.as_bytes()])?;
        }
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

#[cfg(test)]
mod tests {
    use super::super::rows::SqlBook;
    use super::*;
    use crate::Name;
    use crate::lock::{Book, Rows};
    use crate::store::Kind;
    use crate::sys::{BootTime, Token};

    /// A file as the version without kinds left it: one holder, one waiter, one tombstone, a fence.
    const OLD: &str = "
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), boot TEXT NOT NULL);
INSERT INTO meta VALUES (1, 'this boot');
CREATE TABLE lock (name BLOB PRIMARY KEY, token BLOB NOT NULL, fence INTEGER NOT NULL,
    until INTEGER NOT NULL, told INTEGER NOT NULL, claimed INTEGER NOT NULL, owner BLOB,
    profile TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO lock VALUES (x'', zeroblob(16), 77, 0, 0, 0, NULL, '');
INSERT INTO lock VALUES (x'61', x'01010101010101010101010101010101', 76, 500, 400, 1, NULL, '{}');
CREATE TABLE waiter (name BLOB NOT NULL, rank INTEGER NOT NULL, seq INTEGER NOT NULL,
    token BLOB NOT NULL, alive_until INTEGER NOT NULL, claim INTEGER NOT NULL,
    channel INTEGER NOT NULL, owner BLOB, profile TEXT NOT NULL,
    PRIMARY KEY (name, rank, seq)) WITHOUT ROWID;
CREATE UNIQUE INDEX waiter_token ON waiter (token, name);
INSERT INTO waiter VALUES (x'61', -3, 9, x'02020202020202020202020202020202', 300, 50, 8, NULL, '{}');
CREATE TABLE tomb (token BLOB PRIMARY KEY, kind INTEGER NOT NULL, until INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE INDEX tomb_until ON tomb (until);
INSERT INTO tomb VALUES (x'03030303030303030303030303030303', 1, 900);
PRAGMA application_id = 1819502703;
PRAGMA user_version = 1;";

    #[test]
    fn a_file_of_the_version_without_kinds_goes_on() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(OLD).unwrap();
        for _ in 0..2 {
            ready(&connection, Path::new("old.db"), "this boot").unwrap();
        }
        let mut book = SqlBook(&connection);
        let name = Name::new("a").unwrap();
        let mut rows = book.rows(&name);
        let tenure = rows.holder().unwrap().unwrap();
        assert_eq!((tenure.token, tenure.kind), (Token::from_bytes([1; 16]), Kind::Exclusive));
        assert_eq!((tenure.fence, tenure.until.as_nanos(), tenure.claimed), (76, 500, true));
        let head = rows.head().unwrap().unwrap();
        assert_eq!((head.waiter.token, head.readers), (Token::from_bytes([2; 16]), false));
        assert_eq!(
            (head.waiter.kind, head.waiter.priority, head.waiter.seq),
            (Kind::Exclusive, 3, 9)
        );
        let gone = Token::from_bytes([3; 16]);
        assert!(rows.tomb(&gone, BootTime::from_nanos(1)).unwrap().is_some());
        assert_eq!(rows.last_fence().unwrap(), 77);
        // Cells end with the boot; their versions go on.
        connection
            .execute_batch(
                "UPDATE cell SET version = 9 WHERE name = x'';
                 INSERT INTO cell VALUES (x'61', 8, NULL, x'');
                 INSERT INTO watch VALUES (x'61', 1, 2);",
            )
            .unwrap();
        for (boot, left) in [("this boot", 3), ("the next", 1)] {
            ready(&connection, Path::new("old.db"), boot).unwrap();
            let count = "SELECT (SELECT count(*) FROM cell) + (SELECT count(*) FROM watch)";
            let count: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
            assert_eq!(count, left, "{boot}");
        }
        let last = "SELECT version FROM cell WHERE name = x''";
        let last: i64 = connection.query_row(last, [], |row| row.get(0)).unwrap();
        assert_eq!(last, 9);
        // A program of that version that still has the file open must not go on as if nothing were.
        for table in ["lock", "waiter"] {
            connection.prepare(&format!("SELECT 1 FROM {table}")).unwrap_err();
        }
    }
}
