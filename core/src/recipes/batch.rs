//! Many callers at once as one request.
//!
//! A thousand tasks that each take a lock of their own make a thousand requests in the time of one. The
//! trap is who sends the common one: were it the first caller, all would hang when that one is
//! dropped. So it is a task of its own, and a caller only waits for its part of the answer: a lease
//! that finds its caller gone is dropped, and so given back. The other trap is a caller that waits for
//! its lock: it would keep the others waiting. So nothing in a batch waits; who is to wait does so
//! afterwards, alone, in the lock's queue.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::options::{Order, Patience};
use crate::sys::fork::PerProcess;
use crate::wait::{Attempt, Request};
use crate::{Client, Error, ErrorKind, Lease, Lock, LockAll, Result};

/// A request that failed later than this met more than a connection that an idle hour had ended.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Collects the requests of concurrent callers: as many as its size, or those of its flush interval,
/// whichever comes first, travel together. An interval costs each caller that time at most, and saves
/// the store a request for each but one of a batch. Clones collect together.
///
/// ```
/// # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
/// use leasehold::{Batcher, Client};
/// use std::time::Duration;
/// let client = Client::connect("memory://")?;
/// let batcher = Batcher::new(&client, 100, Duration::from_millis(2))?;
/// let lease = batcher.try_acquire(client.lock("invoice:42")).await?.expect("free");
/// assert!(lease.is_held());
/// # lease.release().await;
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct Batcher {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    size: usize,
    flush: Duration,
    pending: PerProcess<Pending>,
}

/// The batch that is being collected.
#[derive(Default)]
struct Pending(Mutex<State>);

#[derive(Default)]
struct State {
    number: u64,
    callers: Vec<Caller>,
}

struct Caller {
    request: Request,
    to: oneshot::Sender<Result<Option<Lease>>>,
}

impl Batcher {
    /// Batches of at most `size`, 1 to 1,000, each sent `flush` after its first caller came at the
    /// latest. Zero sends what came in the same instant.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for another size.
    pub fn new(client: &Client, size: usize, flush: Duration) -> Result<Self> {
        let most = LockAll::MOST;
        if !(1..=most).contains(&size) {
            return Err(Error::invalid(format!("batches of {size}: they can be of 1 to {most}")));
        }
        let (client, pending) = (client.clone(), PerProcess::new());
        Ok(Self { inner: Arc::new(Inner { client, size, flush, pending }) })
    }

    /// Takes `lock` if it is free when the batch is sent; none where another holds it. Dropping the
    /// future gives back whatever it obtained.
    ///
    /// # Errors
    /// As [`Lock::try_acquire`], and [`InvalidInput`](ErrorKind::InvalidInput) for a lock of another
    /// client. What is wrong with one request of a batch concerns no other.
    pub async fn try_acquire(&self, lock: Lock) -> Result<Option<Lease>> {
        let request = lock.clone().request_of(&self.inner.client)?;
        // An owner's own lock is no obstacle, and a turn within this process none either: which only the
        // way of a single one knows.
        if request.options.owner.is_some() || request.options.order == Order::Throughput {
            return lock.try_acquire().await;
        }
        self.inner.collect(request).await
    }

    /// Takes `lock`, and waits for it as it says where another holds it: in its queue, and no longer
    /// with the batch. Dropping the future gives back whatever it obtained.
    ///
    /// # Errors
    /// As [`Lock::acquire`], and [`InvalidInput`](ErrorKind::InvalidInput) for a lock of another
    /// client.
    pub async fn acquire(&self, lock: Lock) -> Result<Lease> {
        let sys = lock.sys()?;
        let (began, patience) =
            (sys.now(), lock.clone().request_of(&self.inner.client)?.options.wait);
        if let Some(lease) = self.try_acquire(lock.clone()).await? {
            return Ok(lease);
        }
        match patience {
            Patience::Forever => lock.acquire().await,
            Patience::AtMost(span) => {
                lock.wait(span.saturating_sub(sys.now().since(began))).acquire().await
            }
            Patience::None => lock.wait(Duration::ZERO).acquire().await,
        }
    }
}

impl Inner {
    async fn collect(&self, request: Request) -> Result<Option<Lease>> {
        let attempt = self.client.attempt()?;
        let sys = attempt.runtime.sys.clone();
        let Ok(pending) = self.pending.get_or_try_init(|| Ok::<_, Infallible>(Pending::default()));
        let gone = ended(&request);
        let (to, answer) = oneshot::channel();
        let (first, number, full) = {
            let mut state = pending.state();
            state.callers.push(Caller { request, to });
            let full = state.callers.len() >= self.size;
            let first = state.callers.len() == 1;
            (first, state.number, full.then(|| state.take()))
        };
        if let Some(callers) = full {
            sys.spawn(Box::pin(send(attempt, callers)));
        } else if first {
            let flush_at = sys.now() + self.flush;
            let task_sys = sys.clone();
            sys.spawn(Box::pin(async move {
                task_sys.sleep_until(flush_at).await;
                let callers = {
                    let mut state = pending.state();
                    // It may have become full, and another begun.
                    if state.number == number { state.take() } else { Vec::new() }
                };
                send(attempt, callers).await;
            }));
        }
        answer.await.unwrap_or(Err(gone))
    }
}

impl Pending {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What was collected; the next batch begins.
    fn take(&mut self) -> Vec<Caller> {
        self.number += 1;
        std::mem::take(&mut self.callers)
    }
}

/// Asks for all whose callers are still there, and gives each its answer.
async fn send(attempt: Attempt, mut callers: Vec<Caller>) {
    callers.retain(|caller| !caller.to.is_closed());
    if callers.is_empty() {
        return;
    }
    let (requests, to): (Vec<_>, Vec<_>) =
        callers.into_iter().map(|caller| (caller.request, caller.to)).unzip();
    let (sys, began) = (attempt.runtime.sys.clone(), attempt.runtime.sys.now());
    let mut answered = attempt.try_each(&requests).await;
    // As with a single ask: a connection may have died of idleness, which is found out at once.
    let lost = |error: &Error| error.kind() == ErrorKind::StoreUnavailable;
    if answered.as_ref().is_err_and(lost) && sys.now().since(began) < AT_ONCE {
        answered = attempt.try_each(&requests).await;
    }
    match answered {
        // One that nobody receives is dropped: a lease is given back by that.
        Ok(answers) => to.into_iter().zip(answers).for_each(|(to, one)| drop(to.send(one))),
        Err(error) => {
            for to in to {
                let copy = Error::new(error.kind(), error.message());
                let _ = to.send(Err(copy.caused_by(error.causes().join(": "))));
            }
        }
    }
}

fn ended(request: &Request) -> Error {
    let message = format!("the client was shut down while lock {} was asked for", request.name);
    Error::new(ErrorKind::ShutDown, message)
}

impl fmt::Debug for Batcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batcher(at most {}, {:?})", self.inner.size, self.inner.flush)
    }
}
