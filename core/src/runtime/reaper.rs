//! Gives back what nobody waits for any more: dropped leases, abandoned attempts, failed releases.
//!
//! A destructor may not block, await or need a runtime, so it only sends here. What could not be
//! given back by its deadline is left to expire in the store, with one line in the log.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::within;
use crate::options::REQUEST_TIMEOUT;
use crate::store::{Cancel, Hold, Store};
use crate::sys::{BootTime, Sys};
use crate::wait::Desk;

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// Holds released by one request.
const BATCH: usize = 1000;

/// One thing to give back.
pub(crate) struct Burial {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) hold: Hold,
    pub(crate) cancel: Cancel,
    /// When to stop trying: the store's own expiry has done it by then.
    pub(crate) until: BootTime,
    /// Where the attempt is still registered as a waiter.
    pub(crate) desk: Option<Arc<Desk>>,
}

/// The sending half; cheap to clone.
#[derive(Clone)]
pub(crate) struct Reaper {
    shared: Arc<Shared>,
}

struct Shared {
    sys: Sys,
    send: mpsc::UnboundedSender<Burial>,
    receive: Mutex<Option<mpsc::UnboundedReceiver<Burial>>>,
    under_way: AtomicUsize,
    idle: Notify,
}

impl Reaper {
    #[allow(clippy::arc_with_non_send_sync, reason = "a WebAssembly host is single-threaded")]
    pub(crate) fn new(sys: Sys) -> Self {
        let (send, receive) = mpsc::unbounded_channel();
        let shared = Shared {
            sys,
            send,
            receive: Mutex::new(Some(receive)),
            under_way: AtomicUsize::new(0),
            idle: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Starts the receiving half. Called before the first attempt, never from a destructor.
    pub(crate) fn start(&self) {
        let receive = self.shared.receive.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(receive) = receive {
            self.shared.sys.spawn(Box::pin(run(Arc::clone(&self.shared), receive)));
        }
    }

    /// Sends `burial` to be done.
    pub(crate) fn bury(&self, burial: Burial) {
        self.shared.under_way.fetch_add(1, Ordering::AcqRel);
        if self.shared.send.send(burial).is_err() {
            self.shared.done(1);
        }
    }

    /// Has [`Self::idle`] wait for something that another gives back, until it is dropped.
    pub(crate) fn wait_for_mine(&self) -> UnderWay {
        self.shared.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay(Arc::clone(&self.shared))
    }

    /// Completes when nothing is under way, or at `until`; whether the former.
    pub(crate) async fn idle(&self, until: BootTime) -> bool {
        within(&self.shared.sys, until, async {
            loop {
                let idle = self.shared.idle.notified();
                if self.shared.under_way.load(Ordering::Acquire) == 0 {
                    return;
                }
                idle.await;
            }
        })
        .await
        .is_some()
    }
}

/// A release that its caller waits for. The process must not end between the belief's end and the
/// store's answer.
pub(crate) struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.done(1);
    }
}

impl Shared {
    fn done(&self, count: usize) {
        if self.under_way.fetch_sub(count, Ordering::AcqRel) == count {
            self.idle.notify_waiters();
        }
    }
}

async fn run(shared: Arc<Shared>, mut receive: mpsc::UnboundedReceiver<Burial>) {
    let mut batch = Vec::new();
    loop {
        let count = receive.recv_many(&mut batch, BATCH).await;
        if count == 0 {
            return;
        }
        let mut groups: HashMap<(usize, u128), Vec<Burial>> = HashMap::new();
        for mut burial in batch.drain(..) {
            if let Some(desk) = burial.desk.take() {
                desk.remove(&burial.hold.token);
            }
            let store = Arc::as_ptr(&burial.store).cast::<()>() as usize;
            let tomb = match burial.cancel {
                Cancel::No => 0,
                Cancel::Tombstone(span) => span.as_nanos().max(1),
            };
            groups.entry((store, tomb)).or_default().push(burial);
        }
        for group in groups.into_values() {
            let shared = Arc::clone(&shared);
            let sys = shared.sys.clone();
            sys.spawn(Box::pin(async move {
                let count = group.len();
                give_back(&shared.sys, group).await;
                shared.done(count);
            }));
        }
    }
}

/// Releases `group`, which shares a store and a tombstone, trying again until the last deadline.
async fn give_back(sys: &Sys, group: Vec<Burial>) {
    let Some(first) = group.first() else { return };
    let (store, cancel) = (Arc::clone(&first.store), first.cancel);
    let last = group.iter().map(|burial| burial.until).max().unwrap_or_default();
    let holds: Vec<Hold> = group.into_iter().map(|burial| burial.hold).collect();
    let mut pause = FIRST_RETRY;
    loop {
        let limit = sys.now() + REQUEST_TIMEOUT;
        match within(sys, limit, store.release(&holds, cancel)).await {
            Some(Ok(_)) => return,
            Some(Err(error)) if !error.kind().retryable() => {
                tracing::warn!(%error, leases = holds.len(), "release failed; they will expire");
                return;
            }
            _ if sys.now() >= last => {
                tracing::warn!(leases = holds.len(), "release gave up; they have expired");
                return;
            }
            _ => sys.sleep_until(sys.now() + sys.jitter(pause)).await,
        }
        pause = (pause * 2).min(LAST_RETRY);
    }
}
