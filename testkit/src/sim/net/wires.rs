//! The connections: bytes on their way to the server and back, each connection in its own order and
//! with its own delays, so that two connections of one client overtake one another.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use leasehold::store::redis::Purpose;

use super::link::End;
use super::pipe::{Item, Pipe};
use super::{Step, meaning};
use crate::SeededRandom;
use crate::sim::fault::{Fault, Swarm, spread};
use crate::sim::judge::Judge;
use crate::sim::kernel::{Kernel, Life};
use crate::sim::rate::Rate;
use crate::sim::redis::{Db, Server, take_request};

/// A thousandth of a second, in the ns of true time.
pub(crate) const MS: u64 = 1_000_000;

/// The network and the server in it.
pub(crate) struct Net {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) judge: Arc<Judge>,
    pub(crate) swarm: Swarm,
    pub(super) random: SeededRandom,
    state: Mutex<State>,
    restart: OnceLock<Restart>,
}

/// Starts a machine's process anew.
type Restart = Box<dyn Fn(usize) + Send + Sync>;

pub(super) struct State {
    pub(super) server: Server,
    pub(super) server_up: bool,
    pub(super) server_paused_until: u64,
    pub(super) wall: Rate,
    /// What the server's wall clock was stepped by, in ns.
    pub(super) stepped: i128,
    pub(super) wires: BTreeMap<u64, Wire>,
    pub(super) cut_until: Vec<u64>,
    pub(super) refused_until: Vec<u64>,
    pub(super) snapshots: Vec<(u64, Db)>,
    pub(super) calm: bool,
    /// When the expiry of each lock is looked at.
    pub(super) looks: BTreeMap<usize, u64>,
}

/// One connection.
pub(super) struct Wire {
    pub(super) life: Life,
    pub(super) purpose: Purpose,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
    pub(super) end: Arc<End>,
    pub(super) input: Vec<u8>,
    pub(super) sent_at: u64,
    pub(super) busy_until: u64,
    /// A request whose fault was decided before it was held up.
    pub(super) decided: bool,
    /// The client is gone, or its host is: nothing reaches it any more.
    pub(super) deaf: bool,
    pub(super) server_gone: bool,
}

impl Net {
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        judge: Arc<Judge>,
        swarm: Swarm,
        machines: usize,
        random: SeededRandom,
    ) -> Arc<Self> {
        let ppb =
            if swarm.has(Fault::Drift) { random.below(1_000_001) as i64 - 500_000 } else { 0 };
        judge.set_server_ppb(ppb);
        // 2026, at any fraction of a millisecond.
        let start = 1_767_225_600_000_000_000 + i128::from(random.below(3_600_000_000_000));
        let mut server = Server::default();
        server.push_after_reply = random.below(2) == 0;
        let state = State {
            server,
            server_up: true,
            server_paused_until: 0,
            wall: Rate { start, ppb },
            stepped: 0,
            wires: BTreeMap::new(),
            cut_until: vec![0; machines],
            refused_until: vec![0; machines],
            snapshots: Vec::new(),
            calm: false,
            looks: BTreeMap::new(),
        };
        let (state, restart) = (Mutex::new(state), OnceLock::new());
        Arc::new(Self { kernel, judge, swarm, random, state, restart })
    }

    /// What starts a machine's process anew.
    pub(crate) fn on_restart(&self, restart: impl Fn(usize) + Send + Sync + 'static) {
        let _ = self.restart.set(Box::new(restart));
    }

    pub(super) fn restart(&self, machine: usize) {
        if let Some(restart) = self.restart.get() {
            restart(machine);
        }
    }

    /// When what is sent now arrives.
    pub(crate) fn after_trip(&self) -> u64 {
        let base = self.swarm.latency_us * 1000;
        let mut span = base + spread(&self.random, base / 2);
        if self.swarm.has(Fault::Delay) && self.random.below(50) == 0 && !self.state().calm {
            let late = spread(&self.random, 200 * MS).min(3000 * MS);
            self.judge.struck(Fault::Delay, Step::Idle, 0);
            self.judge.disturbed(None, self.kernel.now() + late);
            span += late;
        }
        self.kernel.now() + span
    }

    /// A new connection. `Err` with a time: nothing answers before it; without: refused.
    pub(super) fn connect(
        &self,
        life: Life,
        purpose: Purpose,
    ) -> Result<(u64, Arc<End>), Option<u64>> {
        let mut state = self.state();
        let now = self.kernel.now();
        if !self.kernel.lives(life) {
            return Err(Some(u64::MAX / 4));
        }
        let cut = state.cut_until[life.machine];
        if cut > now {
            return Err(Some(cut + self.random.below(500 * MS)));
        }
        if !state.server_up || state.refused_until[life.machine] > now {
            return Err(None);
        }
        let id = state.server.connect();
        let end = Arc::<End>::default();
        let wire = Wire {
            life,
            purpose,
            up: Pipe::default(),
            down: Pipe::default(),
            end: Arc::clone(&end),
            input: Vec::new(),
            sent_at: 0,
            busy_until: 0,
            decided: false,
            deaf: false,
            server_gone: false,
        };
        state.wires.insert(id, wire);
        drop(state);
        self.judge.note(|| format!("m{} connects as c{id} ({purpose:?})", life.machine));
        Ok((id, end))
    }

    /// The client wrote `bytes`.
    pub(super) fn send(self: &Arc<Self>, id: u64, bytes: &[u8]) -> io::Result<()> {
        let now = self.kernel.now();
        let at = self.after_trip();
        let mut state = self.state();
        let Some(wire) = state.wires.get_mut(&id) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        self.judge.sent(wire.life, wire.purpose, bytes);
        let mut pieces = vec![bytes];
        if self.swarm.has(Fault::Split) && bytes.len() > 1 && self.random.below(4) == 0 {
            let middle = 1 + self.random.below(bytes.len() as u64 - 1);
            let (first, rest) = bytes.split_at(usize::try_from(middle).unwrap_or(1));
            pieces = vec![first, rest];
        }
        let mut arrivals = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let at = at + index as u64 * self.random.below(2 * MS);
            arrivals.push(wire.up.put(at, Item::Bytes(piece.to_vec(), now)));
        }
        drop(state);
        for at in arrivals {
            self.arrive_up_at(id, at);
        }
        Ok(())
    }

    /// The client closed, or is gone. What it had sent may still arrive.
    pub(super) fn client_closed(self: &Arc<Self>, id: u64) {
        let at = self.after_trip();
        let mut state = self.state();
        let Some(wire) = state.wires.get_mut(&id) else { return };
        if wire.deaf || wire.server_gone {
            state.wires.remove(&id);
            return;
        }
        wire.deaf = true;
        wire.down.clear();
        if self.random.below(4) == 0 {
            wire.up.clear();
        }
        let at = wire.up.put(at, Item::Close);
        drop(state);
        self.judge.note(|| format!("c{id} is closed by its client"));
        self.arrive_up_at(id, at);
    }

    pub(super) fn arrive_up_at(self: &Arc<Self>, id: u64, at: u64) {
        let net = Arc::clone(self);
        self.kernel.at(at, move || net.arrive_up(id));
    }

    pub(super) fn arrive_down_at(self: &Arc<Self>, id: u64, at: u64) {
        let net = Arc::clone(self);
        self.kernel.at(at, move || net.arrive_down(id));
    }

    /// Something may have reached the server.
    fn arrive_up(self: &Arc<Self>, id: u64) {
        let now = self.kernel.now();
        let mut state = self.state();
        let paused = state.server_paused_until;
        if paused > now {
            drop(state);
            return self.arrive_up_at(id, paused);
        }
        let State { wires, server, .. } = &mut *state;
        let Some(wire) = wires.get_mut(&id) else { return };
        while let Some(item) = wire.up.take(now) {
            match item {
                Item::Bytes(bytes, sent_at) => {
                    wire.sent_at = sent_at;
                    wire.input.extend_from_slice(&bytes);
                }
                Item::Close | Item::Reset => {
                    server.disconnect(id);
                    wires.remove(&id);
                    return;
                }
            }
        }
        let next = wire.up.next();
        drop(state);
        if let Some(at) = next {
            self.arrive_up_at(id, at);
        }
        self.serve(id);
    }

    /// Something may have reached the client.
    fn arrive_down(self: &Arc<Self>, id: u64) {
        let now = self.kernel.now();
        let mut state = self.state();
        let Some(wire) = state.wires.get_mut(&id) else { return };
        let (end, machine) = (Arc::clone(&wire.end), wire.life.machine);
        let (mut bytes, mut over) = (Vec::new(), false);
        while let Some(item) = wire.down.take(now) {
            match item {
                Item::Bytes(more, _) => bytes.extend(more),
                Item::Close | Item::Reset => over = true,
            }
        }
        let next = wire.down.next();
        if wire.deaf {
            return;
        }
        if over {
            state.wires.remove(&id);
        }
        drop(state);
        if !bytes.is_empty() {
            end.bytes(&bytes);
        }
        if over {
            end.over(io::ErrorKind::ConnectionReset);
        }
        if let Some(at) = next {
            self.arrive_down_at(id, at);
        }
        // After the machine's tasks have seen it.
        self.look_at(machine, self.kernel.now());
    }

    /// Has the oracles look at a machine's leases then, once its tasks can't go on any more.
    pub(super) fn look_at(&self, machine: usize, at: u64) {
        let judge = Arc::clone(&self.judge);
        self.kernel.at(at, move || judge.look(machine));
    }

    /// The server drops a connection: what is under way to the client is lost.
    pub(super) fn reset(self: &Arc<Self>, state: &mut State, id: u64) {
        state.server.disconnect(id);
        let Some(wire) = state.wires.get_mut(&id) else { return };
        if wire.deaf {
            state.wires.remove(&id);
            return;
        }
        wire.up.clear();
        wire.input.clear();
        wire.down.clear();
        wire.server_gone = true;
        let at = self.kernel.now() + self.swarm.latency_us * 1000;
        let at = wire.down.put(at, Item::Reset);
        self.arrive_down_at(id, at);
    }

    /// What a machine has under way, or is at.
    pub(super) fn steps_of(&self, state: &State, machine: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        for wire in state.wires.values().filter(|wire| wire.life.machine == machine && !wire.deaf) {
            for bytes in wire.up.bytes() {
                let mut bytes = bytes.clone();
                while let Ok(Some(args)) = take_request(&mut bytes) {
                    steps.push(self.judge.step(&meaning(&args, wire.purpose)));
                }
            }
            if wire.down.bytes().any(|bytes| bytes.starts_with(b">")) {
                steps.push(Step::Push);
            }
        }
        if steps.is_empty() {
            steps.push(self.judge.at(machine));
        }
        steps
    }

    /// The connections are dropped with their wakers.
    pub(crate) fn end(&self) {
        let wires = std::mem::take(&mut self.state().wires);
        drop(wires);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The server's wall clock, in ns since 1970.
    pub(super) fn wall_ns(&self, now: u64) -> i128 {
        self.wall.shows(now) + self.stepped
    }

    /// The true time at which the server's wall clock shows `ms`.
    pub(super) fn when_ms(&self, ms: i64) -> u64 {
        self.wall.when(i128::from(ms) * i128::from(MS) - self.stepped)
    }

    /// Sets the server's clock to now.
    pub(super) fn wind(&mut self, now: u64) {
        self.server.engine.now_us = i64::try_from(self.wall_ns(now).div_euclid(1000)).unwrap_or(0);
    }
}
