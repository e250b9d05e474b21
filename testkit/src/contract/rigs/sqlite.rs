//! The SQLite store on a database file of its own, in virtual or in real time.
//!
//! Two store objects on one file are as apart as two processes: each has its own connection, its
//! own file lock and its own socket.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use leasehold::store::sqlite::SqliteStore;
use leasehold::store::{Pushed, Store};
use leasehold::sys::Sys;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::World;
use crate::contract::{Inbox, Rig, Seat};

/// Two clients of one database file.
pub struct SqliteRig {
    folder: TempDir,
    time: Time,
    clients: [Client; 2],
}

enum Time {
    Virtual(World),
    Real(Sys),
}

struct Client {
    store: Option<SqliteStore>,
    inbox: Arc<Inbox>,
}

impl SqliteRig {
    /// A fresh file in virtual time.
    ///
    /// # Errors
    /// Where no file can be made here.
    pub fn new(seed: u64) -> Result<Self, String> {
        Self::with(Time::Virtual(World::new(seed)))
    }

    /// A fresh file in real time, for cases that need no time to pass.
    ///
    /// # Errors
    /// Where no file can be made here.
    pub fn real() -> Result<Self, String> {
        let sys = leasehold::runtime::native_sys().map_err(|error| format!("{error:?}"))?;
        Self::with(Time::Real(sys))
    }

    fn with(time: Time) -> Result<Self, String> {
        let folder = match time {
            Time::Virtual(_) => crate::folder_in_memory("contract"),
            Time::Real(_) => crate::folder("contract"),
        };
        let folder = folder.map_err(|error| error.to_string())?;
        let clients = open(&folder.path().join("locks.db"), &time)?;
        Ok(Self { folder, time, clients })
    }

    fn client(&self, seat: Seat) -> &Client {
        &self.clients[seat as usize]
    }
}

impl Time {
    fn sys(&self) -> Sys {
        match self {
            Self::Virtual(world) => world.sys(),
            Self::Real(sys) => sys.clone(),
        }
    }
}

fn open(path: &Path, time: &Time) -> Result<[Client; 2], String> {
    let client = || {
        let store = SqliteStore::open(path, &time.sys()).map_err(|error| format!("{error:?}"))?;
        let inbox = Arc::<Inbox>::default();
        let pushed: Arc<dyn Pushed> = Arc::clone(&inbox) as _;
        store.subscribe(Arc::downgrade(&pushed));
        Ok::<_, String>(Client { store: Some(store), inbox })
    };
    Ok([client()?, client()?])
}

impl Rig for SqliteRig {
    fn store(&self, seat: Seat) -> &dyn Store {
        self.client(seat).store.as_ref().expect("this client was ended")
    }

    fn inbox(&self, seat: Seat) -> &Inbox {
        &self.client(seat).inbox
    }

    fn drive(&self, future: Pin<&mut dyn Future<Output = ()>>) {
        match &self.time {
            Time::Virtual(world) => world.block_on(future),
            Time::Real(_) => leasehold::block_on(future),
        }
    }

    fn advance(&self, span: Duration) {
        match &self.time {
            Time::Virtual(world) => world.advance(span),
            Time::Real(_) => panic!("a case that lets time pass needs virtual time"),
        }
    }

    fn step_wall(&self, seconds: i64) -> bool {
        match &self.time {
            Time::Virtual(world) => {
                world.step_wall(seconds);
                true
            }
            Time::Real(_) => false,
        }
    }

    fn set_wall_us(&self, wall_us: u64) -> bool {
        match &self.time {
            Time::Virtual(world) => {
                world.set_wall_us(wall_us);
                true
            }
            Time::Real(_) => false,
        }
    }

    fn end(&mut self, seat: Seat) {
        self.clients[seat as usize].store = None;
    }

    fn reopen(&mut self) -> bool {
        for client in &mut self.clients {
            client.store = None;
        }
        self.clients = open(&self.folder.path().join("locks.db"), &self.time)
            .expect("the file was opened before");
        true
    }

    fn kept(&self) -> Option<usize> {
        let path = self.folder.path().join("locks.db");
        let only_read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let file = Connection::open_with_flags(path, only_read).expect("the database opens");
        // The rows without a name are the largest fence and version, one of each for the whole file.
        let count =
            "SELECT (SELECT count(*) FROM tenure WHERE name > x'') + (SELECT count(*) FROM waiting)
                          + (SELECT count(*) FROM tomb) + (SELECT count(*) FROM watch)
                          + (SELECT count(*) FROM cell WHERE name > x'')";
        let rows: i64 = file.query_row(count, [], |row| row.get(0)).expect("the rows are counted");
        usize::try_from(rows).ok()
    }
}
