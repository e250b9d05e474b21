//! True time, the machines, and their tasks: everything that happens, happens here, one thing at a
//! time, in an order that only the seed decides.
//!
//! Each machine has its own clock, can be paused (its tasks stand still, its clock goes on) and can
//! crash (its tasks are gone at once). The trap: what a crashed process leaves must not act any more,
//! though destructors run when its tasks are dropped; so each life of a machine has a number, and
//! nothing is accepted from an old one.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use leasehold::sys::{BootTime, BoxFuture, Clock, Executor, Moment, Randomness, Sys};

use super::rate::Rate;
use crate::SeededRandom;

type Task = BoxFuture<'static, ()>;
/// Something that happens at a set time.
pub(crate) type Act = Box<dyn FnOnce() + Send>;

/// The simulator's heart.
pub(crate) struct Kernel {
    state: Mutex<State>,
}

struct State {
    now: u64,
    sequence: u64,
    events: BTreeMap<(u64, u64), Event>,
    machines: Vec<Machine>,
    /// The operation whose future is being polled.
    op: Option<usize>,
    /// The tokens that operations made, in order.
    tokens: Vec<(usize, [u8; 16])>,
    random: SeededRandom,
}

enum Event {
    Wake(Waker),
    Act(Act),
}

struct Machine {
    clock: Rate,
    life: u64,
    paused_until: u64,
    random: SeededRandom,
    ready: Vec<u64>,
    tasks: BTreeMap<u64, Slot>,
}

struct Slot {
    task: Option<Task>,
    waker: Waker,
    queued: bool,
}

/// One life of a machine: from a start of its process to its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Life {
    pub(crate) machine: usize,
    pub(crate) number: u64,
}

impl Kernel {
    pub(crate) fn new(seed: u64, clocks: &[Rate]) -> Arc<Self> {
        let random = SeededRandom::new(seed);
        let machine = |clock: &Rate| Machine {
            clock: *clock,
            life: 0,
            paused_until: 0,
            random: SeededRandom::new(random.next()),
            ready: Vec::new(),
            tasks: BTreeMap::new(),
        };
        let machines = clocks.iter().map(machine).collect();
        let state = State {
            now: 0,
            sequence: 0,
            events: BTreeMap::new(),
            machines,
            op: None,
            tokens: Vec::new(),
            random,
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// True time, in ns.
    pub(crate) fn now(&self) -> u64 {
        self.state().now
    }

    /// What a machine's boot clock shows.
    pub(crate) fn boot(&self, machine: usize) -> BootTime {
        let state = self.state();
        boot(&state.machines[machine].clock, state.now)
    }

    /// A machine's clock.
    pub(crate) fn clock(&self, machine: usize) -> Rate {
        self.state().machines[machine].clock
    }

    /// Has `act` happen at true time `at`, after all that was set for then before.
    pub(crate) fn at(&self, at: u64, act: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        let at = at.max(state.now);
        state.event(at, Event::Act(Box::new(act)));
    }

    /// The present life of a machine.
    pub(crate) fn life(&self, machine: usize) -> Life {
        Life { machine, number: self.state().machines[machine].life }
    }

    /// Whether `life` has not ended.
    pub(crate) fn lives(&self, life: Life) -> bool {
        self.state().machines[life.machine].life == life.number
    }

    /// Has the machine stand still until then.
    pub(crate) fn pause(&self, machine: usize, until: u64) {
        let mut state = self.state();
        let paused = &mut state.machines[machine].paused_until;
        *paused = (*paused).max(until);
        // The loop must come by when it is over.
        state.event(until, Event::Act(Box::new(|| {})));
    }

    /// Lets the machine go on.
    pub(crate) fn resume(&self, machine: usize) {
        self.state().machines[machine].paused_until = 0;
    }

    /// Ends the machine's life; the next begins.
    pub(crate) fn crash(&self, machine: usize) {
        let gone = {
            let mut state = self.state();
            let machine = &mut state.machines[machine];
            machine.life += 1;
            machine.paused_until = 0;
            machine.ready.clear();
            std::mem::take(&mut machine.tasks)
        };
        drop(gone);
    }

    /// How many tasks a machine has.
    pub(crate) fn tasks(&self, machine: usize) -> usize {
        self.state().machines[machine].tasks.len()
    }

    /// Runs `task` in that life of its machine; drops it where that is over.
    pub(crate) fn spawn(self: &Arc<Self>, life: Life, task: Task) {
        let mut state = self.state();
        if state.machines[life.machine].life != life.number {
            drop(state);
            drop(task);
            return;
        }
        state.sequence += 1;
        let id = state.sequence;
        let waker = Waker::from(Arc::new(Bell { kernel: Arc::clone(self), life, id }));
        let machine = &mut state.machines[life.machine];
        machine.tasks.insert(id, Slot { task: Some(task), waker, queued: true });
        machine.ready.push(id);
    }

    /// What the library gets of a machine.
    pub(crate) fn sys(self: &Arc<Self>, life: Life) -> Sys {
        let hands = || Hands { kernel: Arc::clone(self), life };
        Sys::new(Arc::new(hands()), Arc::new(hands()), Arc::new(hands()))
    }

    /// Completes at true time `at`.
    pub(crate) fn sleep(self: &Arc<Self>, at: u64) -> Sleep {
        Sleep { kernel: Arc::clone(self), at, key: None }
    }

    /// `future`, whose tokens are those of `op`.
    pub(crate) fn as_op<F: Future>(self: &Arc<Self>, op: usize, future: F) -> AsOp<F> {
        AsOp { kernel: Arc::clone(self), op, future: Box::pin(future) }
    }

    /// The tokens that operations have made since the last call.
    pub(crate) fn take_tokens(&self) -> Vec<(usize, [u8; 16])> {
        std::mem::take(&mut self.state().tokens)
    }

    /// Runs until `done`, or until true time `until`, whichever is first.
    pub(crate) fn run(&self, until: u64, done: impl Fn() -> bool) {
        while !done() {
            if self.poll_one() {
                continue;
            }
            let event = {
                let mut state = self.state();
                match state.events.first_key_value() {
                    Some(((at, _), _)) if *at <= until => {}
                    _ => {
                        state.now = state.now.max(until);
                        return;
                    }
                }
                let Some(((at, _), event)) = state.events.pop_first() else { return };
                state.now = state.now.max(at);
                event
            };
            match event {
                Event::Wake(waker) => waker.wake(),
                Event::Act(act) => act(),
            }
        }
    }

    /// Polls one of the tasks that can go on, whichever the seed says: threads of a real machine
    /// are in no order either.
    fn poll_one(&self) -> bool {
        let mut state = self.state();
        let now = state.now;
        let total: usize = state.machines.iter().map(|machine| machine.runnable(now)).sum();
        if total == 0 {
            return false;
        }
        let mut pick = match total {
            1 => 0,
            _ => usize::try_from(state.random.below(total as u64)).unwrap_or_default(),
        };
        let Some(index) = state.machines.iter().position(|machine| {
            let here = machine.runnable(now);
            let found = pick < here;
            if !found {
                pick -= here;
            }
            found
        }) else {
            return false;
        };
        let machine = &mut state.machines[index];
        let life = machine.life;
        let id = machine.ready.swap_remove(pick);
        let Some(slot) = machine.tasks.get_mut(&id) else { return true };
        slot.queued = false;
        let Some(mut task) = slot.task.take() else { return true };
        let waker = slot.waker.clone();
        drop(state);
        let done = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        // Dropped outside the mutex: a task's parts may set timers or spawn.
        let rest = {
            let mut state = self.state();
            let machine = &mut state.machines[index];
            match machine.tasks.get_mut(&id) {
                Some(slot) if !done && machine.life == life => {
                    slot.task = Some(task);
                    None
                }
                _ => Some((machine.tasks.remove(&id), task)),
            }
        };
        drop(rest);
        true
    }

    /// Drops everything: tasks hold the machines, and would keep all for ever.
    pub(crate) fn end(&self) {
        loop {
            let rest = {
                let mut state = self.state();
                let tasks: Vec<_> =
                    state.machines.iter_mut().map(|all| std::mem::take(&mut all.tasks)).collect();
                (tasks, std::mem::take(&mut state.events))
            };
            if rest.1.is_empty() && rest.0.iter().all(BTreeMap::is_empty) {
                return;
            }
            drop(rest);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn event(&mut self, at: u64, event: Event) -> (u64, u64) {
        self.sequence += 1;
        let key = (at, self.sequence);
        self.events.insert(key, event);
        key
    }
}

impl Machine {
    fn runnable(&self, now: u64) -> usize {
        if self.paused_until > now { 0 } else { self.ready.len() }
    }
}

fn boot(clock: &Rate, now: u64) -> BootTime {
    BootTime::from_nanos(u64::try_from(clock.shows(now)).unwrap_or_default())
}

struct Bell {
    kernel: Arc<Kernel>,
    life: Life,
    id: u64,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.kernel.state();
        let machine = &mut state.machines[self.life.machine];
        if machine.life != self.life.number {
            return;
        }
        if let Some(slot) = machine.tasks.get_mut(&self.id)
            && !slot.queued
        {
            slot.queued = true;
            machine.ready.push(self.id);
        }
    }
}

/// A machine's clock, randomness and executor, for one life.
struct Hands {
    kernel: Arc<Kernel>,
    life: Life,
}

impl Clock for Hands {
    fn moment(&self) -> Moment {
        let now = self.kernel.boot(self.life.machine);
        // Only shown to people.
        Moment { now, wall_us: 1_767_225_600_000_000 + now.as_nanos() / 1000 }
    }

    fn now(&self) -> BootTime {
        self.kernel.boot(self.life.machine)
    }
}

impl Randomness for Hands {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.kernel.state();
        state.machines[self.life.machine].random.fill(bytes);
        // One token or those of several locks.
        if let (Some(op), (tokens, [])) = (state.op, bytes.as_chunks()) {
            state.tokens.extend(tokens.iter().map(|token| (op, *token)));
        }
    }
}

impl Executor for Hands {
    fn spawn(&self, task: Task) {
        self.kernel.spawn(self.life, task);
    }

    fn spawn_lease(&self, task: Task) {
        self.kernel.spawn(self.life, task);
    }

    fn sleep_until(&self, until: BootTime) -> Task {
        let clock = self.kernel.clock(self.life.machine);
        let at = clock.when(i128::from(until.as_nanos()));
        Box::pin(self.kernel.sleep(at))
    }
}

/// Completes at a true time.
pub(crate) struct Sleep {
    kernel: Arc<Kernel>,
    at: u64,
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.kernel.state();
        if state.now >= this.at {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        let old = match this.key {
            Some(key) => state.events.insert(key, Event::Wake(waker)),
            None => {
                this.key = Some(state.event(this.at, Event::Wake(waker)));
                None
            }
        };
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let event = self.kernel.state().events.remove(&key);
            drop(event);
        }
    }
}

/// A future that is an operation's.
pub(crate) struct AsOp<F> {
    kernel: Arc<Kernel>,
    op: usize,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for AsOp<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let op = self.op;
        let before = self.kernel.state().op.replace(op);
        let polled = self.future.as_mut().poll(context);
        self.kernel.state().op = before;
        polled
    }
}
