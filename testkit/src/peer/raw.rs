//! A holder without any library: the bare commands that a layout comes down to. What a peer proves
//! against it holds for whoever writes the same.

use std::time::Duration;

use super::{Layout, Library, Wakes};
use crate::server::{RedisServer, Reply};

const TAKE_HASH: &str = "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end \
    redis.call('HSET', KEYS[1], ARGV[1], 1) redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1";
const GIVE_TEXT: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
    return redis.call('DEL', KEYS[1])";
const GIVE_HASH: &str = "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end \
    return redis.call('DEL', KEYS[1])";

/// A holder of what `library` calls `name`.
#[derive(Debug)]
pub struct Raw<'s> {
    server: &'s RedisServer,
    library: &'static Library,
    name: &'s str,
    key: String,
    token: String,
}

impl<'s> Raw<'s> {
    /// One that calls itself `token`, and doesn't hold the lock yet.
    #[must_use]
    pub fn new(
        server: &'s RedisServer,
        library: &'static Library,
        name: &'s str,
        token: &str,
    ) -> Self {
        Self { server, library, name, key: library.key(name), token: token.to_owned() }
    }

    /// Tries once.
    ///
    /// # Panics
    /// Where the server doesn't answer.
    #[must_use]
    pub fn take(&self, ttl: Duration) -> bool {
        let ttl = ttl.as_millis().to_string();
        let (key, token) = (self.key.as_str(), self.token.as_str());
        match self.library.layout {
            Layout::Text => {
                let reply = self.server.admin(&["SET", key, token, "NX", "PX", &ttl]);
                assert!(!reply.is_error(), "{reply:?}");
                reply != Reply::Nil
            }
            Layout::Hash => {
                self.server.admin(&["EVAL", TAKE_HASH, "1", key, token, &ttl]).integer() == 1
            }
        }
    }

    /// Whether it holds the lock, by the server's word.
    ///
    /// # Panics
    /// Where the server doesn't answer.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.library.layout {
            Layout::Text => self.server.admin(&["GET", &self.key]).text() == self.token,
            Layout::Hash => self.server.admin(&["HEXISTS", &self.key, &self.token]).integer() == 1,
        }
    }

    /// Gives the lock back, and tells nobody. Whether it was its own.
    ///
    /// # Panics
    /// Where the server doesn't answer.
    pub fn give_back(&self) -> bool {
        let script = match self.library.layout {
            Layout::Text => GIVE_TEXT,
            Layout::Hash => GIVE_HASH,
        };
        self.server.admin(&["EVAL", script, "1", &self.key, &self.token]).integer() == 1
    }

    /// Tells the library's waiters that the lock is free, as its own holders do.
    ///
    /// # Panics
    /// Where the server doesn't answer.
    pub fn call(&self) {
        let Some(bell) = self.library.bell(self.name) else { return };
        let reply = match self.library.wakes {
            Wakes::Channel(_) => self.server.admin(&["PUBLISH", &bell, "0"]),
            Wakes::List(_) => self.server.admin(&["LPUSH", &bell, "1"]),
            Wakes::Poll(_) => unreachable!("who polls has no bell"),
        };
        assert!(!reply.is_error(), "{reply:?}");
    }
}
