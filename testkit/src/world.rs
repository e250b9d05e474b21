//! Virtual time: a clock that only the test moves, and the executor that goes with it.
//!
//! Expiry, heartbeats and renewals of minutes then take no time at all, and "exactly at the
//! deadline" can be tested. There are two clocks: boot time never steps, wall time may. The trap: a
//! store with threads of its own wakes tasks from outside, so when all wait that is not always the
//! end. [`World::block_on`] therefore waits for such a wake-up and never moves the clock;
//! [`World::run`] moves it, and is for code that has no thread of its own.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use leasehold::sys::{BootTime, BoxFuture, Clock, Executor, Moment, Sys};

use crate::SeededRandom;

/// The main future of a run; spawned tasks count from 1.
const MAIN: u64 = 0;
/// 2026-01-01, in microseconds since 1970.
const FIRST_WALL_US: i64 = 1_767_225_600_000_000;
/// A real wait for a store's own thread that takes longer than this is a hang.
const HANG: Duration = Duration::from_secs(60);

/// A machine with a clock that stands still until the test moves it. Cheap to clone.
#[derive(Clone)]
pub struct World {
    inner: Arc<Inner>,
    random: Arc<SeededRandom>,
    // Ends the background tasks with the last handle: they hold the machine and would keep it.
    _end: Arc<End>,
}

struct Inner {
    state: Mutex<State>,
    bell: Condvar,
}

struct End(Arc<Inner>);

type Task = BoxFuture<'static, ()>;

struct State {
    now: BootTime,
    wall_us: i64,
    ready: VecDeque<u64>,
    tasks: HashMap<u64, Option<Task>>,
    timers: BTreeMap<(BootTime, u64), Waker>,
    last_id: u64,
}

impl World {
    /// A machine that was started 1,000 s ago, with randomness from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let inner = Arc::new(Inner {
            state: Mutex::new(State {
                now: BootTime::from_nanos(1_000_000_000_000),
                wall_us: FIRST_WALL_US,
                ready: VecDeque::new(),
                tasks: HashMap::new(),
                timers: BTreeMap::new(),
                last_id: MAIN,
            }),
            bell: Condvar::new(),
        });
        let end = Arc::new(End(Arc::clone(&inner)));
        Self { inner, random: Arc::new(SeededRandom::new(seed)), _end: end }
    }

    /// Its time, randomness and executor, as the library takes them.
    #[must_use]
    pub fn sys(&self) -> Sys {
        let inner = Arc::clone(&self.inner);
        let executor: Arc<dyn Executor> = Arc::new(Spawner(Arc::clone(&inner)));
        Sys::new(Arc::new(Hands(inner)), Arc::clone(&self.random) as _, executor)
    }

    /// Its randomness, for the test's own choices.
    #[must_use]
    pub fn random(&self) -> &SeededRandom {
        &self.random
    }

    /// Boot time.
    #[must_use]
    pub fn now(&self) -> BootTime {
        self.inner.state().now
    }

    /// Boot time and wall time.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.inner.state().moment()
    }

    /// Lets `span` pass: every timer in it fires in order, and what it wakes runs before the next.
    pub fn advance(&self, span: Duration) {
        let target = self.now() + span;
        self.settle();
        while self.inner.fire_next(target) {
            self.settle();
        }
        self.inner.state().pass(target);
        self.settle();
    }

    /// Lets `span` pass with nothing running: the process was paused or the machine slept. What
    /// became due meanwhile runs at the next [`settle`](Self::settle) or run, all late.
    pub fn pause(&self, span: Duration) {
        let mut state = self.inner.state();
        let target = state.now + span;
        state.pass(target);
    }

    /// Steps the wall clock by `seconds`; boot time stays.
    pub fn step_wall(&self, seconds: i64) {
        self.inner.state().wall_us += seconds * 1_000_000;
    }

    /// Sets the wall clock, in microseconds since 1970; boot time stays.
    pub fn set_wall_us(&self, wall_us: u64) {
        self.inner.state().wall_us = i64::try_from(wall_us).unwrap_or(i64::MAX);
    }

    /// Runs the background tasks until none can go on at this instant.
    pub fn settle(&self) {
        self.inner.fire_due();
        while self.step() {
            self.inner.fire_due();
        }
    }

    /// Runs `future` and the background tasks; whenever all wait, the clock moves to the next
    /// timer.
    ///
    /// # Panics
    /// Where all wait and there is no timer: a lost wake-up.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.drive(future, |inner| {
            let idle = inner.state().ready.is_empty();
            assert!(
                !idle || inner.fire_next(BootTime::NEVER),
                "everything waits and no timer is set: a wake-up was lost"
            );
        })
    }

    /// Runs `future` and the background tasks at this instant; waits, in real time, for what a
    /// store's own thread answers.
    ///
    /// # Panics
    /// Where nothing happens for a minute.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.drive(future, |inner| {
            let state = inner.state();
            let (state, waited) = inner
                .bell
                .wait_timeout_while(state, HANG, |state| state.ready.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            drop(state);
            assert!(!waited.timed_out(), "nothing happened for {HANG:?}");
        })
    }

    /// Polls `future` once, then lets the background tasks run at this instant. For a future that
    /// is to be dropped between two polls.
    pub fn poll_once<T>(&self, future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
        let waker = self.waker(MAIN);
        let polled = future.poll(&mut Context::from_waker(&waker));
        self.settle();
        polled
    }

    fn drive<T>(&self, future: impl Future<Output = T>, stalled: impl Fn(&Inner)) -> T {
        let mut future = pin!(future);
        let waker = self.waker(MAIN);
        let mut context = Context::from_waker(&waker);
        let mut woken = true;
        loop {
            if woken && let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return value;
            }
            woken = false;
            self.inner.fire_due();
            let next = self.inner.state().ready.pop_front();
            match next {
                Some(MAIN) => woken = true,
                Some(id) => self.poll_task(id),
                None => stalled(&self.inner),
            }
        }
    }

    /// Polls one ready background task; false where there is none.
    fn step(&self) -> bool {
        let Some(id) = self.inner.state().ready.pop_front() else { return false };
        if id != MAIN {
            self.poll_task(id);
        }
        true
    }

    fn poll_task(&self, id: u64) {
        let taken = self.inner.state().tasks.get_mut(&id).and_then(Option::take);
        let Some(mut task) = taken else { return };
        let waker = self.waker(id);
        let done = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        // Dropped outside the mutex: a task's parts may set timers or spawn.
        let rest = {
            let mut state = self.inner.state();
            if done {
                state.tasks.remove(&id);
                Some(task)
            } else {
                state.tasks.insert(id, Some(task));
                None
            }
        };
        drop(rest);
    }

    fn waker(&self, id: u64) -> Waker {
        Waker::from(Arc::new(Bell { inner: Arc::clone(&self.inner), id }))
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World at {:?}", self.now())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let (tasks, timers) = {
            let mut state = self.0.state();
            (std::mem::take(&mut state.tasks), std::mem::take(&mut state.timers))
        };
        drop((tasks, timers));
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes what is due now. Outside the mutex: a waker takes it.
    fn fire_due(&self) {
        let due = self.state().take_due();
        due.into_iter().for_each(Waker::wake);
    }

    /// Moves to the next timer until `target`, and wakes it; false where there is none.
    fn fire_next(&self, target: BootTime) -> bool {
        let mut state = self.state();
        let Some((at, _)) = state.timers.keys().next().copied() else { return false };
        if at > target {
            return false;
        }
        state.pass(at);
        drop(state);
        self.fire_due();
        true
    }
}

impl State {
    fn moment(&self) -> Moment {
        Moment { now: self.now, wall_us: u64::try_from(self.wall_us).unwrap_or_default() }
    }

    fn pass(&mut self, to: BootTime) {
        let span = to.since(self.now);
        self.now = self.now.max(to);
        self.wall_us += i64::try_from(span.as_micros()).unwrap_or(i64::MAX / 2);
    }

    fn take_due(&mut self) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(first) = self.timers.first_entry() {
            if first.key().0 > self.now {
                break;
            }
            due.push(first.remove());
        }
        due
    }
}

struct Hands(Arc<Inner>);

impl Clock for Hands {
    fn moment(&self) -> Moment {
        self.0.state().moment()
    }
}

struct Spawner(Arc<Inner>);

impl Executor for Spawner {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let mut state = self.0.state();
        state.last_id += 1;
        let id = state.last_id;
        state.tasks.insert(id, Some(task));
        state.ready.push_back(id);
        drop(state);
        self.0.bell.notify_all();
    }

    fn spawn_lease(&self, task: BoxFuture<'static, ()>) {
        // One thread runs all: in virtual time nothing can be starved.
        self.spawn(task);
    }

    fn sleep_until(&self, until: BootTime) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { inner: Arc::clone(&self.0), until, id: None })
    }
}

struct Sleep {
    inner: Arc<Inner>,
    until: BootTime,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.inner.state();
        if state.now >= this.until {
            return Poll::Ready(());
        }
        let id = *this.id.get_or_insert_with(|| {
            state.last_id += 1;
            state.last_id
        });
        state.timers.insert((this.until, id), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let timer = self.inner.state().timers.remove(&(self.until, id));
            drop(timer);
        }
    }
}

struct Bell {
    inner: Arc<Inner>,
    id: u64,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let mut state = self.inner.state();
        if !state.ready.contains(&self.id) {
            state.ready.push_back(self.id);
        }
        drop(state);
        self.inner.bell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[test]
    fn timers_fire_in_order_and_on_time() {
        let world = World::new(1);
        let (start, sys) = (world.now(), world.sys());
        let fired = Arc::<Mutex<Vec<Duration>>>::default();
        for millis in [30, 10, 20] {
            let (sys, fired) = (sys.clone(), Arc::clone(&fired));
            world.sys().spawn(Box::pin(async move {
                sys.sleep_until(start + Duration::from_millis(millis)).await;
                fired.lock().unwrap().push(sys.now().since(start));
            }));
        }
        world.advance(Duration::from_millis(20));
        assert_eq!(*fired.lock().unwrap(), [10, 20].map(Duration::from_millis));
        world.pause(Duration::from_millis(100));
        assert_eq!(fired.lock().unwrap().len(), 2, "nothing runs during a pause");
        world.settle();
        assert_eq!(fired.lock().unwrap().last(), Some(&Duration::from_millis(120)), "late");
    }

    #[test]
    fn a_run_jumps_to_the_next_timer() {
        let world = World::new(1);
        let (start, sys) = (world.now(), world.sys());
        world.run(sys.sleep_until(start + Duration::from_secs(86_400)));
        assert_eq!(world.now().since(start), Duration::from_secs(86_400));
    }

    #[test]
    #[should_panic(expected = "a wake-up was lost")]
    fn a_run_that_waits_for_nothing_is_a_lost_wake_up() {
        World::new(1).run(pending::<()>());
    }

    #[test]
    fn the_wall_clock_steps_alone() {
        let world = World::new(1);
        let before = world.moment();
        world.step_wall(-3600);
        let after = world.moment();
        assert_eq!(after.now, before.now);
        assert_eq!(after.wall_us, before.wall_us - 3_600_000_000);
        world.advance(Duration::from_secs(1));
        assert_eq!(world.moment().wall_us, after.wall_us + 1_000_000);
    }

    #[test]
    fn a_seed_repeats_itself() {
        let tokens = |seed| [0; 3].map(|_: u8| World::new(seed).sys().token());
        assert_eq!(tokens(7), tokens(7));
        assert_ne!(tokens(7), tokens(8));
    }
}
