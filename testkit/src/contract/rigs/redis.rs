//! The Redis store on a real server, in a database of its own.
//!
//! The server's clock can't be moved, so the scripts read another one, kept in a key that only the
//! rig moves, and the rig moves the expiry of every other key with it. What is left of real time is
//! the few milliseconds that a case takes: edges to the millisecond are the simulator's to look at.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use leasehold::StoreUrl;
use leasehold::store::redis::{Dialect, NoLuaStore, RedisStore, TcpDial};
use leasehold::store::{Pushed, Store};

use crate::contract::{Inbox, Rig, Seat};
use crate::server::{Flavour, RedisServer, RedisSetup, Reply, Resp};

const CLOCK_KEY: &str = "leasehold:test:clock";
const CLOCK: &str = "(function() local u = tonumber(redis.call('GET', 'leasehold:test:clock')) \
                     return { math.floor(u / 1000000), u % 1000000 } end)()";
/// Moves the clock, and the expiry of all else: in one step, for real time passes between two. Zero or
/// less deletes a key, as the time that passed did.
const PASS: &str = "redis.call('INCRBY', KEYS[1], ARGV[1]) \
    for _, key in ipairs(redis.call('KEYS', '*')) do \
      local left = redis.call('PTTL', key) \
      if left >= 0 then redis.call('PEXPIRE', key, left - ARGV[2]) end \
    end";
/// 2026-01-01, in microseconds since 1970.
const FIRST_WALL_US: i64 = 1_767_225_600_000_000;
const DATABASES: usize = 2000;
const PATIENCE: Duration = Duration::from_secs(20);

/// What the ACL user of a program with locks needs, and nothing else (docs/redis.md). The greeting,
/// HELLO with AUTH and SETNAME, needs no right.
pub const MINIMAL_ACL: &str = "~* resetchannels &leasehold:* -@all +select +ping +subscribe +publish +scan +evalsha +eval +time +get +mget +set +del +pttl +pexpire \
     +exists +hget +hmget +hset +hdel +hincrby +zadd +zrem +zcard +zrange +zrangebyscore +zcount +zscore \
     +zremrangebyscore";

/// The same for a program with `lua=no`, but for how the server deletes.
const NO_LUA_ACL: &str = "~* resetchannels -@all +select +ping +set +pttl +del";

/// How the server is reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Way {
    /// As the default user.
    Plain,
    /// As a user with the fewest rights.
    MinimalAcl,
    /// Without scripts, as a user with the fewest rights for that.
    NoLua,
    /// Over TLS, with a password.
    Tls,
    /// In the layout of this dialect, as a user with the fewest rights for it.
    Dialect(Dialect),
    /// In two layouts, the second of this dialect, as a user with the fewest rights for that.
    Dual(Dialect),
}

/// What a user needs beyond [`MINIMAL_ACL`] for locks of `dialect`.
#[must_use]
pub fn dialect_acl(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Plain | Dialect::Pottery | Dialect::RedisSemaphore => "",
        Dialect::PythonRedisLock => " +lpush",
        Dialect::Redisson => " &redisson_lock__channel:* +hlen +hkeys",
    }
}

impl Way {
    /// What its URL says of the layout.
    fn query(self) -> String {
        match self {
            Self::Plain | Self::MinimalAcl | Self::Tls => String::new(),
            Self::NoLua => "?lua=no".to_owned(),
            Self::Dialect(dialect) => format!("?dialect={dialect}"),
            Self::Dual(second) => format!("?prefix={NEW}&dual={second}"),
        }
    }

    /// Which of the two layouts the lock `key` is in; none for a bell, which ends by itself.
    fn part_of(self, key: &[u8]) -> Option<usize> {
        match self {
            Self::Dialect(Dialect::PythonRedisLock) | Self::Dual(Dialect::PythonRedisLock)
                if key.starts_with(b"lock-signal:") =>
            {
                None
            }
            Self::Dual(_) => Some(usize::from(!key.starts_with(NEW.as_bytes()))),
            _ => Some(0),
        }
    }
}

/// The prefix of the first of two locks.
const NEW: &str = "new:";

/// Two clients of one database of a server.
pub struct RedisRig {
    way: Way,
    server: &'static RedisServer,
    url: String,
    database: usize,
    clients: [Client; 2],
    admin: Mutex<Resp>,
}

struct Client {
    store: Option<Box<dyn Store>>,
    inbox: Arc<Inbox>,
}

type Servers = Mutex<HashMap<(&'static str, Way), Result<&'static RedisServer, String>>>;

/// One server for each kind serves all cases of a test program; it dies with the program.
fn server(flavour: Flavour, way: Way) -> Result<&'static RedisServer, String> {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    let servers = SERVERS.get_or_init(Mutex::default);
    let mut servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
    let start = || {
        let setup = RedisSetup::new(flavour).line(&format!("databases {DATABASES}"));
        let setup = match way {
            Way::Plain => setup,
            Way::MinimalAcl => setup.user("locks", "canary", MINIMAL_ACL),
            Way::NoLua => {
                let delete = if flavour == Flavour::Valkey9 { "+delifeq" } else { "+delex" };
                setup.user("locks", "canary", &format!("{NO_LUA_ACL} {delete}"))
            }
            Way::Tls => setup.tls().password("canary"),
            Way::Dialect(dialect) | Way::Dual(dialect) => {
                setup.user("locks", "canary", &format!("{MINIMAL_ACL}{}", dialect_acl(dialect)))
            }
        };
        RedisServer::start(&setup).map(|server| &*Box::leak(Box::new(server)))
    };
    servers.entry((flavour.name(), way)).or_insert_with(start).clone()
}

impl RedisRig {
    /// A fresh database of a server of `flavour`.
    ///
    /// # Errors
    /// Where there is no such server here.
    pub fn new(flavour: Flavour, way: Way) -> Result<Self, String> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let server = server(flavour, way)?;
        let database = NEXT.fetch_add(1, Ordering::Relaxed) % DATABASES;
        let url = match way {
            Way::Plain => format!("{}/{database}", server.url()),
            Way::MinimalAcl => format!("{}/{database}", server.user_url("locks")),
            Way::NoLua | Way::Dialect(_) | Way::Dual(_) => {
                format!("{}/{database}{}", server.user_url("locks"), way.query())
            }
            Way::Tls => {
                format!("{}/{database}?ca={}", server.tls_url(), server.ca_path().display())
            }
        };
        let mut admin = server.connect(PATIENCE).map_err(|error| error.to_string())?;
        let mut ask = |command: &[&str]| {
            let reply = admin.ask(command).map_err(|error| error.to_string())?;
            if reply.is_error() { Err(format!("{command:?}: {reply:?}")) } else { Ok(reply) }
        };
        ask(&["SELECT", &database.to_string()])?;
        ask(&["FLUSHDB"])?;
        ask(&["SET", CLOCK_KEY, &FIRST_WALL_US.to_string()])?;
        let clients = open(&url)?;
        Ok(Self { way, server, url, database, clients, admin: Mutex::new(admin) })
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &'static RedisServer {
        self.server
    }

    /// The database's number.
    #[must_use]
    pub fn database(&self) -> usize {
        self.database
    }

    fn ask(&self, command: &[&[u8]]) -> Reply {
        let mut admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = admin.ask(command).expect("the server answers");
        assert!(!reply.is_error(), "{reply:?}");
        reply
    }

    fn keys(&self) -> Vec<Vec<u8>> {
        let bytes = |reply: &Reply| match reply {
            Reply::Bulk(bytes) => bytes.clone(),
            other => panic!("not a key: {other:?}"),
        };
        self.ask(&[b"KEYS", b"*"]).list().iter().map(bytes).collect()
    }
}

fn open(url: &str) -> Result<[Client; 2], String> {
    let sys = leasehold::runtime::native_sys().map_err(|error| format!("{error:?}"))?;
    let client = || {
        let url = StoreUrl::parse(url).map_err(|error| format!("{error:?}"))?;
        let StoreUrl::Redis(url) = url else { return Err("not a Redis URL".to_owned()) };
        let mut settings = url.settings();
        settings.clock = Some(CLOCK);
        let (lua, dial) = (settings.lua, Arc::new(TcpDial::new(url)));
        let store: Box<dyn Store> = match lua {
            true => Box::new(RedisStore::new(dial, &sys, settings)),
            false => Box::new(NoLuaStore::new(dial, &sys, settings)),
        };
        let inbox = Arc::<Inbox>::default();
        let pushed: Arc<dyn Pushed> = Arc::clone(&inbox) as _;
        store.subscribe(Arc::downgrade(&pushed));
        Ok(Client { store: Some(store), inbox })
    };
    Ok([client()?, client()?])
}

impl Rig for RedisRig {
    fn store(&self, seat: Seat) -> &dyn Store {
        self.clients[seat as usize].store.as_deref().expect("this client was ended")
    }

    fn inbox(&self, seat: Seat) -> &Inbox {
        &self.clients[seat as usize].inbox
    }

    fn drive(&self, future: Pin<&mut dyn Future<Output = ()>>) {
        leasehold::block_on(future);
    }

    fn advance(&self, span: Duration) {
        let (micros, millis) = (span.as_micros().to_string(), span.as_millis().to_string());
        let passed: [&[u8]; 6] = [
            b"EVAL",
            PASS.as_bytes(),
            b"1",
            CLOCK_KEY.as_bytes(),
            micros.as_bytes(),
            millis.as_bytes(),
        ];
        self.ask(&passed);
    }

    fn tick(&self) -> Duration {
        // Room for the real time that a case takes on a busy machine.
        Duration::from_millis(150)
    }

    fn step_wall(&self, _: i64) -> bool {
        false
    }

    fn set_wall_us(&self, _: u64) -> bool {
        false
    }

    #[allow(clippy::disallowed_methods, reason = "the server tells nobody of a client's end")]
    fn end(&mut self, seat: Seat) {
        let clients = |rig: &Self| {
            let list = rig.ask(&[b"CLIENT", b"LIST"]).text();
            let database = format!(" db={} ", rig.database);
            list.lines().filter(|line| line.contains(&database)).count()
        };
        let before = clients(self);
        self.clients[seat as usize].store = None;
        while clients(self) >= before {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn reopen(&mut self) -> bool {
        for client in &mut self.clients {
            client.store = None;
        }
        self.clients = open(&self.url).expect("the server was reached before");
        true
    }

    fn kept(&self) -> Option<usize> {
        let mut locks = [0, 0];
        let mut beside = |key: &Vec<u8>| match key {
            key if key.starts_with(b"leasehold:{") => {
                match key.split(|byte| *byte == b'}').nth(1).unwrap_or_default() {
                    [b':', b'q' | b'w', b':', ..] | [b':', b'h', b'q' | b'w', b':', ..] => {
                        self.ask(&[b"ZCARD", key]).integer()
                    }
                    // A cell that ended keeps its key for an hour, as a lock its state.
                    [b':', b's' | b'h' | b'c', ..] => 0,
                    _ => panic!("an unknown key {key:?}"),
                }
            }
            key if key == CLOCK_KEY.as_bytes() => 0,
            key => {
                if let Some(part) = self.way.part_of(key) {
                    locks[part] += 1;
                }
                0
            }
        };
        let beside: i64 = self.keys().iter().map(&mut beside).sum();
        if matches!(self.way, Way::Dual(_)) {
            assert_eq!(locks[0], locks[1], "half a lock is left");
        }
        Some(locks[0] + usize::try_from(beside).expect("a count"))
    }
}
