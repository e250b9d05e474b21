//! One try to take a lock, as an object that the caller owns from the start.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold::sys::fork::Inherited;
use leasehold::{ErrorKind, Lock, LockAll};

use crate::{ErrorInfo, Held, Pending};

/// What an attempt came to, as plain data. The lease itself is [`Attempt::held`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The lock is held.
    Held {
        /// The tenure's fence; 0 of several.
        fence: u64,
    },
    /// The wait ran out.
    TimedOut(ErrorInfo),
    /// Taken, and the attempt did not wait.
    Busy,
    /// Cancelled: it yields no lease, ever.
    Cancelled,
    /// Waiting would never end.
    Deadlock(ErrorInfo),
    /// Anything else.
    Failed(ErrorInfo),
}

impl Outcome {
    /// The error that it is, for a caller to whom everything but `Held` and `Busy` is one.
    #[must_use]
    pub fn error(&self) -> Option<ErrorInfo> {
        match self {
            Self::Held { .. } | Self::Busy => None,
            Self::TimedOut(error) | Self::Deadlock(error) | Self::Failed(error) => {
                Some(error.clone())
            }
            Self::Cancelled => Some(ErrorInfo::cancelled()),
        }
    }
}

/// One try to take a lock. It owns what it obtains: dropping or cancelling it gives that back.
pub struct Attempt {
    done: Pending<Outcome>,
    slot: Inherited<Arc<Slot>>,
}

/// Where the lease lands, and whether it is still wanted.
struct Slot {
    state: Mutex<State>,
    stop: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    held: Option<Held>,
}

impl Attempt {
    /// A try at one lock.
    pub(crate) fn start(lock: leasehold::Result<Lock>, try_only: bool) -> Self {
        Self::of(async move {
            let lock = lock?;
            let lease =
                if try_only { lock.try_acquire().await? } else { Some(lock.acquire().await?) };
            Ok(lease.map(Held::new))
        })
    }

    /// A try at several, all or none.
    pub(crate) fn start_all(locks: leasehold::Result<LockAll>, try_only: bool) -> Self {
        Self::of(async move {
            let locks = locks?;
            let leases =
                if try_only { locks.try_acquire().await? } else { Some(locks.acquire().await?) };
            Ok(leases.map(Held::all))
        })
    }

    fn of(work: impl Future<Output = leasehold::Result<Option<Held>>> + Send + 'static) -> Self {
        let (stop, stopped) = stopper();
        let state = Mutex::default();
        let slot = Arc::new(Slot { state, stop: Mutex::new(Some(stop)) });
        let landing = Arc::clone(&slot);
        let done = Pending::start(async move {
            Ok(match first(work, stopped).await {
                None => Outcome::Cancelled,
                Some(Ok(None)) => Outcome::Busy,
                Some(Ok(Some(held))) => landing.land(held),
                Some(Err(error)) => match error.kind() {
                    ErrorKind::Timeout => Outcome::TimedOut(error.into()),
                    ErrorKind::Cancelled => Outcome::Cancelled,
                    ErrorKind::Deadlock => Outcome::Deadlock(error.into()),
                    _ => Outcome::Failed(error.into()),
                },
            })
        });
        Self { done, slot: Inherited::new(slot) }
    }

    /// The outcome, if there is one yet.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.seen(self.done.result())
    }

    /// Blocks for the outcome, at most `slice`.
    #[must_use]
    pub fn wait_for(&self, slice: Duration) -> Option<Outcome> {
        self.seen(self.done.wait_for(slice))
    }

    /// Calls `callback` once there is an outcome; see [`Pending::on_done`].
    pub fn on_done(&self, callback: impl FnOnce() + Send + 'static) {
        self.done.on_done(callback);
    }

    /// Stops waiting, or gives back what was obtained, even if a handle to it was taken already.
    /// Idempotent. Afterwards the outcome is `Cancelled`, for ever.
    pub fn cancel(&self) {
        if self.slot.forked() {
            return;
        }
        let held = {
            let mut state = self.slot.state();
            state.cancelled = true;
            state.held.take()
        };
        // Not merely dropped: what interrupted the caller may keep a clone of the handle alive, as a
        // Python traceback does.
        if let Some(held) = held {
            drop(held.release());
        }
        let stop = self.slot.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stop) = stop {
            stop();
        }
        self.done.hand_over();
    }

    /// The lease, once the outcome is `Held`.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        if self.slot.forked() { None } else { self.slot.state().held.clone() }
    }

    fn seen(&self, done: Option<Result<Outcome, ErrorInfo>>) -> Option<Outcome> {
        if !self.slot.forked() && self.slot.state().cancelled {
            return Some(Outcome::Cancelled);
        }
        done.map(|result| result.unwrap_or_else(Outcome::Failed))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // A lease that the caller took lives on in its handle; one that nobody took is given back.
        if self.outcome().is_none() {
            self.cancel();
        }
    }
}

impl Slot {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn land(&self, held: Held) -> Outcome {
        let mut state = self.state();
        if state.cancelled {
            drop(state);
            drop(held);
            return Outcome::Cancelled;
        }
        let fence = held.fence();
        state.held = Some(held);
        Outcome::Held { fence }
    }
}

/// A switch and the future that it completes.
fn stopper() -> (Box<dyn FnOnce() + Send>, impl Future<Output = ()> + Send) {
    let shared = Arc::new(Switch::default());
    let flip = Arc::clone(&shared);
    let stop = Box::new(move || {
        let waker = {
            let mut state = flip.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    let stopped = std::future::poll_fn(move |context| {
        let mut state = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 {
            return std::task::Poll::Ready(());
        }
        state.1 = Some(context.waker().clone());
        std::task::Poll::Pending
    });
    (stop, stopped)
}

#[derive(Default)]
struct Switch(Mutex<(bool, Option<std::task::Waker>)>);

/// The result of `work`, or none if `stopped` came first.
async fn first<T>(work: impl Future<Output = T>, stopped: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut stopped) = (std::pin::pin!(work), std::pin::pin!(stopped));
    std::future::poll_fn(|context| {
        if let std::task::Poll::Ready(value) = work.as_mut().poll(context) {
            return std::task::Poll::Ready(Some(value));
        }
        stopped.as_mut().poll(context).map(|()| None)
    })
    .await
}
