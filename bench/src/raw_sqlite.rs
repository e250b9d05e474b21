//! What SQLite itself can do: hand-written transactions on the same kind of database, with prepared
//! statements, integers for times, and nothing that a lock service needs beyond its rows.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Statement, params};
use rustix::fs::{FlockOperation, flock};

use crate::Result;

/// How much of a lock's work is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Depth {
    /// One row put in, one row taken out.
    Rows,
    /// And the largest fence kept.
    Fence,
    /// And a `flock` around each transaction, the holder read before it is changed, and the first
    /// waiter looked for.
    Protocol,
}

/// Opens a database of the kind that leasehold uses: small pages, write-ahead log, synchronous
/// NORMAL.
pub(crate) fn open(path: &Path, tables: &str) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "page_size", 1024)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 8000)?;
    connection.execute_batch(tables)?;
    Ok(connection)
}

const TABLES: &str = "
CREATE TABLE lock (
    name BLOB PRIMARY KEY, token BLOB NOT NULL, fence INTEGER NOT NULL, until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE waiter (
    name BLOB NOT NULL, seq INTEGER NOT NULL, token BLOB NOT NULL, PRIMARY KEY (name, seq)
) WITHOUT ROWID;
CREATE TABLE meta (id INTEGER PRIMARY KEY, fence INTEGER NOT NULL);
INSERT INTO meta VALUES (1, 0);
";

/// A database to make pairs on.
pub(crate) struct Pairs {
    connection: Connection,
    gate: File,
    depth: Depth,
}

impl Pairs {
    /// A new database in `folder`.
    pub(crate) fn new(folder: &Path, depth: Depth) -> Result<Self> {
        let path = folder.join(format!("raw-{depth:?}.db"));
        let gate = File::create(path.with_extension("flock"))?;
        Ok(Self { connection: open(&path, TABLES)?, gate, depth })
    }

    /// Makes pairs until `enough` says so; it is asked now and then.
    pub(crate) fn run(&self, mut enough: impl FnMut() -> bool) -> Result<u64> {
        let mut statements = Statements::new(&self.connection)?;
        let token = [7_u8; 16];
        let (mut done, mut fence) = (0, 0_i64);
        while done % 32 != 0 || !enough() {
            fence += 1;
            self.transaction(&mut statements, |statements| {
                statements.put.execute(params![&b"bench"[..], token, fence, i64::MAX])?;
                if self.depth != Depth::Rows {
                    statements.fence.execute([fence])?;
                }
                Ok(())
            })?;
            self.transaction(&mut statements, |statements| {
                statements.take.execute([&b"bench"[..]])?;
                Ok(())
            })?;
            done += 1;
        }
        Ok(done)
    }

    fn transaction(
        &self,
        statements: &mut Statements<'_>,
        change: impl Fn(&mut Statements<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        if self.depth == Depth::Protocol {
            flock(&self.gate, FlockOperation::LockExclusive)?;
        }
        statements.begin.execute([])?;
        if self.depth == Depth::Protocol {
            statements.look.query_row([&b"bench"[..]], |row| row.get::<_, i64>(0)).optional()?;
            statements.head.query_row([&b"bench"[..]], |row| row.get::<_, i64>(0)).optional()?;
        }
        change(statements)?;
        statements.commit.execute([])?;
        if self.depth == Depth::Protocol {
            flock(&self.gate, FlockOperation::Unlock)?;
        }
        Ok(())
    }
}

struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    put: Statement<'c>,
    take: Statement<'c>,
    fence: Statement<'c>,
    look: Statement<'c>,
    head: Statement<'c>,
}

impl<'c> Statements<'c> {
    fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            put: connection.prepare("REPLACE INTO lock VALUES (?1, ?2, ?3, ?4)")?,
            take: connection.prepare("DELETE FROM lock WHERE name = ?1")?,
            fence: connection.prepare("UPDATE meta SET fence = ?1")?,
            look: connection.prepare("SELECT fence FROM lock WHERE name = ?1")?,
            head: connection
                .prepare("SELECT seq FROM waiter WHERE name = ?1 ORDER BY seq LIMIT 1")?,
        })
    }
}

/// Renews `count` rows in transactions of 500, `times` times over: the limit of a watchdog.
pub(crate) fn renewals(folder: &Path, count: u32, times: u32) -> Result<()> {
    let mut connection = open(&folder.join("raw-renewals.db"), TABLES)?;
    let name = |number: u32| format!("bench:{number:05}").into_bytes();
    let filled = connection.transaction()?;
    for number in 0..count {
        let row = params![name(number), [7_u8; 16], 1, 0];
        filled.prepare_cached("INSERT INTO lock VALUES (?1, ?2, ?3, ?4)")?.execute(row)?;
    }
    filled.commit()?;
    for time in 0..times {
        for first in (0..count).step_by(500) {
            let batch = connection.transaction()?;
            let mut renew = batch
                .prepare_cached("UPDATE lock SET until = ?2 WHERE name = ?1 AND token = ?3")?;
            for number in first..count.min(first + 500) {
                renew.execute(params![name(number), time, [7_u8; 16]])?;
            }
            drop(renew);
            batch.commit()?;
        }
    }
    Ok(())
}
