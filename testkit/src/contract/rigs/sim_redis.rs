//! The Redis store on the simulated server: the shipped scripts under a clock that only the test
//! moves, exact to the millisecond, with a network that takes no time and loses nothing.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use leasehold::store::redis::{Dial, Dialect, Link, NoLuaStore, Purpose, RedisStore, Settings};
use leasehold::store::{Pushed, Store};
use leasehold::sys::{BoxFuture, Sys};

use crate::World;
use crate::contract::{Inbox, Rig, Seat};
use crate::sim::redis::{Server, Value, take_request};

/// Two clients of one simulated server.
pub struct SimRedisRig {
    world: World,
    wires: Arc<Wires>,
    how: How,
    clients: [Client; 2],
}

/// What the clients' URL says.
#[derive(Clone, Copy)]
struct How {
    dual: Option<Dialect>,
    lua: bool,
}

struct Client {
    store: Option<Box<dyn Store>>,
    inbox: Arc<Inbox>,
}

impl SimRedisRig {
    /// A fresh server.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(seed, None)
    }

    /// The same, whose clients hold two locks as one, the second in the layout of `dual`.
    #[must_use]
    pub fn with(seed: u64, dual: Option<Dialect>) -> Self {
        Self::how(seed, How { dual, lua: true })
    }

    /// The same, whose clients run no scripts.
    #[must_use]
    pub fn without_lua(seed: u64) -> Self {
        Self::how(seed, How { dual: None, lua: false })
    }

    fn how(seed: u64, how: How) -> Self {
        let world = World::new(seed);
        let wires = Arc::new(Wires { sys: world.sys(), state: Mutex::default() });
        let clients = [(); 2].map(|()| client(&world, &wires, how));
        Self { world, wires, how, clients }
    }

    /// The server's keys of now.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let (state, now_ms) = (self.wires.state(), self.now_ms());
        let keys = state.server.engine.db.live(now_ms);
        keys.map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.world.moment().wall_us / 1000).unwrap_or(i64::MAX)
    }
}

fn client(world: &World, wires: &Arc<Wires>, how: How) -> Client {
    let How { dual, lua } = how;
    let prefix = if dual.is_some() { "new:" } else { "" }.to_owned();
    let settings = Settings { prefix, dual, lua, ..Settings::default() };
    let (dial, sys) = (Arc::new(SimDial(Arc::clone(wires))), world.sys());
    let store: Box<dyn Store> = match lua {
        true => Box::new(RedisStore::new(dial, &sys, settings)),
        false => Box::new(NoLuaStore::new(dial, &sys, settings)),
    };
    let inbox = Arc::<Inbox>::default();
    let pushed: Arc<dyn Pushed> = Arc::clone(&inbox) as _;
    store.subscribe(Arc::downgrade(&pushed));
    Client { store: Some(store), inbox }
}

impl Rig for SimRedisRig {
    fn store(&self, seat: Seat) -> &dyn Store {
        self.clients[seat as usize].store.as_deref().expect("this client was ended")
    }

    fn inbox(&self, seat: Seat) -> &Inbox {
        &self.clients[seat as usize].inbox
    }

    fn drive(&self, future: Pin<&mut dyn Future<Output = ()>>) {
        self.world.block_on(future);
        // What was pushed meanwhile is read.
        self.world.settle();
    }

    fn advance(&self, span: Duration) {
        self.world.advance(span);
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(1)
    }

    // The server has one clock: a step of it is time that passes, or comes back.
    fn step_wall(&self, _: i64) -> bool {
        false
    }

    fn set_wall_us(&self, _: u64) -> bool {
        false
    }

    fn end(&mut self, seat: Seat) {
        self.clients[seat as usize].store = None;
        self.world.settle();
    }

    fn reopen(&mut self) -> bool {
        for client in &mut self.clients {
            client.store = None;
        }
        self.world.settle();
        self.clients = [(); 2].map(|()| client(&self.world, &self.wires, self.how));
        true
    }

    fn kept(&self) -> Option<usize> {
        let (state, now_ms) = (self.wires.state(), self.now_ms());
        let rows = state.server.engine.db.live(now_ms).map(|(key, entry)| match &entry.value {
            Value::Sorted(queue) => queue.0.len(),
            _ if key.starts_with(b"leasehold:{") => 0,
            _ => 1,
        });
        Some(rows.sum())
    }
}

struct Wires {
    sys: Sys,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    server: Server,
    ends: BTreeMap<u64, Arc<End>>,
}

impl Wires {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn over(&self, id: u64) {
        let mut state = self.state();
        state.server.disconnect(id);
        let end = state.ends.remove(&id);
        drop(state);
        if let Some(end) = end {
            end.arrived(|arrived| arrived.over = true);
        }
    }
}

#[derive(Default)]
struct End(Mutex<Arrived>);

#[derive(Default)]
struct Arrived {
    bytes: Vec<u8>,
    over: bool,
    waker: Option<Waker>,
}

impl End {
    fn state(&self) -> MutexGuard<'_, Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrived(&self, change: impl FnOnce(&mut Arrived)) {
        let mut state = self.state();
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct SimLink {
    wires: Arc<Wires>,
    id: u64,
    input: Mutex<Vec<u8>>,
    end: Arc<End>,
}

impl Link for SimLink {
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        if self.end.state().over {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        input.extend_from_slice(bytes);
        let mut out = Vec::new();
        {
            let mut state = self.wires.state();
            let wall_us = self.wires.sys.moment().wall_us;
            state.server.engine.now_us = i64::try_from(wall_us).unwrap_or(i64::MAX);
            while let Some(request) = take_request(&mut input).map_err(io::Error::other)? {
                for (to, bytes) in state.server.request(self.id, &request) {
                    out.extend(state.ends.get(&to).map(|end| (Arc::clone(end), bytes)));
                }
            }
        }
        drop(input);
        for (end, bytes) in out {
            end.arrived(|arrived| arrived.bytes.extend_from_slice(&bytes));
        }
        Ok(())
    }

    fn receive(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        let mut state = self.end.state();
        if state.bytes.is_empty() && !state.over {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = state.bytes.len();
        into.append(&mut state.bytes);
        Ok(count)
    }

    fn ready(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(poll_fn(|context| {
            let mut state = self.end.state();
            if !state.bytes.is_empty() || state.over {
                return Poll::Ready(Ok(()));
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        }))
    }

    fn close(&self) {
        self.wires.over(self.id);
    }
}

impl Drop for SimLink {
    fn drop(&mut self) {
        self.wires.over(self.id);
    }
}

struct SimDial(Arc<Wires>);

impl Dial for SimDial {
    fn dial(&self, _: Purpose) -> BoxFuture<'_, leasehold::Result<Arc<dyn Link>>> {
        Box::pin(async move {
            let (wires, end) = (Arc::clone(&self.0), Arc::<End>::default());
            let mut state = wires.state();
            let id = state.server.connect();
            state.ends.insert(id, Arc::clone(&end));
            drop(state);
            let input = Mutex::default();
            Ok(Arc::new(SimLink { wires, id, input, end }) as Arc<dyn Link>)
        })
    }
}
