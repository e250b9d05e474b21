//! One server with its connections: handshake, subscriptions, scripts and transactions.
//!
//! It is given whole requests one at a time, as a real server with one thread is, and answers what
//! is to be written to which connection, in order. The trap: what a script publishes to its own
//! caller's connection comes before the script's reply up to Redis 7.0 and after it since 7.2.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::engine::{Engine, int, wrong_count};
use super::{Reply, engine, lua};

/// A server.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Its data.
    pub engine: Engine,
    /// Whether a push to the connection that caused it waits for the reply.
    pub push_after_reply: bool,
    /// The password of its default user, if it wants one.
    pub password: Option<Vec<u8>>,
    connections: BTreeMap<u64, Connection>,
    last_id: u64,
}

#[derive(Clone, Debug)]
struct Connection {
    resp: u8,
    name: Vec<u8>,
    authenticated: bool,
    channels: BTreeSet<Vec<u8>>,
    queued: Option<Vec<Vec<Vec<u8>>>>,
    aborted: bool,
}

/// What is to be written to a connection.
pub type Output = (u64, Vec<u8>);

impl Server {
    /// A new connection.
    pub fn connect(&mut self) -> u64 {
        self.last_id += 1;
        let connection = Connection {
            resp: 2,
            name: Vec::new(),
            authenticated: self.password.is_none(),
            channels: BTreeSet::new(),
            queued: None,
            aborted: false,
        };
        self.connections.insert(self.last_id, connection);
        self.last_id
    }

    /// A connection is gone.
    pub fn disconnect(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        for channel in connection.channels {
            self.leave(id, &channel);
        }
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The process ended: connections and scripts are gone, and the data too unless it is `kept`.
    pub fn crash(&mut self, kept: bool) {
        self.connections.clear();
        self.engine.channels.clear();
        self.engine.scripts.clear();
        if !kept {
            self.engine.db.clear();
        }
    }

    /// Runs one request of a connection.
    pub fn request(&mut self, id: u64, args: &[Vec<u8>]) -> Vec<Output> {
        let replies = self.execute(id, args);
        let resp = self.connections.get(&id).map_or(2, |connection| connection.resp);
        let mut own = Vec::new();
        replies.iter().for_each(|reply| reply.encode(resp, &mut own));
        let mut outputs = Vec::new();
        for (to, channel, payload) in std::mem::take(&mut self.engine.outbox) {
            let Some(listener) = self.connections.get(&to) else { continue };
            let mut bytes = Vec::new();
            let message = [Reply::bulk("message"), Reply::Bulk(channel), Reply::Bulk(payload)];
            Reply::Push(message.to_vec()).encode(listener.resp, &mut bytes);
            outputs.push((to, bytes));
        }
        let at = if self.push_after_reply { 0 } else { outputs.len() };
        outputs.insert(at, (id, own));
        outputs
    }

    fn execute(&mut self, id: u64, args: &[Vec<u8>]) -> Vec<Reply> {
        let Some(name) = args.first() else { return Vec::new() };
        let name = name.to_ascii_lowercase();
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        if !connection.authenticated && !matches!(name.as_slice(), b"hello" | b"auth" | b"quit") {
            return vec![Reply::error("NOAUTH Authentication required.")];
        }
        if connection.resp == 2
            && !connection.channels.is_empty()
            && !matches!(name.as_slice(), b"subscribe" | b"unsubscribe" | b"ping" | b"quit")
        {
            let name = String::from_utf8_lossy(&name);
            return vec![Reply::error(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
            ))];
        }
        if let Some(queued) = &mut connection.queued
            && !matches!(name.as_slice(), b"exec" | b"discard" | b"multi")
        {
            if let Some(command) = engine::find(&name)
                && let Err(error) = engine::check_arity(command, args.len())
            {
                connection.aborted = true;
                return vec![error];
            }
            queued.push(args.to_vec());
            return vec![Reply::Status(b"QUEUED".to_vec())];
        }
        match name.as_slice() {
            b"subscribe" if args.len() > 1 => {
                args[1..].iter().map(|channel| self.subscribe(id, channel)).collect()
            }
            b"unsubscribe" => self.unsubscribe(id, &args[1..]),
            b"exec" => vec![self.exec(id)],
            _ => vec![self.one(id, &name, args)],
        }
    }

    fn one(&mut self, id: u64, name: &[u8], args: &[Vec<u8>]) -> Reply {
        match name {
            b"hello" => self.hello(id, args),
            b"auth" if args.len() < 2 => wrong_count("auth"),
            b"auth" => match self.authenticate(id, args.last()) {
                Ok(()) => Reply::ok(),
                Err(error) => error,
            },
            b"client" => self.client(id, args),
            b"select" => match args {
                [_, number] if number == b"0" => Reply::ok(),
                [_, _] => Reply::error("ERR DB index is out of range"),
                _ => wrong_count("select"),
            },
            b"eval" if args.len() >= 3 => self.eval(args),
            b"evalsha" if args.len() >= 3 => self.evalsha(args),
            b"eval" => wrong_count("eval"),
            b"evalsha" => wrong_count("evalsha"),
            b"script" => self.script(args),
            b"multi" => self.multi(id),
            b"discard" => self.discard(id),
            b"subscribe" => wrong_count("subscribe"),
            b"quit" => Reply::ok(),
            b"info" => Reply::bulk(
                "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n\
                 # Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\
                 # Replication\r\nrole:master\r\n",
            ),
            _ => self.engine.call(args),
        }
    }

    fn hello(&mut self, id: u64, args: &[Vec<u8>]) -> Reply {
        let mut resp = self.connections.get(&id).map_or(2, |connection| connection.resp);
        if let Some(version) = args.get(1) {
            resp = match version.as_slice() {
                b"2" => 2,
                b"3" => 3,
                other if super::number::int(other).is_none() => {
                    return Reply::error("ERR Protocol version is not an integer or out of range");
                }
                _ => return Reply::error("NOPROTO unsupported protocol version"),
            };
        }
        let mut at = 2;
        let mut name = None;
        while let Some(word) = args.get(at) {
            match word.to_ascii_uppercase().as_slice() {
                b"AUTH" if args.len() > at + 2 => {
                    if let Err(error) = self.authenticate(id, args.get(at + 2)) {
                        return error;
                    }
                    at += 3;
                }
                b"SETNAME" if args.len() > at + 1 => {
                    name = args.get(at + 1).cloned();
                    at += 2;
                }
                _ => {
                    let word = String::from_utf8_lossy(word);
                    return Reply::error(format!("ERR Syntax error in HELLO option '{word}'"));
                }
            }
        }
        let Some(connection) = self.connections.get_mut(&id) else { return Reply::Null };
        if !connection.authenticated {
            return Reply::error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
            );
        }
        connection.resp = resp;
        if let Some(name) = name {
            connection.name = name;
        }
        let text = |text: &str| Reply::bulk(text);
        Reply::Map(vec![
            (text("server"), text("redis")),
            (text("version"), text("7.0.15")),
            (text("proto"), Reply::Int(resp.into())),
            (text("id"), Reply::Int(i64::try_from(id).unwrap_or(i64::MAX))),
            (text("mode"), text("standalone")),
            (text("role"), text("master")),
            (text("modules"), Reply::Array(Vec::new())),
        ])
    }

    fn authenticate(&mut self, id: u64, password: Option<&Vec<u8>>) -> Result<(), Reply> {
        if self.password.is_some() && password != self.password.as_ref() {
            return Err(Reply::error(
                "WRONGPASS invalid username-password pair or user is disabled.",
            ));
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.authenticated = true;
        }
        Ok(())
    }

    fn client(&mut self, id: u64, args: &[Vec<u8>]) -> Reply {
        let Some(connection) = self.connections.get_mut(&id) else { return Reply::Null };
        let Some(word) = args.get(1) else { return wrong_count("client") };
        match (word.to_ascii_uppercase().as_slice(), args.len()) {
            (b"ID", 2) => Reply::Int(i64::try_from(id).unwrap_or(i64::MAX)),
            (b"SETNAME", 3) => {
                connection.name.clone_from(&args[2]);
                Reply::ok()
            }
            (b"GETNAME", 2) if connection.name.is_empty() => Reply::Null,
            (b"GETNAME", 2) => Reply::Bulk(connection.name.clone()),
            (b"NO-EVICT", 3) => Reply::ok(),
            _ => {
                let word = String::from_utf8_lossy(word);
                Reply::error(format!("ERR unknown subcommand '{word}'. Try CLIENT HELP."))
            }
        }
    }

    fn subscribe(&mut self, id: u64, channel: &[u8]) -> Reply {
        let Some(connection) = self.connections.get_mut(&id) else { return Reply::Null };
        connection.channels.insert(channel.to_vec());
        self.engine.channels.entry(channel.to_vec()).or_default().insert(id);
        Reply::Push(vec![
            Reply::bulk("subscribe"),
            Reply::bulk(channel),
            engine::count(connection.channels.len()),
        ])
    }

    fn unsubscribe(&mut self, id: u64, channels: &[Vec<u8>]) -> Vec<Reply> {
        let Some(connection) = self.connections.get(&id) else { return Vec::new() };
        let all: Vec<Vec<u8>> = if channels.is_empty() {
            connection.channels.iter().cloned().collect()
        } else {
            channels.to_vec()
        };
        let gone = |channel: Reply, left: usize| {
            Reply::Push(vec![Reply::bulk("unsubscribe"), channel, engine::count(left)])
        };
        if all.is_empty() {
            return vec![gone(Reply::Null, 0)];
        }
        let mut replies = Vec::new();
        for channel in all {
            self.leave(id, &channel);
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            connection.channels.remove(&channel);
            replies.push(gone(Reply::Bulk(channel), connection.channels.len()));
        }
        replies
    }

    fn leave(&mut self, id: u64, channel: &[u8]) {
        if let Some(listeners) = self.engine.channels.get_mut(channel) {
            listeners.remove(&id);
            if listeners.is_empty() {
                self.engine.channels.remove(channel);
            }
        }
    }

    fn eval(&mut self, args: &[Vec<u8>]) -> Reply {
        let sha = lua::sha1hex(&args[1]);
        let script: Arc<[u8]> = args[1].as_slice().into();
        match self.run(&script, &sha, args) {
            Ok(reply) => {
                self.engine.scripts.insert(sha, script);
                reply
            }
            Err(error) => error,
        }
    }

    fn evalsha(&mut self, args: &[Vec<u8>]) -> Reply {
        let sha = args[1].to_ascii_lowercase();
        let Some(script) = self.engine.scripts.get(&sha).cloned() else {
            return Reply::error("NOSCRIPT No matching script. Please use EVAL.");
        };
        self.run(&script, &sha, args).unwrap_or_else(|error| error)
    }

    /// `Err` where the script did not even start.
    fn run(&mut self, script: &[u8], sha: &[u8], args: &[Vec<u8>]) -> Result<Reply, Reply> {
        let keys = int(&args[2])?;
        let Ok(keys) = usize::try_from(keys) else {
            return Err(Reply::error("ERR Number of keys can't be negative"));
        };
        if keys > args.len() - 3 {
            return Err(Reply::error("ERR Number of keys can't be greater than number of args"));
        }
        lua::check(script, sha)?;
        let (keys, argv) = args[3..].split_at(keys);
        Ok(lua::run(&mut self.engine, script, sha, keys, argv))
    }

    fn script(&mut self, args: &[Vec<u8>]) -> Reply {
        let Some(word) = args.get(1) else { return wrong_count("script") };
        match word.to_ascii_uppercase().as_slice() {
            b"LOAD" if args.len() != 3 => wrong_count("script|load"),
            b"EXISTS" if args.len() < 3 => wrong_count("script|exists"),
            b"LOAD" => {
                let sha = lua::sha1hex(&args[2]);
                if let Err(error) = lua::check(&args[2], &sha) {
                    return error;
                }
                self.engine.scripts.insert(sha.clone(), args[2].as_slice().into());
                Reply::Bulk(sha)
            }
            b"EXISTS" => {
                let known =
                    |sha: &Vec<u8>| self.engine.scripts.contains_key(&sha.to_ascii_lowercase());
                Reply::Array(args[2..].iter().map(|sha| Reply::Int(known(sha).into())).collect())
            }
            b"FLUSH" => {
                self.engine.scripts.clear();
                Reply::ok()
            }
            _ => {
                let word = String::from_utf8_lossy(word);
                Reply::error(format!("ERR unknown subcommand '{word}'. Try SCRIPT HELP."))
            }
        }
    }

    fn multi(&mut self, id: u64) -> Reply {
        let Some(connection) = self.connections.get_mut(&id) else { return Reply::Null };
        if connection.queued.is_some() {
            return Reply::error("ERR MULTI calls can not be nested");
        }
        (connection.queued, connection.aborted) = (Some(Vec::new()), false);
        Reply::ok()
    }

    fn discard(&mut self, id: u64) -> Reply {
        let queued = self.connections.get_mut(&id).and_then(|all| all.queued.take());
        queued.map_or_else(|| Reply::error("ERR DISCARD without MULTI"), |_| Reply::ok())
    }

    fn exec(&mut self, id: u64) -> Reply {
        let Some(connection) = self.connections.get_mut(&id) else { return Reply::Null };
        let Some(queued) = connection.queued.take() else {
            return Reply::error("ERR EXEC without MULTI");
        };
        if connection.aborted {
            return Reply::error("EXECABORT Transaction discarded because of previous errors.");
        }
        let replies = queued.iter().map(|args| {
            let name = args.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
            self.one(id, &name, args)
        });
        Reply::Array(replies.collect())
    }
}
