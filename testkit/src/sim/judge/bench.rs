//! What the oracles know, and how they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold::LostReason;
use leasehold::store::redis::Purpose;

use super::ops::{Ask, Ending, Op};
use super::tenures::LockLog;
use crate::sim::coverage::Coverage;
use crate::sim::fault::Fault;
use crate::sim::kernel::{Kernel, Life};
use crate::sim::mix::Place;
use crate::sim::net::{Meant, Step, meaning};
use crate::sim::redis::take_request;

/// What a server forgot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Loss {
    /// Everything.
    All,
    /// What happened last.
    Rollback,
    /// Nothing, but what is to expire does so early.
    Early,
    /// That a tenure had run out: its clock is stepped back.
    Undone,
}

/// The oracles.
pub(crate) struct Judge {
    pub(super) kernel: Arc<Kernel>,
    pub(super) places: Vec<Place>,
    pub(super) latency: u64,
    guilty: AtomicBool,
    server_ppb: AtomicI64,
    traced: bool,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) ops: Vec<Op>,
    /// Those that are not over.
    pub(super) active: BTreeSet<usize>,
    /// Tokens to operations.
    pub(super) tokens: BTreeMap<Vec<u8>, usize>,
    /// Those of attempts for several locks, of which it is not known yet: whose, and since when.
    unnamed: BTreeMap<Vec<u8>, (usize, u64)>,
    /// By token: where it last stood in the queue of its lock.
    pub(super) queue: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) locks: Vec<LockLog>,
    /// By token: when a request that can prolong its tenure was last sent, by the sender's clock.
    pub(super) sent: BTreeMap<Vec<u8>, u64>,
    /// By token: when such a request was last executed, in true time.
    pub(super) executed: BTreeMap<Vec<u8>, u64>,
    /// Tokens that the server has been asked for.
    pub(super) asked: BTreeSet<Vec<u8>>,
    /// By token: when the server was told to refuse it, in ms of its clock.
    pub(super) buried: BTreeMap<Vec<u8>, i64>,
    /// By machine: until when something was wrong.
    pub(super) disturbed: Vec<u64>,
    pub(super) paused: Vec<u64>,
    /// The oracle looks right now: what is noticed meanwhile was noticed by nobody else.
    pub(super) looking: bool,
    /// A loss is being noticed: changes need no cause.
    pub(super) losing: bool,
    /// By how much the server's clock was stepped back, in all.
    pub(super) stepped_back: u64,
    /// It lost what it knew.
    pub(super) forgot: bool,
    /// When it last came back with what it knew earlier; 0 if never.
    pub(super) rolled_back: u64,
    /// Fences are ordered within an epoch.
    pub(super) epoch: u32,
    verdict: Option<String>,
    log: Vec<String>,
    pub(crate) coverage: Coverage,
    pub(super) steps: u64,
}

impl Judge {
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        places: Vec<Place>,
        machines: usize,
        latency: u64,
        traced: bool,
    ) -> Arc<Self> {
        let locks = places.iter().map(|_| LockLog::default()).collect();
        let state = State {
            ops: Vec::new(),
            active: BTreeSet::new(),
            tokens: BTreeMap::new(),
            unnamed: BTreeMap::new(),
            queue: BTreeMap::new(),
            locks,
            sent: BTreeMap::new(),
            executed: BTreeMap::new(),
            asked: BTreeSet::new(),
            buried: BTreeMap::new(),
            disturbed: vec![0; machines],
            paused: vec![0; machines],
            looking: false,
            losing: false,
            stepped_back: 0,
            forgot: false,
            rolled_back: 0,
            epoch: 0,
            verdict: None,
            log: Vec::new(),
            coverage: Coverage::default(),
            steps: 0,
        };
        let (guilty, server_ppb) = (AtomicBool::new(false), AtomicI64::new(0));
        let state = Mutex::new(state);
        Arc::new(Self { kernel, places, latency, guilty, server_ppb, traced, state })
    }

    /// How fast the server's clock is.
    pub(crate) fn set_server_ppb(&self, ppb: i64) {
        self.server_ppb.store(ppb, Ordering::Relaxed);
    }

    pub(super) fn server_ppb(&self) -> i64 {
        self.server_ppb.load(Ordering::Relaxed)
    }

    /// Writes into the history, if that is kept.
    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        if !self.traced {
            return;
        }
        let (text, now) = (text(), self.kernel.now());
        let line = format!("{:>11.6} {text}", now as f64 / 1e9);
        self.state().log.push(line);
    }

    /// A promise was broken.
    pub(crate) fn accuse(&self, text: impl Into<String>) {
        let text = text.into();
        self.note(|| format!("!!! {text}"));
        self.guilty.store(true, Ordering::Relaxed);
        let at = self.kernel.now() as f64 / 1e9;
        self.state().verdict.get_or_insert_with(|| format!("{text} (at {at:.6} s)"));
    }

    /// Whether a promise was broken.
    pub(crate) fn guilty(&self) -> bool {
        self.guilty.load(Ordering::Relaxed)
    }

    /// What was broken, the history, what faults struck where, and the steps counted.
    pub(crate) fn close(&self) -> (Option<String>, Vec<String>, Coverage, u64) {
        let mut state = self.state();
        (
            state.verdict.take(),
            std::mem::take(&mut state.log),
            std::mem::take(&mut state.coverage),
            state.steps,
        )
    }

    /// Numbers that are the same for the same history.
    pub(crate) fn prints(&self) -> Vec<u64> {
        let state = self.state();
        let of = |op: &Op| {
            let (ended, _) = op.ended.unwrap_or((0, Ending::Tidy));
            [op.started, op.held_since, ended, op.deadline.unwrap_or_default()]
        };
        state.ops.iter().flat_map(of).collect()
    }

    /// A class of faults struck at this step.
    pub(crate) fn struck(&self, fault: Fault, step: Step, _machine: usize) {
        self.state().coverage.add(fault, step);
    }

    /// Something is wrong until then: with one machine, or with all.
    pub(crate) fn disturbed(&self, machine: Option<usize>, until: u64) {
        let mut state = self.state();
        for (index, disturbed) in state.disturbed.iter_mut().enumerate() {
            if machine.is_none_or(|machine| machine == index) {
                *disturbed = (*disturbed).max(until);
            }
        }
    }

    /// Nothing is wrong from now on.
    pub(crate) fn calm(&self, now: u64) {
        self.state().disturbed.fill(now);
        self.note(|| "--- calm: no fault from here on".to_owned());
    }

    /// A machine stands still until then.
    pub(crate) fn paused(&self, machine: usize, until: u64) {
        let mut state = self.state();
        let paused = &mut state.paused[machine];
        *paused = if until > self.kernel.now() { until.max(*paused) } else { until };
    }

    /// The server forgets something.
    pub(crate) fn loss(&self, loss: Loss) {
        let mut state = self.state();
        if loss == Loss::Rollback {
            state.rolled_back = self.kernel.now();
        }
        let State { ops, locks, .. } = &mut *state;
        if loss != Loss::Undone {
            ops.iter_mut().filter(|op| op.ended.is_none()).for_each(|op| op.excused = true);
        }
        locks.iter_mut().for_each(LockLog::forgive);
        if loss == Loss::Early {
            // Tombstones end early, too.
            state.buried.clear();
            return;
        }
        state.losing = true;
        // Fences go on growing through either, by the clock or by what is kept; not through both.
        if loss == Loss::Undone {
            state.epoch += u32::from(state.forgot);
            return;
        }
        state.forgot = true;
        for log in &mut state.locks {
            (log.last, log.unsure) = (None, loss == Loss::Rollback);
        }
        state.epoch += u32::from(state.stepped_back > 0);
        state.buried.clear();
    }

    /// The server's clock was stepped back by so much.
    pub(crate) fn stepped_back(&self, span: u64) {
        self.state().stepped_back += span;
    }

    /// By how much it was, in all.
    pub(crate) fn back(&self) -> u64 {
        self.state().stepped_back
    }

    /// A process is gone.
    pub(crate) fn crashed(&self, life: Life, _until: u64) {
        let now = self.kernel.now();
        let mut state = self.state();
        let State { ops, active, .. } = &mut *state;
        active.retain(|id| {
            let op = &mut ops[*id];
            let gone = op.life == life;
            if gone {
                op.ended = Some((now, Ending::Crashed));
                op.held = false;
            }
            !gone
        });
    }

    /// An attempt begins, for these locks together.
    pub(crate) fn begin(&self, life: Life, asks: &[Ask]) -> Range<usize> {
        let (started, local) = (self.kernel.now(), self.kernel.boot(life.machine).as_nanos());
        let mut state = self.state();
        let group = state.ops.len()..state.ops.len() + asks.len();
        for ask in asks {
            state.ops.push(Op::new(life, *ask, group.clone(), started, local));
            state.bar(ask.lock, ask.how, started);
        }
        state.active.extend(group.clone());
        drop(state);
        for (id, ask) in group.clone().zip(asks) {
            let name = &self.places[ask.lock].name;
            self.note(|| format!("m{} op{id} asks for {name} {ask:?}", life.machine));
        }
        group
    }

    /// An operation is over.
    pub(crate) fn finish(&self, op: usize, ending: Ending) {
        let now = self.kernel.now();
        {
            let mut state = self.state();
            let entry = &mut state.ops[op];
            if entry.ended.is_some() {
                return;
            }
            entry.ended = Some((now, ending));
            entry.held = false;
            let Ask { lock, how, .. } = entry.ask;
            state.bar(lock, how, now);
            state.active.remove(&op);
        }
        self.note(|| format!("op{op} is over: {ending:?}"));
    }

    /// The user of `op` forgets its lease.
    pub(crate) fn leaked(&self, op: usize) {
        {
            let mut state = self.state();
            let entry = &mut state.ops[op];
            entry.leaked = true;
            if entry.lost.is_some() {
                entry.held = false;
            }
        }
        self.note(|| format!("op{op} is leaked"));
    }

    /// One thing that counts as an operation was done.
    pub(crate) fn step_done(&self) {
        self.state().steps += 1;
    }

    /// A client writes `bytes` to its connection.
    pub(crate) fn sent(&self, life: Life, purpose: Purpose, bytes: &[u8]) {
        self.learn();
        let local = self.kernel.boot(life.machine).as_nanos();
        let mut bytes = bytes.to_vec();
        while let Ok(Some(args)) = take_request(&mut bytes) {
            let meant = meaning(&args, purpose);
            if matches!(meant.step, Step::Acquire | Step::Renew) {
                let mut state = self.state();
                for (token, keys) in meant.tokens.iter().zip(&meant.keys) {
                    state.assign(&self.places, token, &keys[0]);
                }
                for token in meant.tokens {
                    state.sent.insert(token, local);
                }
            }
        }
    }

    /// The step of a request, told from what was asked before.
    pub(crate) fn step(&self, meant: &Meant) -> Step {
        let state = self.state();
        match (meant.step, meant.tokens.first()) {
            (Step::Acquire, Some(token)) if state.asked.contains(token) => Step::Heartbeat,
            (step, _) => step,
        }
    }

    /// What a machine is at, where nothing of it is under way.
    pub(crate) fn at(&self, machine: usize) -> Step {
        let state = self.state();
        let mut mine = state.running().filter(|(_, op)| op.life.machine == machine);
        if mine.clone().any(|(_, op)| op.held) {
            Step::Holding
        } else if mine.any(|(_, op)| op.waiting()) {
            Step::Waiting
        } else {
            Step::Idle
        }
    }

    /// A token in the history: whose it is.
    pub(crate) fn name_of(&self, token: &[u8]) -> String {
        self.learn();
        match self.state().tokens.get(token) {
            Some(op) => format!("op{op}"),
            None => format!("?{}", token.escape_ascii()),
        }
    }

    /// Takes note of the tokens that were made.
    pub(super) fn learn(&self) {
        let tokens = self.kernel.take_tokens();
        if tokens.is_empty() {
            return;
        }
        let now = self.kernel.now();
        let mut state = self.state();
        for (op, token) in tokens {
            let hex: Vec<u8> =
                token.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
            if state.ops[op].grouped() {
                state.unnamed.insert(hex, (op, now));
                continue;
            }
            state.tokens.insert(hex.clone(), op);
            state.ops[op].tokens.push((hex, now));
        }
    }

    /// The lease of `op` is lost, its holder hears.
    pub(crate) fn lost(&self, op: usize, reason: LostReason) {
        self.hear_loss(op, reason);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Of attempts for several locks: the first request with a token shows which lock it is for.
    fn assign(&mut self, places: &[Place], token: &[u8], name: &[u8]) {
        let Some((leader, at)) = self.unnamed.remove(token) else { return };
        let mut group = self.ops[leader].group.clone();
        let of = |id: &usize| places[self.ops[*id].ask.lock].name.as_bytes() == name;
        if let Some(op) = group.find(of) {
            self.tokens.insert(token.to_vec(), op);
            self.ops[op].tokens.push((token.to_vec(), at));
        }
    }

    /// The operations that are not over.
    pub(super) fn running(&self) -> impl Iterator<Item = (usize, &Op)> + Clone {
        self.active.iter().map(|id| (*id, &self.ops[*id]))
    }
}
