//! Sleeps of one thread pool, in one schedule.
//!
//! Every request has a time limit that hardly ever comes, so what must be cheap is to set and to
//! drop one: no system call, and no thread is woken unless the new end is nearer than the one that
//! is slept for. (A timer of the runtime's own wakes its thread whenever it is the only one.) The
//! trap: a runtime's clock stops while the machine is suspended, so the schedule is looked at again
//! after a nap, whatever it says.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use crate::sys::{BootClock, BootTime, Clock};

/// The sleeps of one pool.
#[derive(Default)]
pub(super) struct Timers {
    state: Mutex<State>,
    nearer: Notify,
}

#[derive(Default)]
struct State {
    sleeps: BTreeMap<(BootTime, u64), Waker>,
    last_id: u64,
    asleep_until: BootTime,
}

impl Timers {
    /// Completes at `until`.
    pub(super) fn sleep_until(self: &Arc<Self>, until: BootTime) -> Sleep {
        Sleep { timers: Arc::clone(self), until, id: None }
    }

    /// Wakes sleeps when they are due, for ever. To be run on the pool.
    pub(super) async fn run(self: Arc<Self>, nap: Duration) {
        loop {
            let nearer = self.nearer.notified();
            let now = BootClock.now();
            let mut due = Vec::new();
            let left = {
                let mut state = self.state();
                while let Some(first) = state.sleeps.first_entry() {
                    if first.key().0 > now {
                        break;
                    }
                    due.push(first.remove());
                }
                let next = state.sleeps.keys().next().map_or(BootTime::NEVER, |(at, _)| *at);
                state.asleep_until = next.min(now + nap);
                state.asleep_until.since(now)
            };
            due.into_iter().for_each(Waker::wake);
            // Rounded up by the runtime to whole milliseconds: a sleep is never too short.
            let _ = tokio::time::timeout(left, nearer).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One sleep.
pub(super) struct Sleep {
    timers: Arc<Timers>,
    until: BootTime,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if BootClock.now() >= self.until {
            return Poll::Ready(());
        }
        let this = &mut *self;
        let mut state = this.timers.state();
        let id = *this.id.get_or_insert_with(|| {
            state.last_id += 1;
            state.last_id
        });
        state.sleeps.insert((this.until, id), context.waker().clone());
        let nearer = this.until < state.asleep_until;
        drop(state);
        if nearer {
            this.timers.nearer.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let waker = self.timers.state().sleeps.remove(&(self.until, id));
            drop(waker);
        }
    }
}
