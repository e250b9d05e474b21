//! What several test files share: a client in virtual time, and questions about a lock.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leasehold::runtime::Runtime;
use leasehold::store::{HolderView, LockView};
use leasehold::{Client, ClientOptions, block_on};
use leasehold_testkit::World;

/// Two clients of one memory store in virtual time. Each has a runtime of its own, as two processes
/// would.
pub struct Stage {
    pub world: World,
    pub client: Client,
    pub other: Client,
}

impl Stage {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (world, url) = (World::new(number), format!("memory://stage-{number}"));
        let client = || Self::client(&world, &url, ClientOptions::default());
        let (client, other) = (client(), client());
        Self { world, client, other }
    }

    fn client(world: &World, url: &str, options: ClientOptions) -> Client {
        let runtime = Some(Arc::new(Runtime::new(world.sys())));
        Client::with(url, ClientOptions { runtime, ..options }).expect("a client")
    }

    /// One more client, with options.
    pub fn with(&self, options: ClientOptions) -> Client {
        let url = self.client.url().expect("it has one").to_string();
        Self::client(&self.world, &url, options)
    }

    pub fn view(&self, name: &str) -> LockView {
        self.world.settle();
        self.world.run(self.other.inspect(name)).expect("a view")
    }

    pub fn holder(&self, name: &str) -> Option<HolderView> {
        self.view(name).holder
    }
}

/// Waits until `done` of the lock's view. Polls: what gives a lock back in the background tells
/// nobody.
#[allow(clippy::disallowed_methods, reason = "bounded polling in real time")]
pub fn await_view(client: &Client, name: &str, what: &str, done: impl Fn(&LockView) -> bool) {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let view = block_on(client.inspect(name)).expect("a view");
        if done(&view) {
            return;
        }
        assert!(Instant::now() < patience, "lock {name} is never {what}: {view:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn is_free(view: &LockView) -> bool {
    view.holder.is_none() && view.waiting == 0
}

pub const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

pub const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Waits until `done`. Polls, for what has no event.
#[allow(clippy::disallowed_methods, reason = "bounded polling in real time")]
pub fn eventually(what: &str, done: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < patience, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The seed of a random test: printed, and taken from the environment where it is given.
#[allow(clippy::disallowed_methods, reason = "the wall clock is a good seed")]
pub fn seed() -> u64 {
    let given = std::env::var("LEASEHOLD_SEED").ok().and_then(|text| text.parse().ok());
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = given.unwrap_or_else(|| clock.unwrap_or_default().as_nanos() as u64);
    println!("seed {seed}; play it again with LEASEHOLD_SEED={seed}");
    seed
}
