//! What listening costs, counted in virtual time: no more looks than renewals, and at most one a minute
//! where those are rare.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use leasehold::runtime::Runtime;
use leasehold::store::memory::{MemoryStore, Shared};
use leasehold::store::{
    Answer, Ask, Cancel, Capabilities, Cell, Cells, Evict, Evicted, Hold, How, LockView, Pushed,
    Query, Released, Renewal, Store, WaitsFor, Watched,
};
use leasehold::sys::BoxFuture;
use leasehold::{AskBack, Client, ClientOptions, Name, Result, Returned};
use leasehold_testkit::World;

pub(super) const PLAIN: &[super::Plain] = super::plain![
    a_listener_looks_no_more_often_than_it_renews,
    who_does_not_listen_looks_never,
    a_request_is_heard_without_waiting_for_the_look,
    a_request_whose_push_is_lost_is_heard_at_the_next_look,
];

const HOUR: Duration = Duration::from_secs(3600);

/// The memory store, with its requests counted, and its pushes lost on demand.
struct Counted {
    store: MemoryStore,
    looks: AtomicU64,
    renewals: AtomicU64,
    pushes: bool,
}

impl Store for Counted {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }
    fn acquire<'a>(&'a self, asks: &'a [Ask], how: How) -> BoxFuture<'a, Result<Vec<Answer>>> {
        self.store.acquire(asks, how)
    }
    fn renew<'a>(&'a self, holds: &'a [Hold]) -> BoxFuture<'a, Result<Vec<Renewal>>> {
        self.renewals.fetch_add(1, Ordering::Relaxed);
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
    fn waits_for(&self) -> Option<&dyn WaitsFor> {
        self.store.waits_for()
    }
    fn cells(&self) -> Option<&dyn Cells> {
        Some(self)
    }
    fn subscribe(&self, to: Weak<dyn Pushed>) {
        if self.pushes {
            self.store.subscribe(to);
        }
    }
    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        self.store.ping()
    }
}

impl Cells for Counted {
    fn get<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Option<Cell>>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.store.get(name)
    }
    fn compare_and_set<'a>(
        &'a self,
        name: &'a Name,
        version: u64,
        value: &'a [u8],
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<(bool, Option<Cell>)>> {
        self.store.compare_and_set(name, version, value, keep)
    }
    fn watch<'a>(
        &'a self,
        name: &'a Name,
        version: u64,
        alive_for: Duration,
    ) -> BoxFuture<'a, Result<Watched>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.store.watch(name, version, alive_for)
    }
}

struct Stage {
    world: World,
    store: Arc<Counted>,
    client: Client,
    other: Client,
}

fn stage(pushes: bool) -> Stage {
    let world = World::new(0xA5);
    let shared = Arc::<Shared>::default();
    let store = |pushes| {
        let store = MemoryStore::new(Arc::clone(&shared), world.sys().clock());
        let (looks, renewals) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Counted { store, looks, renewals, pushes })
    };
    let client = |store: &Arc<Counted>| {
        let runtime = Some(Arc::new(Runtime::new(world.sys())));
        let options = ClientOptions { runtime, ..ClientOptions::default() };
        Client::over(Arc::clone(store) as _, options).expect("a client")
    };
    let (mine, theirs) = (store(pushes), store(true));
    let (client, other) = (client(&mine), client(&theirs));
    Stage { world, store: mine, client, other }
}

fn a_listener_looks_no_more_often_than_it_renews() {
    for (ttl, looks_an_hour) in [(30, 360), (180, 60), (3600, 60), (1, 3600)] {
        let Stage { world, store, client, .. } = stage(true);
        let lease = world.run(client.lock("kept").ttl(Duration::from_secs(ttl)).acquire());
        let lease = lease.expect("granted");
        lease.on_asked_back(|request| panic!("{request:?}"));
        world.advance(HOUR);
        assert!(lease.is_held());
        let looks = store.looks.load(Ordering::Relaxed);
        let renewals = store.renewals.load(Ordering::Relaxed);
        println!("ttl {ttl} s: {looks} looks and {renewals} renewals in an hour");
        // A tenth of jitter, and the first look.
        assert!(looks * 10 <= looks_an_hour * 11 + 10, "{looks} looks");
        assert!(looks * 11 >= looks_an_hour * 10, "{looks} looks: it listens all the time");
        if ttl <= 180 {
            assert!(looks <= renewals + renewals / 5 + 1, "{looks} looks, {renewals} renewals");
        }
    }
}

fn who_does_not_listen_looks_never() {
    let Stage { world, store, client, .. } = stage(true);
    let lease = world.run(client.lock("kept").acquire()).expect("granted");
    world.advance(HOUR);
    assert!(lease.is_held());
    assert_eq!(store.looks.load(Ordering::Relaxed), 0);
}

fn a_request_is_heard_without_waiting_for_the_look() {
    assert_eq!(heard_after(true), Duration::ZERO);
}

fn a_request_whose_push_is_lost_is_heard_at_the_next_look() {
    let after = heard_after(false);
    println!("heard after {after:?}");
    assert!(after > Duration::ZERO && after <= Duration::from_secs(11), "{after:?}");
}

/// How long after a request the holder of a lease of 30 s hears of it.
fn heard_after(pushes: bool) -> Duration {
    let Stage { world, client, other, .. } = stage(pushes);
    let lease = Arc::new(world.run(client.lock("asked").acquire()).expect("granted"));
    let heard = Arc::new(AtomicU64::new(0));
    {
        let (heard, world) = (Arc::clone(&heard), world.clone());
        lease.on_asked_back(move |_| heard.store(world.now().as_nanos(), Ordering::Relaxed));
    }
    world.advance(Duration::from_millis(1500));
    let (asked, why) = (world.now(), "it is needed".to_owned());
    let request = AskBack { why, grace: Duration::from_secs(20), fence: None };
    let found = world.run(other.ask_back("asked", &request)).expect("an answer");
    assert!(matches!(found, Returned::StillHeld { .. }), "{found:?}");
    let heard = heard.load(Ordering::Relaxed);
    assert!(heard > 0, "it was never heard");
    Duration::from_nanos(heard - asked.as_nanos())
}
