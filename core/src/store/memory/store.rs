//! The memory store: the rules under one mutex, and grants told by a direct call after it.

use std::collections::{HashMap, VecDeque};
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::cells::CellRows;
use super::rows::Locks;
use crate::lock::{self, Book, Event, HandOff};
use crate::store::{
    Answer, Ask, Cancel, Capabilities, Cells, Evict, Evicted, FenceSource, Grant, Hold, How, Kinds,
    LockView, Pushed, Query, Released, Renewal, Resize, Resized, Store, Survives, TtlScope,
    WaitsFor, Wanting,
};
use crate::sys::{BoxFuture, Clock};
use crate::{Name, Owner, Result};

/// What all clients of one memory store share.
#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
    /// Cells know nothing of locks.
    pub(super) cells: Mutex<CellRows>,
}

#[derive(Default)]
struct State {
    locks: Locks,
    listeners: HashMap<u64, Weak<dyn Pushed>>,
    last_channel: u64,
}

/// One client's access to locks in this process's memory. Every request is answered at once.
pub struct MemoryStore {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shared: Arc<Shared>,
    pub(super) channel: u64,
    capabilities: Capabilities,
}

impl MemoryStore {
    /// A client's access to `shared`, with expiry counted on `clock`.
    #[must_use]
    pub fn new(shared: Arc<Shared>, clock: Arc<dyn Clock>) -> Self {
        let channel = {
            let mut state = shared.state();
            state.last_channel += 1;
            state.last_channel
        };
        let capabilities = Capabilities {
            store: "memory",
            kinds: Kinds { exclusive: true, shared: true, permits: true },
            ttl: TtlScope::Lock,
            fence: FenceSource::Clock,
            push: true,
            queue: true,
            tombstones: true,
            atomic_multi: true,
            local_clock: true,
            survives: Survives { holder_crash: true, store_restart: false, clock_step: true },
        };
        Self { clock, shared, channel, capabilities }
    }

    /// Rows, queue entries and tombstones kept for all names: what a leak would grow.
    #[must_use]
    pub fn kept(&self) -> (usize, usize, usize) {
        self.shared.state().locks.kept()
    }

    /// One step of the rules, and the telling of its grants after the mutex was let go.
    fn step<T>(
        &self,
        rules: impl FnOnce(&mut Locks, Event, &mut Vec<HandOff>) -> Result<T>,
    ) -> Result<T> {
        let at = self.clock.moment();
        let mut hand_offs = Vec::new();
        let mut state = self.shared.state();
        let result = rules(&mut state.locks, at, &mut hand_offs);
        let grants = state.deliverable(hand_offs, at)?;
        drop(state);
        for (listener, grant) in grants {
            listener.granted(grant);
        }
        result
    }
}

impl State {
    /// Pairs each grant with its client. A grant to a client that is gone is released at once, and
    /// the next waiter's is looked at.
    fn deliverable(
        &mut self,
        hand_offs: Vec<HandOff>,
        at: Event,
    ) -> Result<Vec<(Arc<dyn Pushed>, Grant)>> {
        let mut grants = Vec::with_capacity(hand_offs.len());
        let mut due = VecDeque::from(hand_offs);
        while let Some(hand_off) = due.pop_front() {
            let listener = self.listeners.get(&hand_off.channel).and_then(Weak::upgrade);
            let Some(listener) = listener else {
                let mut rows = self.locks.rows(&hand_off.name);
                let mut next = Vec::new();
                lock::release(&mut rows, &hand_off.token, Cancel::No, at, &mut next)?;
                due.extend(next);
                continue;
            };
            grants.push((listener, Grant::of(&hand_off)));
        }
        Ok(grants)
    }
}

impl Shared {
    /// The clients of these channels, as far as they are there.
    pub(super) fn listeners(&self, channels: &[u64]) -> Vec<Arc<dyn Pushed>> {
        let state = self.state();
        let found = channels.iter().filter_map(|channel| state.listeners.get(channel)?.upgrade());
        found.collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The rules don't panic half-way; a poisoned mutex holds a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn now<'a, T: crate::sys::MaybeSend + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(ready(value))
}

impl Store for MemoryStore {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn acquire<'a>(&'a self, asks: &'a [Ask], how: How) -> BoxFuture<'a, Result<Vec<Answer>>> {
        now(self.capabilities.check(asks).and_then(|()| {
            self.step(|locks, at, hand_offs| {
                lock::acquire_many(locks, asks, how, self.channel, at, hand_offs)
            })
        }))
    }

    fn renew<'a>(&'a self, holds: &'a [Hold]) -> BoxFuture<'a, Result<Vec<Renewal>>> {
        now(self.step(|locks, at, _| lock::renew_many(locks, holds, at)))
    }

    fn release<'a>(
        &'a self,
        holds: &'a [Hold],
        cancel: Cancel,
    ) -> BoxFuture<'a, Result<Vec<Released>>> {
        now(self
            .step(|locks, at, hand_offs| lock::release_many(locks, holds, cancel, at, hand_offs)))
    }

    fn inspect<'a>(&'a self, what: &'a Query) -> BoxFuture<'a, Result<Vec<LockView>>> {
        now(self.step(|locks, at, _| {
            Ok(match what {
                Query::Name(name) => vec![view(locks, name, at)],
                Query::Prefix { prefix, after, limit } => locks
                    .names(prefix, after.as_ref(), at.now)
                    .take(*limit as usize)
                    .map(|name| view(locks, name, at))
                    .collect(),
            })
        }))
    }

    fn evict<'a>(&'a self, name: &'a Name, why: &'a Evict) -> BoxFuture<'a, Result<Evicted>> {
        now(self
            .step(|locks, at, hand_offs| lock::evict(&mut locks.rows(name), why, at, hand_offs)))
    }

    fn resize<'a>(&'a self, name: &'a Name, change: &'a Resize) -> BoxFuture<'a, Result<Resized>> {
        now(self.capabilities.check_resize(name, change).and_then(|()| {
            self.step(|locks, at, hand_offs| {
                lock::resize(&mut locks.rows(name), change, at, hand_offs)
            })
        }))
    }

    fn waits_for(&self) -> Option<&dyn WaitsFor> {
        Some(self)
    }

    fn cells(&self) -> Option<&dyn Cells> {
        Some(self)
    }

    fn subscribe(&self, to: Weak<dyn Pushed>) {
        self.shared.state().listeners.insert(self.channel, to);
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        now(Ok(()))
    }
}

impl WaitsFor for MemoryStore {
    fn wants(&self, owner: Owner) -> BoxFuture<'_, Result<Vec<Wanting>>> {
        now(self.step(|locks, at, _| Ok(locks.wants(owner, at.now))))
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.shared.state().listeners.remove(&self.channel);
    }
}

fn view(locks: &Locks, name: &Name, at: Event) -> LockView {
    let (tenures, queue) = locks.look(name, at.now);
    let (holding, waiting) = (tenures.len() as u64, queue.len() as u64);
    LockView::of(name, at.now, (tenures, holding), (queue, waiting))
}
