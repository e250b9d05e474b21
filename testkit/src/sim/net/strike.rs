//! Faults of the server and of whole machines.

use std::sync::Arc;

use super::pipe::Item;
use super::wires::{MS, Net, State};
use crate::sim::fault::{Fault, below, one_of, spread};
use crate::sim::judge::Loss;

impl Net {
    /// From now on something happens now and then, until calm is made.
    pub(crate) fn begin(self: &Arc<Self>) {
        if self.swarm.among(&Fault::OF_MACHINES).is_empty() {
            return;
        }
        self.next_strike();
    }

    fn next_strike(self: &Arc<Self>) {
        let at = self.kernel.now() + spread(&self.random, self.swarm.gap_ms * MS);
        let net = Arc::clone(self);
        self.kernel.at(at, move || {
            if net.state().calm {
                return;
            }
            let machine = {
                let machines = net.state().cut_until.len();
                below(&net.random, machines)
            };
            net.strike_at(machine);
            net.next_strike();
        });
    }

    /// Something happens to this machine, or to the server while it is at something.
    pub(super) fn strike_at(self: &Arc<Self>, machine: usize) {
        let Some(fault) = one_of(&self.random, &self.swarm.among(&Fault::OF_MACHINES)) else {
            return;
        };
        let now = self.kernel.now();
        let span = spread(&self.random, 1500 * MS).min(6000 * MS);
        let mut state = self.state();
        if state.calm {
            return;
        }
        for step in self.steps_of(&state, machine) {
            self.judge.struck(fault, step, machine);
        }
        self.judge.note(|| format!("m{machine}: {} for {} ms", fault.word(), span / MS));
        if fault != Fault::ScriptFlush {
            self.judge.disturbed(None, now + span);
        }
        match fault {
            Fault::DialRefused => state.refused_until[machine] = now + span,
            Fault::Partition => {
                state.cut_until[machine] = now + span;
                for wire in state.wires.values_mut().filter(|wire| wire.life.machine == machine) {
                    wire.up.stall(now + span);
                    wire.down.stall(now + span);
                }
            }
            Fault::CrashKept | Fault::CrashLost | Fault::Rollback => {
                self.crash_server(&mut state, fault, now + span);
            }
            Fault::ServerPause => {
                state.server_paused_until = now + span;
                let net = Arc::clone(self);
                self.kernel.at(now + span, move || {
                    let all: Vec<u64> = net.state().wires.keys().copied().collect();
                    all.into_iter().for_each(|id| net.serve(id));
                });
            }
            Fault::StepForward | Fault::StepBack => self.step_clock(&mut state, fault),
            Fault::ScriptFlush => state.server.engine.scripts.clear(),
            Fault::ClientPause => {
                // Also much longer than a lease.
                let span = if self.random.below(4) == 0 { span * 3 } else { span };
                self.judge.disturbed(Some(machine), now + span);
                self.judge.paused(machine, now + span);
                self.kernel.pause(machine, now + span);
                // What came meanwhile is read only now, and may prolong a lease that is soon lost.
                self.look_at(machine, now + span);
            }
            Fault::ClientCrash | Fault::HostCrash => {
                drop(state);
                self.crash_client(machine, fault == Fault::ClientCrash, now + span);
            }
            _ => {}
        }
    }

    fn crash_server(self: &Arc<Self>, state: &mut State, fault: Fault, until: u64) {
        let now = self.kernel.now();
        let all: Vec<u64> = state.wires.keys().copied().collect();
        for id in all {
            self.reset(state, id);
        }
        state.server.crash(fault != Fault::CrashLost);
        state.wind(now);
        match fault {
            Fault::CrashLost => self.lose(state, Loss::All),
            // What a second ago was not yet on disk, or on the replica, is gone.
            Fault::Rollback if !state.snapshots.is_empty() => {
                let at = below(&self.random, state.snapshots.len());
                state.server.engine.db = state.snapshots.swap_remove(at).1;
                state.snapshots.clear();
                self.lose(state, Loss::Rollback);
            }
            _ => {}
        }
        state.server_up = false;
        state.server_paused_until = 0;
        let net = Arc::clone(self);
        self.kernel.at(until, move || net.state().server_up = true);
    }

    fn lose(self: &Arc<Self>, state: &mut State, loss: Loss) {
        self.judge.loss(loss);
        self.observe(state, None);
    }

    /// Keeps what the server has now and then, for a rollback to a moment of the last second.
    pub(super) fn keep_snapshot(&self, state: &mut State, now: u64) {
        state.snapshots.retain(|(at, _)| at + 1000 * MS > now);
        if state.snapshots.last().is_none_or(|(at, _)| at + 50 * MS < now) {
            let db = state.server.engine.db.clone();
            state.snapshots.push((now, db));
        }
    }

    fn step_clock(self: &Arc<Self>, state: &mut State, fault: Fault) {
        let span = spread(&self.random, 5000 * MS).min(60_000 * MS);
        let forward = fault == Fault::StepForward;
        // Forward, tenures of before end early: a documented limit. Back, one that had run out by
        // the clock alone is there again.
        self.judge.loss(if forward { Loss::Early } else { Loss::Undone });
        if !forward {
            self.judge.stepped_back(span);
        }
        state.stepped += if forward { i128::from(span) } else { -i128::from(span) };
        state.looks.clear();
        state.wind(self.kernel.now());
        self.observe(state, None);
    }

    /// A process ends without a word; with `tidy` its system closes what it had open, without it
    /// the whole host is gone and the server is not told.
    fn crash_client(self: &Arc<Self>, machine: usize, tidy: bool, until: u64) {
        let life = self.kernel.life(machine);
        let trip = self.after_trip();
        let mut ends = Vec::new();
        {
            let mut state = self.state();
            for (id, wire) in &mut state.wires {
                if wire.life == life && !wire.deaf {
                    wire.deaf = true;
                    wire.down.clear();
                    if tidy {
                        ends.push((*id, wire.up.put(trip, Item::Close)));
                    }
                }
            }
        }
        for (id, at) in ends {
            self.arrive_up_at(id, at);
        }
        self.judge.crashed(life, until);
        self.kernel.crash(machine);
        let (net, next) = (Arc::clone(self), self.kernel.life(machine));
        self.kernel.at(until, move || {
            // Unless it has crashed again meanwhile.
            if net.kernel.lives(next) {
                net.restart(machine);
            }
        });
    }

    /// Ends all faults: whatever is to happen, can happen.
    pub(crate) fn make_calm(self: &Arc<Self>) {
        let now = self.kernel.now();
        let mut state = self.state();
        state.calm = true;
        state.server_up = true;
        state.server_paused_until = 0;
        state.cut_until.fill(0);
        state.refused_until.fill(0);
        let ids: Vec<u64> = state.wires.keys().copied().collect();
        for wire in state.wires.values_mut() {
            wire.up.heal();
            wire.down.heal();
            // A held-up request goes on; a duplicate that is due still comes before its reply.
            if wire.decided {
                wire.busy_until = now;
            }
        }
        let machines = state.cut_until.len();
        drop(state);
        for machine in 0..machines {
            self.kernel.resume(machine);
            self.judge.paused(machine, now);
            self.look_at(machine, now);
        }
        self.judge.calm(now);
        for id in ids {
            self.arrive_up_at(id, now);
            self.arrive_down_at(id, now);
        }
    }

    /// The server's keys as they would be `later` ns from now, shown.
    pub(crate) fn keys_after(&self, later: u64) -> Vec<(String, Option<i64>)> {
        let now = self.kernel.now();
        let mut state = self.state();
        state.wind(now + later);
        let now_ms = state.server.engine.now_ms();
        let db = &state.server.engine.db;
        db.live(now_ms)
            .map(|(key, entry)| {
                (key.escape_ascii().to_string(), entry.expires_ms.map(|at| at - now_ms))
            })
            .collect()
    }

    /// Connections that the server has, and those among them of hosts that are gone.
    pub(crate) fn connections(&self) -> usize {
        let state = self.state();
        state.wires.values().filter(|wire| !wire.deaf).count()
    }
}
