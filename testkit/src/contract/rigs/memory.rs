//! The memory store in virtual time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use leasehold::store::memory::{MemoryStore, Shared};
use leasehold::store::{Pushed, Store};

use crate::World;
use crate::contract::{Inbox, Rig, Seat};

/// Two clients of one memory store.
pub struct MemoryRig {
    world: World,
    first: Client,
    second: Client,
}

struct Client {
    store: Option<MemoryStore>,
    inbox: Arc<Inbox>,
}

impl MemoryRig {
    /// A fresh store.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let shared = Arc::<Shared>::default();
        let client = || {
            let inbox = Arc::<Inbox>::default();
            let store = MemoryStore::new(Arc::clone(&shared), world.sys().clock());
            let pushed: Arc<dyn Pushed> = Arc::clone(&inbox) as _;
            store.subscribe(Arc::downgrade(&pushed));
            Client { store: Some(store), inbox }
        };
        let (first, second) = (client(), client());
        Self { world, first, second }
    }

    fn client(&self, seat: Seat) -> &Client {
        match seat {
            Seat::First => &self.first,
            Seat::Second => &self.second,
        }
    }
}

impl Rig for MemoryRig {
    fn store(&self, seat: Seat) -> &dyn Store {
        self.client(seat).store.as_ref().expect("this client was ended")
    }

    fn inbox(&self, seat: Seat) -> &Inbox {
        &self.client(seat).inbox
    }

    fn drive(&self, future: Pin<&mut dyn Future<Output = ()>>) {
        self.world.block_on(future);
    }

    fn advance(&self, span: Duration) {
        self.world.advance(span);
    }

    fn step_wall(&self, seconds: i64) -> bool {
        self.world.step_wall(seconds);
        true
    }

    fn set_wall_us(&self, wall_us: u64) -> bool {
        self.world.set_wall_us(wall_us);
        true
    }

    fn end(&mut self, seat: Seat) {
        match seat {
            Seat::First => self.first.store = None,
            Seat::Second => self.second.store = None,
        }
    }

    fn reopen(&mut self) -> bool {
        false
    }

    fn kept(&self) -> Option<usize> {
        let store = self.first.store.as_ref()?;
        let ((locks, waiters, tombs), (cells, watchers)) = (store.kept(), store.cells_kept());
        Some(locks + waiters + tombs + cells + watchers)
    }
}
