//! One library and leasehold before one server.

use std::process::Command;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use leasehold::{Client, Lease, block_on};
use leasehold_testkit::oracle::boot_nanos;
use leasehold_testkit::peer::{Layout, Library, Outcome, Peer, Released, Wakes, Want, Watch};
use leasehold_testkit::server::{RedisServer, Reply};
use leasehold_testkit::{Process, program};

/// A lock that nothing here outlives.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// One whose expiry is waited for; some libraries count in seconds.
pub(super) const SHORT: Duration = Duration::from_secs(2);
/// How much later than it must something may happen on a loaded machine.
pub(super) const SLACK: Duration = Duration::from_secs(2);
/// Clocks that count milliseconds, on both sides.
pub(super) const ROUNDING: Duration = Duration::from_millis(20);
pub(super) const NAME: &str = "contended";
/// The prefix of the first of two locks.
pub(super) const NEW: &str = "new:";

/// How leasehold locks what a library locks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// As a string at the library's own key.
    Plain,
    /// In the library's dialect.
    Dialect,
    /// As a string at a key that the library doesn't know, and in its dialect.
    Dual,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Dialect, Self::Dual, Self::Plain];
}

pub(super) struct Scene<'s> {
    pub(super) server: &'s RedisServer,
    pub(super) library: &'static Library,
    pub(super) way: Way,
    /// What the library locks for [`NAME`].
    pub(super) key: String,
    url: String,
    /// What leasehold calls that.
    name: String,
    client: Client,
}

impl<'s> Scene<'s> {
    pub(super) fn new(server: &'s RedisServer, library: &'static Library, way: Way) -> Self {
        let key = library.key(NAME);
        let (name, query) = match way {
            Way::Plain => (key.clone(), String::new()),
            Way::Dialect => (NAME.to_owned(), format!("?dialect={}", library.dialect)),
            Way::Dual => (NAME.to_owned(), format!("?prefix={NEW}&dual={}", library.dialect)),
        };
        let url = server.url() + &query;
        let client = Client::connect(&url).expect("a client");
        Self { server, library, way, key, url, name, client }
    }

    /// Demands that the lock that the library doesn't know is held, or not; where there is one.
    pub(super) fn check_new(&self, held: bool) {
        if self.way == Way::Dual {
            let there = self.server.admin(&["EXISTS", &format!("{NEW}{NAME}")]).integer();
            assert_eq!(there == 1, held, "the other half");
        }
    }

    /// A peer that holds nothing.
    pub(super) fn peer(&self) -> Peer {
        self.library.start(&self.server.url()).expect("on_peers asked for it")
    }

    /// A peer that holds the lock.
    pub(super) fn holding(&self, want: Want<'_>) -> Peer {
        let mut peer = self.peer();
        assert_eq!(peer.acquire(want), Outcome::Held);
        peer
    }

    /// Ours, if it is free.
    pub(super) fn try_ours(&self) -> Option<Lease> {
        block_on(self.client.lock(&self.name).ttl(LONG).try_acquire()).expect("an answer")
    }

    /// Ours, waited for in a thread of its own; returns when it waits.
    pub(super) fn wait_for_ours<'t>(
        &'t self,
        scope: &'t std::thread::Scope<'t, '_>,
    ) -> ScopedJoinHandle<'t, (Lease, u64)> {
        let handle = scope.spawn(|| {
            let lock = self.client.lock(&self.name).ttl(LONG).wait(LONG);
            let lease = lock.acquire_blocking().expect("a lease");
            (lease, boot_nanos())
        });
        // Polls: nobody is told when another queues.
        let patience = boot_nanos() + LONG.as_nanos() as u64;
        while block_on(self.client.inspect(&self.name)).expect("a view").waiting != 1 {
            assert!(boot_nanos() < patience, "we never waited");
            std::thread::sleep(Duration::from_millis(5));
        }
        handle
    }

    /// Tells `peer` to wait for the lock, and returns when it does.
    pub(super) fn have_wait(&self, peer: &mut Peer, ttl: Duration) {
        let mut watch = Watch::commands(self.server);
        peer.ask(Want::now(NAME, ttl).wait(LONG));
        watch.waiter(self.library, NAME);
    }

    /// A process of ours that holds the lock; since when.
    pub(super) fn our_process(&self, ttl: Duration) -> (Process, u64) {
        let mut command = Command::new(program("leasehold-testkit", "holder"));
        command.args([&self.url, &self.name, &ttl.as_millis().to_string()]);
        let holder = Process::start(&mut command);
        let granted = holder.wait_for("granted ");
        let (_fence, at) = granted.split_once(' ').expect("fence and time");
        let at = at.parse().expect("a time");
        (holder, at)
    }

    /// Who holds the key, as the server has it.
    pub(super) fn token(&self) -> Reply {
        token(self.server, self.library.layout, &self.key)
    }

    /// How long after an expiry a waiting peer may take to see it.
    pub(super) fn their_bound(&self) -> Duration {
        match self.library.wakes {
            Wakes::Poll(poll) => poll + SLACK,
            // Without its bell it looks again when a lock of its own would have expired.
            Wakes::List(_) | Wakes::Channel(_) => SHORT + SLACK,
        }
    }

    /// How long after a release of ours: we ring their bell.
    pub(super) fn bell_bound(&self) -> Duration {
        self.library.poll().unwrap_or_default() + SLACK
    }

    /// What the library says after giving back a lock of its own.
    pub(super) fn done(&self) -> Released {
        if self.library.tells { Released::Done } else { Released::Untold }
    }

    /// What it may say where the lock is another's. One that renews and noticed says so too.
    pub(super) fn is_loss(&self, released: &Released) -> bool {
        *released == Released::NotHeld || (!self.library.tells && *released == Released::Untold)
    }
}

/// Who holds `key`, as the server has it.
pub(super) fn token(server: &RedisServer, layout: Layout, key: &str) -> Reply {
    let command = match layout {
        Layout::Text => "GET",
        Layout::Hash => "HKEYS",
    };
    let token = server.admin(&[command, key]);
    assert!(!token.is_error(), "{token:?}");
    token
}

/// How long after a release of another library we may take to see it: it rings no bell of ours, so
/// we look every 100 ms.
pub(super) fn our_bound() -> Duration {
    Duration::from_millis(110) + SLACK
}

/// From `start` to `end`, in nanoseconds of the boot clock; zero where the order is the other.
pub(super) fn between(start: u64, end: u64) -> Duration {
    Duration::from_nanos(end.saturating_sub(start))
}
