//! Clients that hold an old and a new lock together, among clients of the new one alone: they share
//! a queue and its fences, and none of them may hold half.

use std::sync::mpsc;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use leasehold::options::HEARTBEAT;
use leasehold::store::redis::Dialect;
use leasehold::store::{Answer, Evict, Evicted, How, Renewal};
use leasehold::{Client, Lease, LostReason, Release, block_on};
use leasehold_testkit::contract::{RedisRig, Scene, Way};
use leasehold_testkit::oracle::boot_nanos;
use leasehold_testkit::server::{Flavour, RedisServer, Reply};

use super::scene::{LONG, NAME, NEW, SHORT, SLACK, between};

/// One layout each for the old lock.
const OLD: [Dialect; 3] = [Dialect::Plain, Dialect::PythonRedisLock, Dialect::Redisson];

/// The old and the new lock of one name.
struct Pair<'s> {
    server: &'s RedisServer,
    old: String,
    new: String,
    dialect: Dialect,
}

impl<'s> Pair<'s> {
    fn of(server: &'s RedisServer, dialect: Dialect) -> Self {
        assert_eq!(server.admin(&["FLUSHALL"]).text(), "OK");
        let old = format!("{}{NAME}", dialect.prefix());
        Self { server, old, new: format!("{NEW}{NAME}"), dialect }
    }

    /// A client of both, or of the new one.
    fn client(&self, both: bool) -> Client {
        let dual = if both { format!("&dual={}", self.dialect) } else { String::new() };
        let url = format!("{}?prefix={NEW}{dual}", self.server.url());
        Client::connect(&url).expect("a client")
    }

    fn there(&self, key: &str) -> bool {
        self.server.admin(&["EXISTS", key]).integer() == 1
    }

    /// Which of the old and the new are held.
    fn held(&self) -> (bool, bool) {
        (self.there(&self.old), self.there(&self.new))
    }

    /// Has a client of the old library take it.
    fn take_old(&self) {
        let taken = match self.dialect {
            Dialect::Redisson => self.server.admin(&["HSET", &self.old, "a-client:1", "1"]),
            _ => self.server.admin(&["SET", &self.old, "a client", "NX"]),
        };
        assert!(taken != Reply::Nil && !taken.is_error(), "{taken:?}");
    }

    fn old_holder(&self) -> Reply {
        let command = if self.dialect == Dialect::Redisson { "HKEYS" } else { "GET" };
        self.server.admin(&[command, &self.old])
    }

    fn delete(&self, key: &str) {
        assert_eq!(self.server.admin(&["DEL", key]).integer(), 1);
    }

    /// A waiter in a thread of its own, behind `before` others; tells `granted` of its lease.
    fn waiter<'t>(
        &self,
        scope: &'t Scope<'t, '_>,
        who: &'static str,
        both: bool,
        before: u64,
        granted: &mpsc::Sender<(&'static str, Lease)>,
    ) -> ScopedJoinHandle<'t, ()> {
        let (client, granted) = (self.client(both), granted.clone());
        let watcher = self.client(false);
        let handle = scope.spawn(move || {
            let lease = client.lock(NAME).ttl(LONG).wait(LONG).acquire_blocking().expect(who);
            granted.send((who, lease)).expect("the test listens");
        });
        await_waiters(&watcher, before + 1);
        handle
    }
}

/// Until that many wait. Polls: nobody is told when another queues.
fn await_waiters(watcher: &Client, waiting: u64) {
    let patience = boot_nanos() + LONG.as_nanos() as u64;
    while block_on(watcher.inspect(NAME)).expect("a view").waiting < waiting {
        assert!(boot_nanos() < patience, "they never waited");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn next(granted: &mpsc::Receiver<(&'static str, Lease)>) -> (&'static str, Lease) {
    granted.recv_timeout(LONG).expect("a grant")
}

fn release(lease: &Lease) {
    assert_eq!(block_on(lease.release()), Release::Released);
}

/// First come, first served, whoever waits and whoever releases, with growing fences; the old lock
/// is held by those who want it and by no other.
pub(super) fn one_queue(server: &RedisServer) -> String {
    for dialect in OLD {
        let pair = Pair::of(server, dialect);
        let (tell, granted) = mpsc::channel();
        let holder = pair.client(true);
        let mut last = block_on(holder.lock(NAME).ttl(LONG).acquire()).expect("free");
        assert_eq!(pair.held(), (true, true));
        std::thread::scope(|scope| {
            let line = [("n1", false), ("d2", true), ("d3", true), ("n4", false), ("d5", true)];
            for (before, (who, both)) in (0..).zip(line) {
                pair.waiter(scope, who, both, before, &tell);
            }
            for (expected, both) in line {
                release(&last);
                let (who, lease) = next(&granted);
                assert_eq!(who, expected, "{dialect}");
                assert!(lease.fence() > last.fence(), "{dialect}: {who}");
                assert_eq!(pair.held(), (both, true), "{dialect}: {who}");
                last = lease;
            }
        });
        release(&last);
        assert_eq!(pair.held(), (false, false), "{dialect}");
    }
    "one queue, fences grow".to_owned()
}

/// Who wants both is not content with the new one while the old is taken, and keeps nobody from it.
pub(super) fn never_half(server: &RedisServer) -> String {
    let mut slowest = Duration::ZERO;
    for dialect in OLD {
        let pair = Pair::of(server, dialect);
        let (tell, granted) = mpsc::channel();
        let holder = block_on(pair.client(false).lock(NAME).ttl(LONG).acquire()).expect("free");
        pair.take_old();
        let theirs = pair.old_holder();
        std::thread::scope(|scope| {
            pair.waiter(scope, "both", true, 0, &tell);
            pair.waiter(scope, "also both", true, 1, &tell);
            pair.waiter(scope, "new", false, 2, &tell);
            release(&holder);
            let (who, lease) = next(&granted);
            assert_eq!(who, "new", "{dialect}");
            assert_eq!(pair.old_holder(), theirs, "{dialect}: taken from another");
            release(&lease);
            // They are offered the new one, put it down, and now wait for both to be free.
            let patience = boot_nanos() + LONG.as_nanos() as u64;
            while pair.there(&pair.new) {
                assert!(boot_nanos() < patience, "{dialect}: half is kept");
                std::thread::sleep(Duration::from_millis(2));
            }
            assert!(granted.try_recv().is_err() && pair.there(&pair.old), "{dialect}");
            pair.delete(&pair.old);
            let freed = boot_nanos();
            let mut last = lease;
            for _ in 0..2 {
                let (_, both) = next(&granted);
                slowest = slowest.max(between(freed, boot_nanos()));
                assert!(both.fence() > last.fence(), "{dialect}");
                assert_eq!(pair.held(), (true, true), "{dialect}");
                release(&both);
                last = both;
            }
        });
    }
    assert!(slowest <= HEARTBEAT + SLACK, "{slowest:?}");
    format!("waits for the old one too, and sees it free after {:.2} s", slowest.as_secs_f64())
}

/// A tenure whose half is gone is over, and gives up the other half.
pub(super) fn lost_with_either(server: &RedisServer) -> String {
    for dialect in OLD {
        let client = Pair::of(server, dialect).client(true);
        let hold = |pair: &Pair<'_>| {
            let lease = block_on(client.lock(NAME).ttl(SHORT).acquire()).expect("free");
            assert_eq!(pair.held(), (true, true));
            lease
        };
        let pair = Pair::of(server, dialect);
        let lease = hold(&pair);
        pair.delete(&pair.old);
        assert_eq!(block_on(lease.lost()), LostReason::Expired, "{dialect}: old");
        assert_eq!(pair.held(), (false, false), "{dialect}: old");

        let lease = hold(&pair);
        pair.delete(&pair.new);
        assert_eq!(block_on(lease.lost()), LostReason::Expired, "{dialect}: new");
        assert_eq!(pair.held(), (false, false), "{dialect}: new");

        let lease = hold(&pair);
        pair.delete(&pair.old);
        pair.take_old();
        assert_eq!(block_on(lease.lost()), LostReason::Superseded, "{dialect}: taken");
        assert_eq!(pair.held(), (true, false), "{dialect}: the other's is left alone");
        pair.delete(&pair.old);

        // From outside, by a client that knows of the new one only.
        let lease = hold(&pair);
        let why = Evict { why: "a test".to_owned(), fence: Some(lease.fence()) };
        let evicted = block_on(pair.client(false).evict(NAME, &why)).expect("an answer");
        assert!(matches!(evicted, Evicted::Evicted { .. }), "{evicted:?}");
        assert_eq!(block_on(lease.lost()), LostReason::Revoked, "{dialect}");
        assert_eq!(pair.held(), (false, false), "{dialect}: evicted");

        // A release that comes first leaves nothing either.
        let lease = hold(&pair);
        pair.delete(&pair.new);
        block_on(lease.release());
        assert_eq!(pair.held(), (false, false), "{dialect}: released");

        // Whoever holds the old one is evicted with the lock.
        pair.take_old();
        let why = Evict { why: "a test".to_owned(), fence: None };
        block_on(client.evict(NAME, &why)).expect("an answer");
        assert_eq!(pair.held(), (false, false), "{dialect}: both are evicted");
    }
    "either half lost: told, and the other given up".to_owned()
}

/// Clients of ours with two layouts on one key take each other for strangers: what the one hands on,
/// the other could not read.
pub(super) fn strangers(server: &RedisServer) -> String {
    let as_hash = "?dialect=redisson";
    for (first, second, layout) in [("", as_hash, "hash"), (as_hash, "", "string")] {
        let [holder, waiter] = [first, second]
            .map(|query| Client::connect(&(server.url() + query)).expect("a client"));
        let lease = block_on(holder.lock(NAME).ttl(LONG).acquire()).expect("free");
        let (lock, watcher) = (waiter.lock(NAME).ttl(LONG).wait(LONG), waiter.clone());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| lock.acquire_blocking().expect("a lease"));
            await_waiters(&watcher, 1);
            release(&lease);
            let lease = waits.join().expect("it ends");
            assert_eq!(server.admin(&["TYPE", NAME]).text(), layout);
            assert!(block_on(holder.lock(NAME).try_acquire()).expect("an answer").is_none());
            release(&lease);
            assert_eq!(server.admin(&["EXISTS", NAME]).integer(), 0);
        });
    }
    "each waits for the other".to_owned()
}

/// Two names may share a key: one's new is the other's old. All or nothing is still that.
pub(super) fn shared_keys() -> Result<String, String> {
    let mut rig = RedisRig::new(Flavour::Redis, Way::Dual(Dialect::Redisson))?;
    let mut scene = Scene::new(&mut rig);
    let (one, other) = (scene.ask("name"), scene.ask(&format!("{NEW}name")));
    for asks in [[one.clone(), other.clone()], [other, one]] {
        let answers = scene.acquire_many(&asks, How::AllOrNothing);
        let busy = |answer: &Answer| matches!(answer, Answer::Busy { .. });
        assert!(answers.iter().all(busy), "{answers:?}");
        assert_eq!(scene.rig().kept(), Some(0), "nothing is held");
        scene.grant(&asks[0]);
        assert!(busy(&scene.acquire(&asks[1])), "they exclude each other");
        scene.release(&asks[0]);
    }
    Ok("names with a key in common exclude each other".to_owned())
}

/// Both halves end together: a renewal prolongs the one that somebody shortened.
pub(super) fn one_half_shortened() -> Result<String, String> {
    let mut rig = RedisRig::new(Flavour::Redis, Way::Dual(Dialect::Redisson))?;
    let mut other = super::foreign::other(&rig);
    let mut scene = Scene::new(&mut rig);
    let ask = scene.ask("short");
    for key in ["short".to_owned(), format!("{NEW}short")] {
        scene.grant(&ask);
        assert_eq!(other.ask(&["PEXPIRE", &key, "9000"]).expect("an answer").integer(), 1);
        assert!(matches!(scene.renew(&ask), Renewal::Renewed { .. }), "{key}");
        let left = other.ask(&["PTTL", &key]).expect("an answer").integer();
        assert!(left > 20_000, "{key}: {left}");
    }
    Ok("prolonged again".to_owned())
}
