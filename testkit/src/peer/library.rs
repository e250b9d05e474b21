//! What is known of each library: the key on which it really locks, and how. A test that locks
//! another key than its peer proves nothing, so the table itself is tested (tests/peers.rs).

use std::time::Duration;

use leasehold::store::redis::Dialect;

use super::Peer;

/// What a held lock is in the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// A string with a time to live; its value is the holder's token.
    Text,
    /// Redisson's: a hash with a time to live; a field per holder, its value counts the holds.
    Hash,
}

/// How a waiter of the library learns that the lock is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wakes {
    /// It asks again, after this long at most.
    Poll(Duration),
    /// By an element in the list of this prefix; else at the end of its own time.
    List(&'static str),
    /// By a message in the channel of this prefix; else when the lock would have expired.
    Channel(&'static str),
}

/// A published library.
#[derive(PartialEq, Eq, Debug)]
pub struct Library {
    /// What it is called.
    pub name: &'static str,
    /// The version that is pinned.
    pub version: &'static str,
    pub(super) language: &'static str,
    /// What leasehold calls its way to lock.
    pub dialect: Dialect,
    /// What comes before the name in the key.
    pub prefix: &'static str,
    /// What the key holds.
    pub layout: Layout,
    /// How its waiters wake.
    pub wakes: Wakes,
    /// Times to live are multiples of this.
    pub unit: Duration,
    /// It has locks that never expire.
    pub eternal: bool,
    /// It can extend a lock when asked to.
    pub extends: bool,
    /// It can renew a lock by itself for as long as it is held.
    pub renews: bool,
    /// It says whether a lock that is given back was still its own.
    pub tells: bool,
}

const MILLI: Duration = Duration::from_millis(1);

/// A library that locks the name itself as a string, polls, and knows no renewal: what most do.
const PLAIN: Library = Library {
    name: "",
    version: "",
    language: "",
    dialect: Dialect::Plain,
    prefix: "",
    layout: Layout::Text,
    wakes: Wakes::Poll(Duration::from_millis(300)),
    unit: MILLI,
    eternal: false,
    extends: true,
    renews: false,
    tells: true,
};

/// All of them.
pub static ALL: &[Library] = &[
    Library {
        name: "redis-py",
        version: "8.1.0",
        language: "python",
        wakes: Wakes::Poll(Duration::from_millis(100)),
        eternal: true,
        ..PLAIN
    },
    Library {
        name: "python-redis-lock",
        version: "4.0.1",
        language: "python",
        dialect: Dialect::PythonRedisLock,
        prefix: "lock:",
        wakes: Wakes::List("lock-signal:"),
        unit: Duration::from_secs(1),
        eternal: true,
        renews: true,
        ..PLAIN
    },
    Library {
        name: "pottery",
        version: "3.0.1",
        language: "python",
        dialect: Dialect::Pottery,
        prefix: "redlock:",
        wakes: Wakes::Poll(Duration::from_millis(200)),
        ..PLAIN
    },
    Library {
        name: "redsync",
        version: "4.18.1",
        language: "go",
        wakes: Wakes::Poll(Duration::from_millis(250)),
        ..PLAIN
    },
    Library { name: "node-redlock", version: "5.0.0-beta.2", language: "node", ..PLAIN },
    // What npm calls the latest.
    Library { name: "node-redlock-4", version: "4.2.0", language: "node", ..PLAIN },
    Library {
        name: "redis-semaphore",
        version: "5.8.0",
        language: "node",
        dialect: Dialect::RedisSemaphore,
        prefix: "mutex:",
        wakes: Wakes::Poll(Duration::from_millis(10)),
        extends: false,
        renews: true,
        tells: false,
        ..PLAIN
    },
    Library {
        name: "rslock",
        version: "0.10.0",
        language: "rust",
        wakes: Wakes::Poll(Duration::from_millis(200)),
        tells: false,
        ..PLAIN
    },
    Library {
        name: "redisson",
        version: "4.7.0",
        language: "jvm",
        dialect: Dialect::Redisson,
        layout: Layout::Hash,
        wakes: Wakes::Channel("redisson_lock__channel:"),
        extends: false,
        renews: true,
        ..PLAIN
    },
];

impl Library {
    /// The library of this name.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn of(name: &str) -> &'static Self {
        let found = ALL.iter().find(|library| library.name == name);
        found.unwrap_or_else(|| panic!("no library is called {name}"))
    }

    /// The key that it locks for `name`.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The name with which it locks `key`, where there is one.
    #[must_use]
    pub fn name_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(self.prefix)
    }

    /// The list or channel by which its waiters are told that `name` is free.
    #[must_use]
    pub fn bell(&self, name: &str) -> Option<String> {
        match self.wakes {
            Wakes::Poll(_) => None,
            Wakes::List(prefix) => Some(format!("{prefix}{name}")),
            // So that key and channel are in one slot of a cluster, unless the name saw to that.
            Wakes::Channel(prefix) if name.contains('{') => Some(format!("{prefix}{name}")),
            Wakes::Channel(prefix) => Some(format!("{prefix}{{{name}}}")),
        }
    }

    /// How soon after a release that rings no bell a waiter tries again; none where it may wait
    /// until its own time is over.
    #[must_use]
    pub fn poll(&self) -> Option<Duration> {
        match self.wakes {
            Wakes::Poll(poll) => Some(poll),
            Wakes::List(_) | Wakes::Channel(_) => None,
        }
    }

    /// A process with this library, connected to `url`.
    ///
    /// # Errors
    /// Where the library can't be had on this machine, with the reason.
    ///
    /// # Panics
    /// Where it can be had, but doesn't start.
    pub fn start(&'static self, url: &str) -> Result<Peer, String> {
        Peer::start(self, url)
    }
}
