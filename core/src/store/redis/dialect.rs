//! The layouts of other libraries, so that their clients and ours exclude each other and wake each
//! other.
//!
//! The trap is the key: each library has its own way from a name to a key, so a dialect knows its
//! prefix. Most lock with SET NX on the key itself and are [`Dialect::Plain`].

use std::fmt;

use crate::{Error, Result};

/// Whose layout the locks have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Dialect {
    /// A string at the lock's name: redis-py, redsync, node-redlock, rslock and most others.
    #[default]
    Plain,
    /// The string is at `lock:NAME`; a release also rings `lock-signal:NAME`.
    PythonRedisLock,
    /// The string is at `redlock:NAME`.
    Pottery,
    /// The string is at `mutex:NAME`.
    RedisSemaphore,
    /// `RLock`: a hash at the lock's name; a release also publishes in its channel.
    Redisson,
}

/// What the scripts do to the lock's own key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Layout {
    Text,
    Signal,
    Hash,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Plain, Self::PythonRedisLock, Self::Pottery, Self::RedisSemaphore, Self::Redisson];

    /// What it is called in a URL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::PythonRedisLock => "python-redis-lock",
            Self::Pottery => "pottery",
            Self::RedisSemaphore => "redis-semaphore",
            Self::Redisson => "redisson",
        }
    }

    /// The dialect called `name`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming those there are.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|dialect| dialect.name() == name);
        found.ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            let name = crate::name::shown(&crate::url::redacted(name));
            Error::invalid(format!("unknown dialect {name} in the Redis URL: there are {all}"))
        })
    }

    /// What comes before the name in the lock's key.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Plain | Self::Redisson => "",
            Self::PythonRedisLock => "lock:",
            Self::Pottery => "redlock:",
            Self::RedisSemaphore => "mutex:",
        }
    }

    /// What comes before the name in the key of the list that a release rings, if it does.
    #[must_use]
    pub fn bell(self) -> Option<&'static str> {
        (self == Self::PythonRedisLock).then_some("lock-signal:")
    }

    pub(super) fn layout(self) -> Layout {
        match self {
            Self::Plain | Self::Pottery | Self::RedisSemaphore => Layout::Text,
            Self::PythonRedisLock => Layout::Signal,
            Self::Redisson => Layout::Hash,
        }
    }

    /// Refuses a `second` lock that would be this one's own: the names under `prefix` and its names
    /// would be the same keys.
    pub(super) fn check_second(self, prefix: &str, second: Self) -> Result<()> {
        if format!("{}{prefix}", self.prefix()) != second.prefix() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "dialect={self} and dual={second} in the Redis URL lock the same key: give the new one \
             a prefix that no name of the old one begins with, such as prefix=leasehold:",
        )))
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
