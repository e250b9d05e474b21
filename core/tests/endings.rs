//! What is sent to the store of a lease or an attempt that ends while requests of it are under way, in
//! virtual time. A renewal that outlives its lease does no harm to the lock, for a store refuses it;
//! but it is sent for ever (hazard 15). An attempt that nobody ends keeps the lock for a whole ttl.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;

use common::{millis, seconds};
use leasehold::runtime::Runtime;
use leasehold::store::memory::{MemoryStore, Shared};
use leasehold::store::{
    Answer, Ask, Cancel, Capabilities, Evict, Evicted, Hold, How, LockView, Pushed, Query,
    Released, Renewal, Store, WaitsFor,
};
use leasehold::sys::{BoxFuture, Sys};
use leasehold::{Client, ClientOptions, Error, ErrorKind, LostReason, Name, Release, Result};
use leasehold_testkit::World;

/// A store that counts the renewals of leases, and may be out of reach.
struct Counting {
    store: MemoryStore,
    renewals: AtomicUsize,
    /// Asks and renewals are carried out and never answered.
    silent: AtomicBool,
    /// No release comes through.
    away: AtomicBool,
    /// Releases are neither carried out nor answered.
    stuck: AtomicBool,
    /// The next ask is carried out twice, and its last lock is taken back in between.
    twice: AtomicBool,
    /// The next ask is answered so much later, in ms.
    late: AtomicU64,
    sys: Sys,
}

impl Store for Counting {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }
    fn acquire<'a>(&'a self, asks: &'a [Ask], how: How) -> BoxFuture<'a, Result<Vec<Answer>>> {
        Box::pin(async move {
            if self.twice.swap(false, Ordering::Relaxed) {
                self.store.acquire(asks, how).await?;
                let why = Evict { why: "a test".to_owned(), fence: None };
                self.store.evict(&asks[asks.len() - 1].name, &why).await?;
            }
            let answers = self.store.acquire(asks, how).await;
            if self.silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let late = self.late.swap(0, Ordering::Relaxed);
            self.sys.sleep_until(self.sys.now() + millis(late)).await;
            answers
        })
    }
    fn renew<'a>(&'a self, holds: &'a [Hold]) -> BoxFuture<'a, Result<Vec<Renewal>>> {
        self.renewals.fetch_add(holds.len(), Ordering::Relaxed);
        Box::pin(async move {
            let answers = self.store.renew(holds).await;
            if self.silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            answers
        })
    }
    fn release<'a>(
        &'a self,
        holds: &'a [Hold],
        cancel: Cancel,
    ) -> BoxFuture<'a, Result<Vec<Released>>> {
        if self.stuck.load(Ordering::Relaxed) {
            return Box::pin(std::future::pending());
        }
        if self.away.load(Ordering::Relaxed) {
            let error = Error::new(ErrorKind::StoreUnavailable, "the network is down");
            return Box::pin(std::future::ready(Err(error)));
        }
        self.store.release(holds, cancel)
    }
    fn inspect<'a>(&'a self, what: &'a Query) -> BoxFuture<'a, Result<Vec<LockView>>> {
        self.store.inspect(what)
    }
    fn evict<'a>(&'a self, name: &'a Name, why: &'a Evict) -> BoxFuture<'a, Result<Evicted>> {
        self.store.evict(name, why)
    }
    fn subscribe(&self, to: Weak<dyn Pushed>) {
        self.store.subscribe(to);
    }
    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        self.store.ping()
    }
    fn waits_for(&self) -> Option<&dyn WaitsFor> {
        self.store.waits_for()
    }
}

/// A client of such a store, and what it runs on.
fn stage() -> (World, Arc<Counting>, Client, Arc<Runtime>) {
    let world = World::new(0);
    let store = Arc::new(Counting {
        store: MemoryStore::new(Arc::new(Shared::default()), world.sys().clock()),
        renewals: AtomicUsize::new(0),
        silent: AtomicBool::new(false),
        away: AtomicBool::new(false),
        stuck: AtomicBool::new(false),
        twice: AtomicBool::new(false),
        late: AtomicU64::new(0),
        sys: world.sys(),
    });
    let runtime = Arc::new(Runtime::new(world.sys()));
    let options = ClientOptions { runtime: Some(Arc::clone(&runtime)), ..ClientOptions::default() };
    let client = Client::over(Arc::clone(&store) as Arc<dyn Store>, options).expect("a client");
    (world, store, client, runtime)
}

#[test]
fn a_lease_that_was_given_back_is_renewed_no_more() {
    let (world, store, client, _) = stage();
    let renewals = || store.renewals.load(Ordering::Relaxed);
    let take = |name: &str| world.run(client.lock(name).ttl(seconds(3)).acquire()).expect("free");

    let (kept, given) = (take("kept"), take("given"));
    world.advance(seconds(30));
    let both = renewals();
    assert!(both >= 2 * 9, "{both} renewals of two leases in ten ttls");
    assert_eq!(world.run(given.release()), Release::Released);
    world.advance(seconds(30));
    let one = renewals() - both;
    assert!((9..=both * 2 / 3).contains(&one), "{one} renewals of the lease that is kept");
    assert_eq!(world.run(kept.release()), Release::Released);
    let before = renewals();
    world.advance(seconds(60));
    assert_eq!(renewals(), before, "nobody holds anything");
}

/// A renewal that was carried out and not answered yet makes the store keep the lock for longer than
/// the lease knows. Found by the simulator.
#[test]
fn a_lease_is_given_back_for_as_long_as_the_store_may_keep_it() {
    let (world, store, client, _) = stage();
    let lease = world.run(client.lock("a").ttl(seconds(30)).acquire()).expect("free");
    store.silent.store(true, Ordering::Relaxed);
    // Renewed about now, at a third of the ttl: the store keeps it until 43 s or so.
    while store.renewals.load(Ordering::Relaxed) == 0 {
        world.advance(seconds(1));
    }
    store.away.store(true, Ordering::Relaxed);
    drop(lease);
    // Beyond the deadline that the lease knew.
    world.advance(seconds(25));
    let holder = || world.run(client.inspect("a")).expect("a view").holder;
    assert!(holder().is_some(), "the renewal was carried out");
    store.away.store(false, Ordering::Relaxed);
    world.advance(seconds(3));
    assert!(holder().is_none(), "nobody tries to give it back any more");
}

/// The same after a lease was extended, and then by less: the store keeps it for the longer of the two.
/// Found by the simulator.
#[test]
fn a_lease_is_given_back_for_as_long_as_it_was_ever_to_be_kept() {
    let (world, store, client, _) = stage();
    let lease = world.run(client.lock("a").ttl(seconds(10)).fixed_term().acquire()).expect("free");
    for ttl in [120, 10] {
        world.run(lease.extend(seconds(ttl))).expect("it is held");
    }
    store.away.store(true, Ordering::Relaxed);
    drop(lease);
    world.advance(seconds(60));
    assert!(holder(&world, &store, "a"), "the store keeps it for two minutes");
    store.away.store(false, Ordering::Relaxed);
    world.advance(seconds(10));
    assert!(!holder(&world, &store, "a"), "nobody tries to give it back any more");
}

/// The same where a longest tenure ends it.
#[test]
fn a_tenure_that_lasted_too_long_is_given_back_for_as_long_as_it_is_kept() {
    let (world, store, client, _) = stage();
    let lock = client.lock("a").ttl(seconds(10)).max_hold(seconds(20));
    let lease = world.run(lock.acquire()).expect("free");
    for ttl in [120, 10] {
        world.run(lease.extend(seconds(ttl))).expect("it is held");
    }
    store.away.store(true, Ordering::Relaxed);
    world.advance(seconds(60));
    assert_eq!(lease.lost_reason(), Some(LostReason::MaxHold));
    assert!(holder(&world, &store, "a"), "the store keeps it for two minutes");
    store.away.store(false, Ordering::Relaxed);
    world.advance(seconds(10));
    assert!(!holder(&world, &store, "a"), "nobody tries to give it back any more");
}

/// What is given back in two ways, one lease with a tombstone and one without, is given back at the same
/// time: whoever leaves several locks waits for a store that is silent as long as for one. Found by the
/// simulator.
#[test]
fn several_leases_are_given_back_in_the_time_of_one() {
    let (world, store, client, _) = stage();
    let locks = ["a", "b"].map(|name| client.rwlock(name).write());
    let leases = world.run(client.lock_all(locks).acquire()).expect("free");
    store.silent.store(true, Ordering::Relaxed);
    let mut change = Box::pin(leases[0].downgrade());
    assert!(world.poll_once(change.as_mut()).is_pending());
    drop(change);
    store.stuck.store(true, Ordering::Relaxed);
    let mut release = Box::pin(leases.release());
    assert!(world.poll_once(release.as_mut()).is_pending());
    world.advance(seconds(1));
    let Poll::Ready(found) = world.poll_once(release.as_mut()) else {
        panic!("it waits for longer than it would for one lock");
    };
    assert_eq!(found, [Release::Background; 2]);
    store.stuck.store(false, Ordering::Relaxed);
    world.advance(seconds(8));
    assert!(!["a", "b"].iter().any(|name| holder(&world, &store, name)), "the reaper goes on");
}

/// A proxy that had no answer sends an ask again: one of the locks that the first copy took may have been
/// taken back by then. Nobody cancelled anything, and what else the first copy took is nobody's. Found by
/// the simulator.
#[test]
fn several_that_were_asked_for_twice_are_asked_for_anew() {
    let (world, store, client, _) = stage();
    store.twice.store(true, Ordering::Relaxed);
    let leases = world.run(client.lock_all(["a", "b"].map(|name| client.lock(name))).acquire());
    let leases = leases.expect("both are free in the end");
    assert!(leases.is_held());
    assert_eq!(world.run(leases.release()), [Release::Released; 2]);
    assert!(!["a", "b"].iter().any(|name| holder(&world, &store, name)), "one is held by nobody");
}

/// The same where each of them is asked for by itself.
#[test]
fn one_of_each_that_was_asked_for_twice_is_asked_for_anew() {
    let (world, store, client, _) = stage();
    store.twice.store(true, Ordering::Relaxed);
    let each = client.lock_all(["a", "b"].map(|name| client.lock(name))).try_each();
    for (name, lease) in ["a", "b"].iter().zip(world.run(each).expect("asked")) {
        let lease = lease.expect("nobody cancelled it").expect("it is free in the end");
        assert!(lease.is_held(), "{name}");
        assert_eq!(world.run(lease.release()), Release::Released, "{name}");
    }
    assert!(!["a", "b"].iter().any(|name| holder(&world, &store, name)), "one is held by nobody");
}

/// An answer came after its own lease: what the store has of it yet is the owner's, and yet nothing that
/// the owner could give back. Found by the simulator.
#[test]
fn a_tenure_whose_answer_came_too_late_closes_no_circle() {
    let (world, store, client, _) = stage();
    let lock = client.lock("own").ttl(millis(200)).owner(client.owner().expect("alive"));
    store.late.store(250, Ordering::Relaxed);
    store.away.store(true, Ordering::Relaxed);
    let lease = world.run(lock.acquire()).expect("what is left of it ends by itself");
    assert!(lease.is_held());
}

/// A process that ends must wait for a release that is under way: the request may not have left it.
#[test]
fn a_shutdown_waits_for_a_release_that_is_under_way() {
    let (world, store, client, _) = stage();
    let lease = world.run(client.lock("a").ttl(seconds(30)).acquire()).expect("free");
    store.stuck.store(true, Ordering::Relaxed);
    let mut release = Box::pin(lease.release());
    assert!(world.poll_once(release.as_mut()).is_pending());
    let early = world.run(client.shutdown(millis(500)));
    assert!(!early, "the lock was not given back");
    store.stuck.store(false, Ordering::Relaxed);
    world.advance(seconds(1));
    assert_eq!(world.run(release), Release::Background);
    world.advance(seconds(1));
    assert!(world.run(client.shutdown(seconds(1))), "the reaper gave it back");
}

/// Nobody may poll an attempt any more once its process ends: not one whose ask is under way, which need
/// not wait for the lock, ...
#[test]
fn a_shutdown_ends_an_attempt_whose_answer_is_under_way() {
    for process_ends in [false, true] {
        let (world, store, client, runtime) = stage();
        store.silent.store(true, Ordering::Relaxed);
        let mut attempt = Box::pin(client.lock("a").try_acquire());
        assert!(world.poll_once(attempt.as_mut()).is_pending());
        assert!(holder(&world, &store, "a"), "the ask was carried out");
        let ended = match process_ends {
            false => world.run(client.shutdown(seconds(1))),
            true => world.run(runtime.release_all(seconds(1))),
        };
        assert!(ended, "the store answers");
        assert!(!holder(&world, &store, "a"), "nobody holds it");
        world.advance(seconds(20));
        let error = world.run(attempt).expect_err("no answer came");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    }
}

/// ... nor one whose grant has come.
#[test]
fn a_shutdown_ends_an_attempt_that_was_granted_and_does_not_know() {
    for process_ends in [false, true] {
        let (world, store, client, runtime) = stage();
        let first = world.run(client.lock("a").acquire()).expect("free");
        let mut second = Box::pin(client.lock("a").acquire());
        assert!(world.poll_once(second.as_mut()).is_pending());
        assert_eq!(world.run(first.release()), Release::Released);
        world.advance(millis(1));
        let ended = match process_ends {
            false => world.run(client.shutdown(seconds(1))),
            true => world.run(runtime.release_all(seconds(1))),
        };
        assert!(ended, "the store answers");
        assert!(!holder(&world, &store, "a"), "nobody holds it");
        let error = world.run(second).expect_err("it was ended");
        assert_eq!(error.kind(), ErrorKind::ShutDown, "{error}");
        assert!(!holder(&world, &store, "a"), "nobody holds it");
        // An exit hook of another may still take a lock.
        let later = world.run(client.lock("a").acquire()).map(drop).map_err(|error| error.kind());
        assert_eq!(later, if process_ends { Ok(()) } else { Err(ErrorKind::ShutDown) });
    }
}

fn holder(world: &World, store: &Counting, name: &str) -> bool {
    let query = Query::Name(Name::new(name).expect("a name"));
    world.run(store.inspect(&query)).expect("a view")[0].holder.is_some()
}
