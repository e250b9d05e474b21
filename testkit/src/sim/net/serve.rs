//! The server executes requests, and what goes wrong with one of them.

use std::sync::Arc;

use super::pipe::Item;
use super::wires::{MS, Net, State};
use super::{Meant, Step, meaning};
use crate::sim::fault::{Fault, one_of, spread};
use crate::sim::judge::Cause;
use crate::sim::redis::{Output, take_request};

/// A request that arrives later than this after it was sent is lost with its connection: a
/// tombstone lasts ten seconds, and later ones are a documented limit.
const LATEST: u64 = 9_000 * MS;

impl Net {
    /// Executes what a connection has sent, as far as it can.
    pub(super) fn serve(self: &Arc<Self>, id: u64) {
        loop {
            let now = self.kernel.now();
            let mut state = self.state();
            if state.server_paused_until > now || !state.server_up {
                return;
            }
            let Some(wire) = state.wires.get_mut(&id) else { return };
            if wire.busy_until > now || wire.server_gone {
                return;
            }
            let before = wire.input.clone();
            let Ok(Some(args)) = take_request(&mut wire.input) else { return };
            let meant = meaning(&args, wire.purpose);
            if now.saturating_sub(wire.sent_at) > LATEST {
                self.judge.note(|| format!("c{id} is so late that it is dropped"));
                self.reset(&mut state, id);
                return;
            }
            let step = self.judge.step(&meant);
            let decided = std::mem::take(&mut wire.decided);
            let fault = if decided || state.calm { None } else { self.roll() };
            if let Some(fault) = fault {
                let machine = state.wires.get(&id).map_or(0, |wire| wire.life.machine);
                self.judge.struck(fault, step, machine);
                self.judge.note(|| format!("c{id} {}: {}", step.word(), fault.word()));
            }
            let span = self.stall_span();
            match fault {
                Some(Fault::StallUp) => {
                    self.judge.disturbed(None, now + span);
                    self.hold_up(&mut state, id, before, now + span);
                    return;
                }
                Some(Fault::ResetBefore) => {
                    self.judge.disturbed(None, now);
                    self.reset(&mut state, id);
                    return;
                }
                Some(Fault::ScriptFlush) => state.server.engine.scripts.clear(),
                _ => {}
            }
            let outputs = self.execute(&mut state, id, &args, &meant, step);
            match fault {
                Some(Fault::ResetAfter) => {
                    self.judge.disturbed(None, now);
                    let others = outputs.into_iter().filter(|(to, _)| *to != id).collect();
                    self.dispatch(&mut state, id, others);
                    self.reset(&mut state, id);
                }
                Some(Fault::Duplicate) => {
                    self.twice(&mut state, id, args, &meant, outputs);
                }
                Some(Fault::StallDown | Fault::BlackHole) => {
                    self.judge.disturbed(None, now + span);
                    if let Some(wire) = state.wires.get_mut(&id) {
                        wire.down.stall(now + span);
                        if fault == Some(Fault::BlackHole) {
                            wire.up.stall(now + span);
                        }
                    }
                    self.dispatch(&mut state, id, outputs);
                }
                _ => self.dispatch(&mut state, id, outputs),
            }
            let strike = self.random.below(4000) < self.swarm.per_request && !state.calm;
            let machine = state.wires.get(&id).map(|wire| wire.life.machine);
            drop(state);
            if strike && let Some(machine) = machine {
                let net = Arc::clone(self);
                self.kernel.at(now, move || net.strike_at(machine));
            }
        }
    }

    /// The fault of this request, if it has one.
    fn roll(&self) -> Option<Fault> {
        if self.random.below(1000) >= self.swarm.per_request {
            return None;
        }
        one_of(&self.random, &self.swarm.among(&Fault::OF_REQUESTS))
    }

    pub(super) fn stall_span(&self) -> u64 {
        spread(&self.random, 1200 * MS).min(6000 * MS)
    }

    /// The request, and those after it, are under way for longer.
    fn hold_up(self: &Arc<Self>, state: &mut State, id: u64, input: Vec<u8>, until: u64) {
        let Some(wire) = state.wires.get_mut(&id) else { return };
        wire.input = input;
        (wire.busy_until, wire.decided) = (until, true);
        let net = Arc::clone(self);
        self.kernel.at(until, move || net.serve(id));
    }

    /// Runs one request on the server, and has the oracles compare before and after.
    fn execute(
        self: &Arc<Self>,
        state: &mut State,
        id: u64,
        args: &[Vec<u8>],
        meant: &Meant,
        step: Step,
    ) -> Vec<Output> {
        let now = self.kernel.now();
        let Some(wire) = state.wires.get(&id) else { return Vec::new() };
        let life = wire.life;
        state.wind(now);
        // What ended by time alone ends before this request, not by it.
        self.observe(state, None);
        if self.swarm.has(Fault::Rollback) {
            self.keep_snapshot(state, now);
        }
        let outputs = state.server.request(id, args);
        let reply = outputs.iter().find(|(to, _)| *to == id).map(|(_, bytes)| bytes);
        self.judge.note(|| {
            let shown = |bytes: &[u8]| {
                let text: String = bytes.escape_ascii().to_string();
                text.chars().take(90).collect::<String>()
            };
            let tokens: Vec<_> =
                meant.tokens.iter().map(|token| self.judge.name_of(token)).collect();
            let answer = reply.map(|bytes| shown(bytes)).unwrap_or_default();
            format!("c{id} m{} {} {} -> {answer}", life.machine, step.word(), tokens.join(","))
        });
        let refused = reply.is_some_and(|bytes| bytes.starts_with(b"-"));
        let cause = Cause { step, meant, refused };
        self.observe(state, Some(cause));
        outputs
    }

    /// Compares the server's state with what it was.
    pub(super) fn observe(self: &Arc<Self>, state: &mut State, cause: Option<Cause<'_>>) {
        let now_ms = state.server.engine.now_ms();
        let ends = self.judge.observe(&state.server.engine, now_ms, cause);
        for (lock, ms) in ends {
            let at = state.when_ms(ms + 1);
            if state.looks.get(&lock) != Some(&at) {
                state.looks.insert(lock, at);
                let net = Arc::clone(self);
                self.kernel.at(at, move || {
                    let mut state = net.state();
                    let now = net.kernel.now();
                    if state.looks.get(&lock) == Some(&at) {
                        state.looks.remove(&lock);
                    }
                    state.wind(now);
                    net.observe(&mut state, None);
                    drop(state);
                    net.judge.look_all();
                });
            }
        }
    }

    /// Sends what the server wrote.
    fn dispatch(self: &Arc<Self>, state: &mut State, from: u64, outputs: Vec<Output>) {
        for (to, bytes) in outputs {
            let push = to != from || bytes.starts_with(b">");
            if to != from
                && self.swarm.has(Fault::LostPush)
                && !state.calm
                && self.random.below(5) == 0
            {
                let machine = state.wires.get(&to).map_or(0, |wire| wire.life.machine);
                self.judge.struck(Fault::LostPush, Step::Push, machine);
                self.judge.disturbed(None, self.kernel.now());
                self.judge.note(|| format!("the push to c{to} is lost with its connection"));
                self.reset(state, to);
                continue;
            }
            let (now, at) = (self.kernel.now(), {
                let base = self.swarm.latency_us * 1000;
                self.kernel.now() + base + spread(&self.random, base / 2)
            });
            let late = self.swarm.has(Fault::Delay) && !state.calm && self.random.below(50) == 0;
            let at = if late {
                let span = spread(&self.random, 300 * MS).min(3000 * MS);
                let step = if push { Step::Push } else { Step::Idle };
                self.judge.struck(Fault::Delay, step, 0);
                self.judge.disturbed(None, now + span);
                at + span
            } else {
                at
            };
            let Some(wire) = state.wires.get_mut(&to) else { continue };
            if wire.deaf || bytes.is_empty() {
                continue;
            }
            let at = wire.down.put(at, Item::Bytes(bytes, now));
            self.arrive_down_at(to, at);
        }
    }

    /// A proxy that had no answer sends the request again; one of the two replies gets through.
    fn twice(
        self: &Arc<Self>,
        state: &mut State,
        id: u64,
        args: Vec<Vec<u8>>,
        meant: &Meant,
        outputs: Vec<Output>,
    ) {
        let until = self.kernel.now() + spread(&self.random, 20 * MS).min(1000 * MS);
        self.judge.disturbed(None, until);
        let keep_first = self.random.below(2) == 0;
        let (mut own, others): (Vec<_>, Vec<_>) =
            outputs.into_iter().partition(|(to, _)| *to == id);
        self.dispatch(state, id, others);
        let Some(wire) = state.wires.get_mut(&id) else { return };
        wire.busy_until = until;
        let (net, meant) = (Arc::clone(self), meant.clone());
        self.kernel.at(until, move || {
            let mut state = net.state();
            // Nothing follows a reset: a reply would be taken for that of a request whose own was lost.
            if !state.server_up || state.wires.get(&id).is_none_or(|wire| wire.server_gone) {
                return;
            }
            net.judge.note(|| format!("c{id} again: the duplicate"));
            let step = net.judge.step(&meant);
            let outputs = net.execute(&mut state, id, &args, &meant, step);
            let (second, others): (Vec<_>, Vec<_>) =
                outputs.into_iter().partition(|(to, _)| *to == id);
            net.dispatch(&mut state, id, others);
            if keep_first {
                net.judge.answered_before(&meant);
            } else {
                own = second;
            }
            net.dispatch(&mut state, id, own);
            drop(state);
            net.serve(id);
        });
    }
}
