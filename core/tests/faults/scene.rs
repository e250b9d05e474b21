//! A server, the bad network before it, and two clients: one behind that network, one not.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use leasehold::store::redis::Keys;
use leasehold::sys::{BootClock, BootTime, Clock};
use leasehold::{Client, Lease, LostReason, Name, block_on};
use leasehold_testkit::proxy::{Direction, Fault, Proxy, Which};
use leasehold_testkit::server::{RedisServer, RedisSetup, Reply};

/// A lease whose end is waited for.
pub(super) const SHORT: Duration = Duration::from_millis(1500);
/// A lease that nothing here outlives.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// How much later than it must something may happen on a loaded machine.
pub(super) const SLACK: Duration = Duration::from_secs(2);

/// One test, on a server of its own.
pub(super) struct Test {
    pub(super) name: &'static str,
    pub(super) setup: fn(RedisSetup) -> RedisSetup,
    pub(super) body: fn(&Scene<'_>),
}

/// A test on a server as it comes.
pub(super) const fn test(name: &'static str, body: fn(&Scene<'_>)) -> Test {
    Test { name, setup: std::convert::identity, body }
}

pub(super) struct Scene<'s> {
    pub(super) server: &'s RedisServer,
    pub(super) proxy: Proxy,
    /// Behind the network that fails.
    pub(super) client: Client,
    /// Another program, on a network that doesn't.
    pub(super) other: Client,
}

/// What a holder was told, and when.
pub(super) type Told = Receiver<(LostReason, BootTime)>;

impl<'s> Scene<'s> {
    pub(super) fn new(server: &'s RedisServer, proxy: Proxy) -> Self {
        let client = connect(&proxy.url(&server.url()));
        Self { server, proxy, client, other: connect(&server.url()) }
    }

    /// One more client behind the network.
    pub(super) fn another(&self) -> Client {
        connect(&self.proxy.url(&self.server.url()))
    }

    /// The connections that are end in nothing, and neither side of them hears of it. Others pass.
    pub(super) fn forget_connections(&self) {
        for number in 1..=self.proxy.stats().accepted {
            for direction in Direction::BOTH {
                self.proxy.set(Which::Number(number), direction, Fault::BlackHole);
            }
        }
    }

    /// Has both clients connect and the server learn the scripts, so that what comes next is one
    /// request for each step.
    pub(super) fn warm(&self) {
        for client in [&self.client, &self.other] {
            let lease = client.lock("warm").acquire_blocking().expect("free");
            block_on(lease.extend(LONG)).expect("an answer");
            block_on(lease.release());
        }
    }

    /// Who holds the lock, as the server has it; nothing where it is free.
    pub(super) fn token(&self, name: &str) -> String {
        self.server.admin(&["GET", name]).text()
    }

    /// What the lock has left in the server.
    pub(super) fn left(&self, name: &str) -> Duration {
        let left = self.server.admin(&["PTTL", name]).integer();
        Duration::from_millis(u64::try_from(left).unwrap_or_default())
    }

    /// Whether the server has a queue or tombstones for the lock.
    pub(super) fn has_queue(&self, name: &str) -> bool {
        let keys = Keys::of("", &Name::new(name).expect("a name"));
        let queue = String::from_utf8(keys.queue).expect("text");
        self.server.admin(&["EXISTS", &queue]) == Reply::Integer(1)
    }

    /// Another library takes the lock, as those do that know nothing but its key.
    pub(super) fn strangers(&self, name: &str) {
        let set = self.server.admin(&["SET", name, "theirs", "NX", "PX", "60000"]);
        assert_eq!(set, Reply::Status("OK".to_owned()));
    }

    /// Waits until so many wait for the lock.
    pub(super) fn await_waiting(&self, name: &str, count: u64) {
        self.await_view(name, &format!("has {count} waiters"), |view| view.waiting == count);
    }

    /// Waits until nobody holds it or waits for it.
    pub(super) fn await_free(&self, name: &str) {
        self.await_view(name, "free", |view| view.holder.is_none() && view.waiting == 0);
    }

    fn await_view(
        &self,
        name: &str,
        what: &str,
        done: impl Fn(&leasehold::store::LockView) -> bool,
    ) {
        eventually(&format!("lock {name} is {what}"), || {
            done(&block_on(self.other.inspect(name)).expect("a view"))
        });
    }

    /// That the lock can be had now, by a program on a good network.
    pub(super) fn assert_free(&self, name: &str) {
        let lease = block_on(self.other.lock(name).try_acquire()).expect("an answer");
        let lease = lease.unwrap_or_else(|| panic!("lock {name} is still held"));
        block_on(lease.release());
    }
}

/// A client that shares no connection with another.
pub(super) fn connect(url: &str) -> Client {
    Client::connect(url).expect("a client")
}

pub(super) fn now() -> BootTime {
    BootClock.now()
}

/// Where the news of a loss arrives.
pub(super) fn told(lease: &Lease) -> Told {
    let (tell, told) = channel();
    lease.on_lost(move |reason| {
        let _ = tell.send((reason, now()));
    });
    told
}

/// The reason of a loss that must come, and when it came.
pub(super) fn hear(told: &Told) -> (LostReason, BootTime) {
    told.recv_timeout(LONG).expect("told of the loss")
}

/// Looks at the lease until it is over; the end of its belief, as it last said it.
pub(super) fn watch_end(lease: &Lease) -> BootTime {
    let mut deadline = now();
    loop {
        let (before, left) = (now(), lease.remaining());
        if left.is_zero() {
            assert!(!lease.is_held());
            return deadline;
        }
        deadline = deadline.max(before + left);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until `done`. Polls, for what has no event.
pub(super) fn eventually(what: &str, done: impl Fn() -> bool) {
    let patience = now() + LONG;
    while !done() {
        assert!(now() < patience, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says what was seen.
pub(super) fn report(what: &str) {
    println!("    {what}");
}
