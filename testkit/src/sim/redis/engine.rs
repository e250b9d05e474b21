//! One server's data and the commands on it, apart from connections: what a script can call.
//!
//! The trap: a command either changes things as the real server does or answers the real server's
//! error. What is not built here is an unknown command, never a quiet no-op. A differential test
//! holds all of it to a real server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Db, Reply, commands};

/// The keys, the clock, the subscriptions and the known scripts of one server.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    /// The keys.
    pub db: Db,
    /// The server's wall clock in µs since 1970. It stands still while a command or script runs.
    pub now_us: i64,
    /// Who listens: connections by channel.
    pub channels: BTreeMap<Vec<u8>, BTreeSet<u64>>,
    /// Messages published by the running command, in order: to whom, channel, payload.
    pub outbox: Vec<(u64, Vec<u8>, Vec<u8>)>,
    /// Scripts by the hex of their SHA-1.
    pub scripts: BTreeMap<Vec<u8>, Arc<[u8]>>,
}

/// A command's work on the data.
pub type Work = fn(&mut Engine, &[Vec<u8>]) -> Result<Reply, Reply>;

/// One command.
pub struct Command {
    /// In lower case.
    pub name: &'static str,
    /// How many words, its name included; negative: at least that many.
    pub arity: i32,
    /// What it does.
    pub work: Work,
}

impl Engine {
    /// The clock in ms, as expiry counts.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_us.div_euclid(1000)
    }

    /// Runs one command on the data.
    pub fn call(&mut self, args: &[Vec<u8>]) -> Reply {
        let Some(command) = args.first().and_then(|name| find(name)) else {
            return unknown(args);
        };
        if let Err(error) = check_arity(command, args.len()) {
            return error;
        }
        (command.work)(self, args).unwrap_or_else(|error| error)
    }

    /// Sends `payload` to those who listen; how many.
    pub fn publish(&mut self, channel: &[u8], payload: &[u8]) -> i64 {
        let Some(listeners) = self.channels.get(channel) else { return 0 };
        let message = |to: &u64| (*to, channel.to_vec(), payload.to_vec());
        self.outbox.extend(listeners.iter().map(message));
        i64::try_from(listeners.len()).unwrap_or(i64::MAX)
    }
}

/// The command of that name, in any case.
#[must_use]
pub(super) fn find(name: &[u8]) -> Option<&'static Command> {
    commands::ALL
        .iter()
        .flat_map(|group| group.iter())
        .find(|command| command.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The error for a wrong number of words.
///
/// # Errors
/// That one.
pub(super) fn check_arity(command: &Command, count: usize) -> Result<(), Reply> {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let fits = if command.arity < 0 { count >= -command.arity } else { count == command.arity };
    if fits { Ok(()) } else { Err(wrong_count(command.name)) }
}

/// The error for a wrong number of words to the command `name`.
#[must_use]
pub(super) fn wrong_count(name: &str) -> Reply {
    Reply::error(format!("ERR wrong number of arguments for '{name}' command"))
}

fn unknown(args: &[Vec<u8>]) -> Reply {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let name = args.first().map(text).unwrap_or_default();
    let rest: String = args.iter().skip(1).map(|arg| format!("'{}' ", text(arg))).collect();
    Reply::error(format!("ERR unknown command '{name}', with args beginning with: {rest}"))
}

/// The error for words that are no options.
#[must_use]
pub(super) fn syntax() -> Reply {
    Reply::error("ERR syntax error")
}

/// A whole number among the words.
///
/// # Errors
/// The server's, for what is none.
pub(super) fn int(text: &[u8]) -> Result<i64, Reply> {
    super::number::int(text)
        .ok_or_else(|| Reply::error("ERR value is not an integer or out of range"))
}

/// A score among the words.
///
/// # Errors
/// The server's, for what is none.
pub(super) fn double(text: &[u8]) -> Result<f64, Reply> {
    super::number::double(text).ok_or_else(|| Reply::error("ERR value is not a valid float"))
}

/// A count as a reply.
#[must_use]
pub(super) fn count(number: usize) -> Reply {
    Reply::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
