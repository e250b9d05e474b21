//! What the watchdog sends to the store, in virtual time. A renewal that outlives its lease does no
//! harm to the lock, for a store refuses it; but it is sent for ever (hazard 15).

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use common::seconds;
use leasehold::runtime::Runtime;
use leasehold::store::memory::{MemoryStore, Shared};
use leasehold::store::{
    Answer, Ask, Cancel, Capabilities, Evict, Evicted, Hold, How, LockView, Pushed, Query,
    Released, Renewal, Store,
};
use leasehold::sys::BoxFuture;
use leasehold::{Client, ClientOptions, Name, Release, Result};
use leasehold_testkit::World;

/// A store that counts the renewals of leases.
struct Counting {
    store: MemoryStore,
    renewals: AtomicUsize,
}

impl Store for Counting {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }
    fn acquire<'a>(&'a self, asks: &'a [Ask], how: How) -> BoxFuture<'a, Result<Vec<Answer>>> {
        self.store.acquire(asks, how)
    }
    fn renew<'a>(&'a self, holds: &'a [Hold]) -> BoxFuture<'a, Result<Vec<Renewal>>> {
        self.renewals.fetch_add(holds.len(), Ordering::Relaxed);
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

#[test]
fn a_lease_that_was_given_back_is_renewed_no_more() {
    let world = World::new(0);
    let store = MemoryStore::new(Arc::new(Shared::default()), world.sys().clock());
    let store = Arc::new(Counting { store, renewals: AtomicUsize::new(0) });
    let runtime = Some(Arc::new(Runtime::new(world.sys())));
    let options = ClientOptions { runtime, ..ClientOptions::default() };
    let client = Client::over(Arc::clone(&store) as Arc<dyn Store>, options).expect("a client");
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
