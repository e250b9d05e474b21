//! What happens in the server, as it happens: so that a test waits for a peer's try or for an
//! expiry, and never for a time that should be enough.

use std::time::Duration;

use super::{Library, Wakes};
use crate::server::{RedisServer, Reply, Resp};

/// What takes this long doesn't happen.
const HANG: Duration = Duration::from_secs(120);

/// A stream of what happens in a server.
#[derive(Debug)]
pub struct Watch(Resp);

impl Watch {
    /// The commands that all clients send from now on.
    ///
    /// # Panics
    /// Where the server doesn't answer.
    #[must_use]
    pub fn commands(server: &RedisServer) -> Self {
        Self::open(server, &["MONITOR"])
    }

    /// The keys that expire from now on. Changes the server's configuration for that.
    ///
    /// # Panics
    /// Where the server doesn't answer.
    #[must_use]
    pub fn expiries(server: &RedisServer) -> Self {
        let told = server.admin(&["CONFIG", "SET", "notify-keyspace-events", "Ex"]);
        assert_eq!(told.text(), "OK");
        Self::open(server, &["SUBSCRIBE", "__keyevent@0__:expired"])
    }

    fn open(server: &RedisServer, command: &[&str]) -> Self {
        let mut resp = server.connect(HANG).expect("a connection");
        let answer = resp.ask(command).expect("an answer");
        assert!(!answer.is_error(), "{answer:?}");
        Self(resp)
    }

    /// Waits for the next command that `is_it` accepts, as MONITOR writes it.
    ///
    /// # Panics
    /// Where none comes.
    pub fn command(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.next().text();
            if is_it(&line) {
                return line;
            }
        }
    }

    /// Waits until a client of `library` was refused the lock `name` and waits for it.
    ///
    /// # Panics
    /// Where none does.
    pub fn waiter(&mut self, library: &Library, name: &str) {
        let key = library.key(name);
        let sends = |command: &'static str| {
            let key = key.clone();
            move |line: &str| line.to_ascii_uppercase().contains(command) && line.contains(&key)
        };
        match library.wakes {
            Wakes::Poll(_) => drop(self.command(|line| line.contains(&key))),
            Wakes::List(_) => drop(self.command(|line| line.to_uppercase().contains("\"BLPOP\""))),
            Wakes::Channel(_) => {
                // Between the two the lock may have become free unheard, so it looks again.
                self.command(sends("SUBSCRIBE\""));
                self.command(sends("\"EVAL"));
            }
        }
    }

    /// Waits until `key` expires.
    ///
    /// # Panics
    /// Where it doesn't.
    pub fn expiry(&mut self, key: &str) {
        while self.next().list().last().map(Reply::text).as_deref() != Some(key) {}
    }

    fn next(&mut self) -> Reply {
        self.0.read().expect("it happens")
    }
}
