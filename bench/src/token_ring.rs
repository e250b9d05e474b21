//! Turn-taking by hand, the limit of a lock on one database file: `flock`, one short transaction,
//! one datagram to who is next. No fence, no expiry, no heartbeat, no cancellation.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use rustix::fs::{FlockOperation, flock};

use crate::Result;
use crate::raw_sqlite::open;
use crate::worker::Shift;

/// A receiver looks at the clock this often; no hand-off waits for it.
const GLANCE: Duration = Duration::from_millis(50);

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS lock (id INTEGER PRIMARY KEY CHECK (id = 1), owner INTEGER);
CREATE TABLE IF NOT EXISTS waiter (seq INTEGER PRIMARY KEY AUTOINCREMENT, who INTEGER NOT NULL);
INSERT OR IGNORE INTO lock VALUES (1, NULL);
";

struct Common {
    connection: Connection,
    gate: File,
    socket: UnixDatagram,
    folder: PathBuf,
    index: u32,
}

impl Common {
    fn open(database: &Path, index: u32) -> Result<Self> {
        let gate = File::create(database.with_extension("flock"))?;
        flock(&gate, FlockOperation::LockExclusive)?;
        let connection = open(database, TABLES)?;
        flock(&gate, FlockOperation::Unlock)?;
        let folder = database.parent().unwrap_or_else(|| Path::new("/")).to_owned();
        let socket = UnixDatagram::bind(folder.join(format!("turn-{index}")))?;
        socket.set_read_timeout(Some(GLANCE))?;
        Ok(Self { connection, gate, socket, folder, index })
    }

    /// One transaction of `body`, alone among all processes.
    fn transaction<T>(&self, body: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        flock(&self.gate, FlockOperation::LockExclusive)?;
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let value = body(&self.connection)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        flock(&self.gate, FlockOperation::Unlock)?;
        Ok(value)
    }

    fn tell(&self, who: u32) -> Result<()> {
        let sent = self.socket.send_to(&[1], self.folder.join(format!("turn-{who}")));
        match sent {
            // It ended before this worker did.
            Err(cause)
                if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
            {
                Ok(())
            }
            other => Ok(other.map(drop)?),
        }
    }

    /// Waits for the turn; false where the shift ended first.
    fn told(&self, shift: &Shift) -> Result<bool> {
        let mut byte = [0];
        loop {
            match self.socket.recv(&mut byte) {
                Ok(_) => return Ok(true),
                Err(cause)
                    if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if shift.over() {
                        return Ok(false);
                    }
                }
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause.into()),
            }
        }
    }
}

fn own(connection: &Connection, who: Option<u32>) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE lock SET owner = ?1")?.execute([who]).map(drop)
}

/// The lock goes round: each hand-off is one transaction and one datagram.
pub(crate) struct Ring {
    common: Common,
    count: u32,
}

impl Ring {
    /// Worker `index` of `count`.
    pub(crate) fn open(database: &Path, index: u32, count: u32) -> Result<Self> {
        Ok(Self { common: Common::open(database, index)?, count })
    }

    /// Takes turns until the shift is over.
    pub(crate) fn run(&mut self, shift: &mut Shift) -> Result<()> {
        let next = (self.common.index + 1) % self.count;
        let mut first = self.common.index == 0;
        while !shift.over() {
            if !std::mem::take(&mut first) && !self.common.told(shift)? {
                return Ok(());
            }
            shift.hold();
            self.common.transaction(|connection| own(connection, Some(next)))?;
            self.common.tell(next)?;
        }
        Ok(())
    }
}

/// A first-come queue in the database: one transaction joins it, one hands over to its head.
pub(crate) struct Queue {
    common: Common,
}

impl Queue {
    /// Worker `index`.
    pub(crate) fn open(database: &Path, index: u32) -> Result<Self> {
        Ok(Self { common: Common::open(database, index)? })
    }

    /// Takes turns until the shift is over.
    pub(crate) fn run(&mut self, shift: &mut Shift) -> Result<()> {
        while !shift.over() {
            let granted = self.common.transaction(|connection| self.join(connection))?;
            if !granted && !self.common.told(shift)? {
                return Ok(());
            }
            shift.hold();
            if let Some(next) = self.common.transaction(hand_over)? {
                self.common.tell(next)?;
            }
        }
        Ok(())
    }

    fn join(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let owner: Option<u32> =
            connection.prepare_cached("SELECT owner FROM lock")?.query_row([], |row| row.get(0))?;
        if owner.is_none() {
            own(connection, Some(self.common.index))?;
            return Ok(true);
        }
        connection
            .prepare_cached("INSERT INTO waiter (who) VALUES (?1)")?
            .execute([self.common.index])?;
        Ok(false)
    }
}

fn hand_over(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    let head: Option<(i64, u32)> = connection
        .prepare_cached("SELECT seq, who FROM waiter ORDER BY seq LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((seq, _)) = head {
        connection.prepare_cached("DELETE FROM waiter WHERE seq = ?1")?.execute([seq])?;
    }
    let next = head.map(|(_, who)| who);
    own(connection, next)?;
    Ok(next)
}
