//! Clients of one store, processes beside them, and what requests leave in it.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leasehold::runtime::Runtime;
use leasehold::store::memory::{MemoryStore, Shared};
use leasehold::{AskBack, AskedBack, Client, ClientOptions, Lease, Result, Returned};
use leasehold_testkit::server::RedisServer;
use leasehold_testkit::{Process, program};
use rusqlite::Connection;
use tokio::task::JoinHandle;

/// Far longer than any case.
pub(crate) const LONG: Duration = Duration::from_secs(300);
/// A grace that is waited for to its end.
pub(crate) const SHORT: Duration = Duration::from_millis(400);
/// The lease of a holder whose watches are to end soon.
pub(crate) const TTL: Duration = Duration::from_secs(3);
/// With what the cells of requests begin.
const CELL: &str = "leasehold:ask-back:";

pub(crate) struct Scene {
    pub(crate) clients: [Client; 3],
    /// Empty for the memory store, which is not shared by a URL.
    pub(crate) url: String,
    store: Store,
}

enum Store {
    Memory(Arc<Shared>),
    Sqlite(Mutex<Connection>),
    Redis(Mutex<leasehold_testkit::server::Resp>),
}

impl Scene {
    pub(crate) fn on_memory() -> Self {
        let shared = Arc::<Shared>::default();
        let clients = [(); 3]
            .map(|()| Client::over(memory(&shared), ClientOptions::default()).expect("a client"));
        Self { clients, url: String::new(), store: Store::Memory(shared) }
    }

    pub(crate) fn on_sqlite(folder: &Path) -> Self {
        let path = folder.join("locks.db");
        let scene = |store| Self::at(format!("sqlite://{}", path.display()), store);
        // So that the file is there.
        let opened = Client::connect(&format!("sqlite://{}", path.display())).expect("a client");
        leasehold::block_on(opened.ping()).expect("a database");
        scene(Store::Sqlite(Mutex::new(Connection::open(&path).expect("a database"))))
    }

    pub(crate) fn on_redis(server: &RedisServer) -> Self {
        let admin = server.connect(Duration::from_secs(30)).expect("a connection");
        Self::at(server.url(), Store::Redis(Mutex::new(admin)))
    }

    fn at(url: String, store: Store) -> Self {
        let clients = [(); 3].map(|()| Client::connect(&url).expect("a client"));
        Self { clients, url, store }
    }

    /// A client of the same store in a runtime of its own, whose end waits for no other test's leases.
    pub(crate) fn alone(&self) -> Client {
        self.with(ClientOptions { runtime: Some(runtime()), ..ClientOptions::default() })
    }

    /// A client of the same store with options of its own.
    pub(crate) fn with(&self, options: ClientOptions) -> Client {
        match &self.store {
            Store::Memory(shared) => Client::over(memory(shared), options),
            _ => Client::with(&self.url, options),
        }
        .expect("a client")
    }

    /// A process that holds the lock: see testkit's `holder`.
    pub(crate) fn holder(&self, name: &str) -> Process {
        self.holder_for(name, "60000")
    }

    /// The same, with a lease of so many milliseconds.
    pub(crate) fn holder_for(&self, name: &str, ttl: &str) -> Process {
        let mut command = Command::new(program("leasehold-testkit", "holder"));
        Process::start(command.args([&self.url, name, ttl]))
    }

    /// The lock, held by the first client.
    pub(crate) async fn held(&self, name: &str) -> Lease {
        self.clients[0].lock(name).ttl(TTL).await.expect("granted")
    }

    /// Waits until nothing is left of requests and of those who listen for them: what ends by time,
    /// ends within seconds. (On Redis a cell that ended keeps a key without a value for an hour, so that
    /// versions grow.)
    pub(crate) async fn nothing_left(&self) {
        let patience = Instant::now() + Duration::from_secs(30);
        loop {
            if let Store::Sqlite(_) = &self.store {
                // Any write of a cell sweeps what ended.
                let nudge = self.clients[2].latch("nudge", u64::MAX);
                nudge.count_down(1).await.expect("an answer");
            }
            let left = self.left();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < patience, "this is left: {left:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn left(&self) -> Vec<String> {
        match &self.store {
            Store::Memory(shared) => {
                let (cells, watches) = memory(shared).cells_kept();
                (0..cells + watches).map(|_| "a cell or a watch".to_owned()).collect()
            }
            Store::Sqlite(database) => {
                let database = database.lock().expect("no panic");
                let query = "SELECT CAST(name AS TEXT) AS it FROM cell WHERE it LIKE ?1
                   UNION ALL SELECT CAST(name AS TEXT) AS it FROM watch WHERE it LIKE ?1";
                let mut rows = database.prepare(query).expect("a query");
                let found = rows.query_map([format!("{CELL}%")], |row| row.get(0));
                found.expect("an answer").map(|row| row.expect("a row")).collect()
            }
            Store::Redis(admin) => {
                let mut admin = admin.lock().expect("no panic");
                let mut ask = |command: &[&str]| admin.ask(command).expect("an answer");
                let cells = ask(&["KEYS", &format!("leasehold:{{*}}:c:{CELL}*")]);
                let watches = ask(&["KEYS", &format!("leasehold:{{*}}:w:{CELL}*")]);
                let cells = cells.list().iter().map(leasehold_testkit::server::Reply::text);
                let cells: Vec<String> = cells
                    .filter(|cell| {
                        assert!(ask(&["PTTL", cell]).integer() > 0, "{cell} is kept for ever");
                        let till = ask(&["GETRANGE", cell, "16", "31"]).text();
                        let now = ask(&["TIME"]).list()[0].text();
                        till.parse::<u64>().expect("ms") / 1000 > now.parse().expect("seconds")
                    })
                    .collect();
                let watches = watches.list().iter().map(leasehold_testkit::server::Reply::text);
                cells.into_iter().chain(watches).collect()
            }
        }
    }
}

/// A runtime that nobody else uses.
pub(crate) fn runtime() -> Arc<Runtime> {
    Arc::new(Runtime::new(leasehold::runtime::native_sys().expect("a system")))
}

fn memory(shared: &Arc<Shared>) -> Arc<MemoryStore> {
    let sys = leasehold::runtime::native_sys().expect("a system");
    Arc::new(MemoryStore::new(Arc::clone(shared), sys.clock()))
}

/// A request with this grace.
pub(crate) fn ask(grace: Duration) -> AskBack {
    AskBack { why: "it is needed".to_owned(), grace, fence: None }
}

/// The request of `client`, on its way.
pub(crate) fn asking(client: &Client, name: &str, grace: Duration) -> JoinHandle<Result<Returned>> {
    let (client, name) = (client.clone(), name.to_owned());
    tokio::spawn(async move { client.ask_back(&name, &ask(grace)).await })
}

/// The next request that `lease` hears of.
pub(crate) async fn heard(lease: &Lease) -> AskedBack {
    lease.asked_back().await.expect("an answer").expect("it is held")
}

/// That `lease` hears of none for longer than the look of a holder takes whose push was lost.
pub(crate) async fn hears_nothing(lease: &Lease) {
    let heard = tokio::time::timeout(TTL / 2, lease.asked_back()).await;
    assert!(heard.is_err(), "{heard:?}");
}

/// Waits for a process's line on a thread that may block.
pub(crate) async fn line(process: Process, prefix: &'static str) -> (Process, String) {
    tokio::task::spawn_blocking(move || {
        let rest = process.wait_for(prefix);
        (process, rest)
    })
    .await
    .expect("the line came")
}

/// The seed of a random test: printed, and taken from the environment where it is given.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("LEASEHOLD_SEED").ok().and_then(|text| text.parse().ok());
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = given.unwrap_or_else(|| clock.unwrap_or_default().as_nanos() as u64);
    println!("seed {seed}; play it again with LEASEHOLD_SEED={seed}");
    seed
}
