//! One try to take a lock, as an object that the caller owns from the start.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use leasehold::sys::fork::Inherited;
use leasehold::{Barrier, Campaign, Error, ErrorKind, Lock, LockAll, Result};
use pin_project_lite::pin_project;

use crate::stop::{Before, Stop};
use crate::{AdaptiveTtl, ErrorInfo, Held, Mailbox, Pending};

/// What an attempt came to, as plain data. The lease itself is [`Attempt::held`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The lock is held, or the lead, or a place inside; of several that were tried each alone, each
    /// has its own outcome.
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

    fn failed(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Timeout => Self::TimedOut(error.into()),
            ErrorKind::Cancelled => Self::Cancelled,
            ErrorKind::Deadlock => Self::Deadlock(error.into()),
            _ => Self::Failed(error.into()),
        }
    }
}

/// One try to take a lock. It owns what it obtains: dropping or cancelling it gives that back.
pub struct Attempt {
    done: Pending<Outcome>,
    slot: Inherited<Arc<Slot>>,
}

/// Where the lease lands, and whether it is still wanted.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    stop: Stop,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    held: Option<Held>,
    each: Vec<Outcome>,
}

pin_project! {
    /// The work of an attempt, until what it found is in the slot.
    struct Landing<W> {
        #[pin]
        work: Before<W>,
        slot: Arc<Slot>,
    }
}

impl<W: Future<Output = Result<Found>>> Future for Landing<W> {
    type Output = Result<Outcome, ErrorInfo>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(Ok(match ready!(this.work.poll(context)) {
            None => Outcome::Cancelled,
            Some(Ok(found)) => this.slot.land(found),
            Some(Err(error)) => Outcome::failed(&error),
        }))
    }
}

/// What the work of an attempt came to.
enum Found {
    Held(Held),
    Each(Held, Vec<Outcome>),
    Busy,
}

impl Attempt {
    /// A try at one lock.
    pub(crate) fn start(lock: Result<Lock>, try_only: bool) -> Self {
        Self::of(async move {
            let lock = lock?;
            let lease =
                if try_only { lock.try_acquire().await? } else { Some(lock.acquire().await?) };
            Ok(lease.map_or(Found::Busy, |lease| Found::Held(Held::new(lease))))
        })
    }

    /// A try at one lock with the ttl and the wait that its history suggests.
    pub(crate) fn start_adaptive(lock: Result<Lock>, adaptive: AdaptiveTtl) -> Self {
        Self::of(async move {
            let (lease, hold) = adaptive.take(lock?).await?;
            Ok(Found::Held(Held::noted(lease, hold)))
        })
    }

    /// A try at several, all or none.
    pub(crate) fn start_all(locks: Result<LockAll>, try_only: bool) -> Self {
        Self::of(async move {
            let locks = locks?;
            let leases =
                if try_only { locks.try_acquire().await? } else { Some(locks.acquire().await?) };
            Ok(leases.map_or(Found::Busy, |leases| Found::Held(Held::all(leases))))
        })
    }

    /// A try at several, each alone, that waits for none.
    pub(crate) fn start_each(locks: Result<LockAll>) -> Self {
        Self::of(async move {
            let (mut leases, mut each) = (Vec::new(), Vec::new());
            for found in locks?.try_each().await? {
                each.push(match found {
                    Ok(Some(lease)) => {
                        let fence = lease.fence();
                        leases.push(lease);
                        Outcome::Held { fence }
                    }
                    Ok(None) => Outcome::Busy,
                    Err(error) => Outcome::failed(&error),
                });
            }
            Ok(Found::Each(Held::all(leases.into_iter().collect()), each))
        })
    }

    /// A try to lead.
    pub(crate) fn start_campaign(campaign: Result<Campaign>, try_only: bool) -> Self {
        Self::of(async move {
            let campaign = campaign?;
            let lead = if try_only {
                campaign.try_acquire().await?
            } else {
                Some(campaign.acquire().await?)
            };
            Ok(lead.map_or(Found::Busy, |lead| Found::Held(Held::leading(lead))))
        })
    }

    /// A try to be in with all others.
    pub(crate) fn start_enter(barrier: Result<(Barrier, Option<Duration>)>) -> Self {
        Self::of(async move {
            let (barrier, limit) = barrier?;
            Ok(Found::Held(Held::inside(barrier.enter(limit).await?)))
        })
    }

    fn of(work: impl Future<Output = Result<Found>> + Send + 'static) -> Self {
        let slot = Arc::new(Slot::default());
        let work = slot.stop.clone().before(work);
        let done = Pending::start(Landing { work, slot: Arc::clone(&slot) });
        Self { done, slot: Inherited::new(slot) }
    }

    /// The outcome, if there is one yet.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.seen(self.done.result())
    }

    /// The same, which moves nothing: see [`Pending::peek`].
    #[must_use]
    pub fn peek(&self) -> Option<Outcome> {
        self.seen(self.done.peek())
    }

    /// Blocks for the outcome, at most `slice`.
    #[must_use]
    pub fn wait_for(&self, slice: Duration) -> Option<Outcome> {
        self.seen(self.done.wait_for(slice))
    }

    /// Calls `callback` with the outcome, whatever became of it since, but false where there is one already:
    /// see [`Pending::unless_done`].
    pub fn unless_done(&self, callback: impl FnOnce(&Outcome) + Send + 'static) -> bool {
        self.done.unless_done(|result| match result {
            Ok(outcome) => callback(outcome),
            Err(error) => callback(&Outcome::Failed(error.clone())),
        })
    }

    /// Has `key` put into `mailbox` once there is an outcome, but false where there is one already; see
    /// [`Pending::unless_done_tell_in`].
    pub fn unless_done_tell_in(&self, mailbox: &Arc<Mailbox>, key: u64) -> bool {
        self.done.unless_done_tell_in(mailbox, key)
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
            held.give_back();
        }
        self.slot.stop.flip();
        self.done.hand_over();
    }

    /// The lease, once the outcome is `Held`.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        if self.slot.forked() { None } else { self.slot.state().held.clone() }
    }

    /// Of several that were tried each alone what each came to, in the order in which they were asked
    /// for, with its lease; [`held`](Self::held) is all of those together. Empty before the outcome.
    #[must_use]
    pub fn each(&self) -> Vec<(Outcome, Option<Held>)> {
        if self.slot.forked() {
            return Vec::new();
        }
        let state = self.slot.state();
        let Some(held) = &state.held else { return Vec::new() };
        let mut leases = held.each().into_iter();
        let lease = |outcome: Outcome| match outcome {
            Outcome::Held { .. } => (outcome, leases.next()),
            other => (other, None),
        };
        state.each.iter().cloned().map(lease).collect()
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

    fn land(&self, found: Found) -> Outcome {
        let mut state = self.state();
        if state.cancelled {
            drop(state);
            drop(found);
            return Outcome::Cancelled;
        }
        let (held, each) = match found {
            Found::Busy => return Outcome::Busy,
            Found::Held(held) => (held, Vec::new()),
            Found::Each(held, each) => (held, each),
        };
        let fence = held.fence();
        *state = State { cancelled: false, held: Some(held), each };
        Outcome::Held { fence }
    }
}
