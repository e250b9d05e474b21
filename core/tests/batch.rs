//! Concurrent callers that are collected, in virtual time: how many requests they make, and that what
//! becomes of one is no other's.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use common::{millis, seconds};
use leasehold::runtime::Runtime;
use leasehold::store::memory::{MemoryStore, Shared};
use leasehold::store::{
    Answer, Ask, Cancel, Capabilities, Evict, Evicted, Hold, How, LockView, Pushed, Query,
    Released, Renewal, Store,
};
use leasehold::sys::BoxFuture;
use leasehold::{Batcher, Client, ClientOptions, Error, ErrorKind, Lease, Lock, Name, Result};
use leasehold_testkit::World;

const FLUSH: Duration = millis(5);

/// A store that notes how many asks each request has.
struct Counting {
    store: MemoryStore,
    requests: Mutex<Vec<usize>>,
    away: AtomicBool,
}

impl Counting {
    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.requests.lock().expect("never poisoned"))
    }
}

impl Store for Counting {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }
    fn acquire<'a>(&'a self, asks: &'a [Ask], how: How) -> BoxFuture<'a, Result<Vec<Answer>>> {
        self.requests.lock().expect("never poisoned").push(asks.len());
        if self.away.load(Ordering::Relaxed) {
            let error = Error::new(ErrorKind::StoreUnavailable, "the network is down");
            return Box::pin(std::future::ready(Err(error)));
        }
        self.store.acquire(asks, how)
    }
    fn renew<'a>(&'a self, holds: &'a [Hold]) -> BoxFuture<'a, Result<Vec<Renewal>>> {
        self.store.renew(holds)
    }
    fn release<'a>(
        &'a self,
        holds: &'a [Hold],
        cancel: Cancel,
    ) -> BoxFuture<'a, Result<Vec<Released>>> {
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
}

struct Stage {
    world: World,
    store: Arc<Counting>,
    client: Client,
    batcher: Batcher,
}

type Trying = Pin<Box<dyn Future<Output = Result<Option<Lease>>>>>;

impl Stage {
    fn new(size: usize) -> Self {
        let world = World::new(0);
        let store = Arc::new(Counting {
            store: MemoryStore::new(Arc::new(Shared::default()), world.sys().clock()),
            requests: Mutex::default(),
            away: AtomicBool::new(false),
        });
        let runtime = Some(Arc::new(Runtime::new(world.sys())));
        let options = ClientOptions { runtime, ..ClientOptions::default() };
        let client = Client::over(Arc::clone(&store) as Arc<dyn Store>, options).expect("a client");
        let batcher = Batcher::new(&client, size, FLUSH).expect("a batcher");
        Self { world, store, client, batcher }
    }

    /// Callers that have asked and wait for their answer.
    fn callers(&self, locks: impl IntoIterator<Item = Lock>) -> Vec<Trying> {
        let callers = locks.into_iter().map(|lock| {
            let batcher = self.batcher.clone();
            let mut caller: Trying = Box::pin(async move { batcher.try_acquire(lock).await });
            assert!(self.world.poll_once(caller.as_mut()).is_pending());
            caller
        });
        callers.collect()
    }

    fn locks(&self, count: usize) -> Vec<Lock> {
        (0..count).map(|number| self.client.lock(format!("lock {number}"))).collect()
    }

    fn is_free(&self, name: &str) -> bool {
        self.world.settle();
        self.world.run(self.client.inspect(name)).expect("a view").holder.is_none()
    }
}

#[test]
fn a_full_batch_is_sent_at_once() {
    let stage = Stage::new(50);
    let callers = stage.callers(stage.locks(100));
    stage.world.settle();
    assert_eq!(stage.store.take(), [50, 50], "before any time has passed");
    let leases: Vec<Lease> =
        callers.into_iter().map(|it| stage.world.run(it).expect("asked").expect("free")).collect();
    assert!(leases.iter().all(Lease::is_held));
    stage.world.advance(2 * FLUSH);
    assert_eq!(stage.store.take(), [0_usize; 0], "nothing is sent twice");
}

#[test]
fn a_batch_is_sent_when_its_interval_is_over() {
    let stage = Stage::new(50);
    let mut callers = stage.callers(stage.locks(2));
    stage.world.advance(FLUSH - millis(1));
    callers.extend(stage.callers([stage.client.lock("late")]));
    assert_eq!(stage.store.take(), [0_usize; 0], "it is collected yet");
    stage.world.advance(millis(1));
    assert_eq!(stage.store.take(), [3], "counted from the first");
    for caller in callers {
        assert!(stage.world.run(caller).expect("asked").is_some());
    }
    let next = stage.callers([stage.client.lock("next")]);
    stage.world.advance(FLUSH);
    assert_eq!(stage.store.take(), [1]);
    drop(next);
}

/// One lock of two callers is one's; who waits does so in its queue, and the batch does not.
#[test]
fn who_waits_does_so_alone() {
    let stage = Stage::new(4);
    let batcher = stage.batcher.clone();
    let lock = |name: &str| stage.client.lock(name);
    let mut first = stage.callers([lock("one"), lock("one"), lock("other")]);
    let patient = lock("one").wait(seconds(60));
    let mut waiter = Box::pin(async move { batcher.acquire(patient).await });
    assert!(stage.world.poll_once(waiter.as_mut()).is_pending());
    stage.world.settle();
    assert_eq!(stage.store.take(), [4]);
    let other = stage.world.run(first.remove(2)).expect("asked").expect("free");
    assert!(stage.world.run(first.remove(1)).expect("asked").is_none());
    let one = stage.world.run(first.remove(0)).expect("asked").expect("free");
    assert!(stage.world.poll_once(waiter.as_mut()).is_pending(), "it waits");
    stage.world.settle();
    stage.world.run(one.release());
    assert!(stage.world.run(waiter).expect("granted in its turn").is_held());
    assert!(other.is_held());
    let batcher = stage.batcher.clone();
    let _held = stage.world.run(lock("short").acquire()).expect("free");
    let short = lock("short").wait(millis(300));
    let began = stage.world.now();
    let error = stage.world.run(async move { batcher.acquire(short).await }).expect_err("held");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let waited = stage.world.now().since(began);
    assert!(waited >= millis(300) && waited < millis(301), "{waited:?} in all");
}

#[test]
fn a_caller_that_is_dropped_holds_nothing() {
    let stage = Stage::new(50);
    // Before the batch is sent: it is not asked for. After its answer: what it obtained is given back.
    let mut callers = stage.callers(stage.locks(3));
    drop(callers.remove(1));
    stage.world.advance(FLUSH);
    assert_eq!(stage.store.take(), [2]);
    drop(callers.remove(1));
    assert!(stage.is_free("lock 1") && stage.is_free("lock 2") && !stage.is_free("lock 0"));
    // The first of a batch does not take the others along.
    let mut callers = stage.callers([stage.client.lock("a"), stage.client.lock("b")]);
    drop(callers.remove(0));
    stage.world.advance(FLUSH);
    assert!(stage.world.run(callers.remove(0)).expect("asked").is_some());
    // A batch that nobody waits for any more is none.
    drop(stage.callers([stage.client.lock("c")]));
    stage.store.take();
    stage.world.advance(FLUSH);
    assert_eq!(stage.store.take(), [0_usize; 0]);
}

#[test]
fn an_error_is_its_own_request_s() {
    let stage = Stage::new(3);
    let _held = stage.world.run(stage.client.semaphore("slots", 2).permits(1).acquire());
    let odd = stage.client.semaphore("slots", 3).permits(1);
    let mut callers = stage.callers([stage.client.lock("a"), odd, stage.client.lock("b")]);
    let mut answer = || stage.world.run(callers.remove(0));
    assert!(answer().expect("asked").is_some());
    assert_eq!(answer().expect_err("another number").kind(), ErrorKind::InvalidInput);
    assert!(answer().expect("asked").is_some());
    // Wrong before it is sent.
    let stranger = Client::connect("memory://").expect("a client");
    for lock in [stranger.lock("a"), stage.client.lock("")] {
        let batcher = stage.batcher.clone();
        let error = stage.world.run(async move { batcher.try_acquire(lock).await });
        assert_eq!(error.expect_err("refused").kind(), ErrorKind::InvalidInput);
    }
    for size in [0, 1001] {
        let error = Batcher::new(&stage.client, size, FLUSH).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    // The store's failure is everybody's.
    stage.store.away.store(true, Ordering::Relaxed);
    stage.store.take();
    for caller in stage.callers(stage.locks(3)) {
        let error = stage.world.run(caller).expect_err("the network is down");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    }
    assert_eq!(stage.store.take(), [3, 3], "tried once more");
}

#[test]
fn the_client_s_end_ends_a_batch() {
    let stage = Stage::new(50);
    let callers = stage.callers(stage.locks(2));
    assert!(stage.world.run(stage.client.shutdown(seconds(1))));
    stage.world.advance(FLUSH);
    for caller in callers {
        assert_eq!(stage.world.run(caller).expect_err("ended").kind(), ErrorKind::ShutDown);
    }
    assert_eq!(stage.store.take(), [0_usize; 0], "nothing is asked for after the end");
}
