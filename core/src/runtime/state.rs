//! What runs in the background for all clients of one [`Sys`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::Reaper;
use crate::LostReason;
use crate::store::{Hold, Store};
use crate::sys::Sys;
use crate::wait::{Desk, burial};
use crate::watchdog::Watchdog;

/// A watchdog and a reaper over one system's time and executor.
pub struct Runtime {
    pub(crate) sys: Sys,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) reaper: Reaper,
    desks: Mutex<Vec<Weak<Desk>>>,
}

impl Runtime {
    /// A runtime of its own, for a simulator or a test. Programs use the shared one.
    #[must_use]
    #[allow(clippy::arc_with_non_send_sync, reason = "a WebAssembly host is single-threaded")]
    pub fn new(sys: Sys) -> Self {
        let reaper = Reaper::new(sys.clone());
        let watchdog = Arc::new(Watchdog::new(sys.clone(), reaper.clone()));
        Self { sys, watchdog, reaper, desks: Mutex::default() }
    }

    /// Leases that are held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.watchdog.held(|_| true).len()
    }

    /// Tells all holders (`shutdown`), refuses all who ask or wait, gives everything back and waits at
    /// most `grace` for it; answers whether that was enough. Locks can be taken again afterwards: exit
    /// hooks of others may.
    pub async fn release_all(&self, grace: Duration) -> bool {
        self.end(grace, None).await
    }

    /// Takes a client's waiters into the care of [`end`](Self::end).
    pub(crate) fn adopt(&self, desk: &Arc<Desk>) {
        let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        desks.retain(|desk| desk.strong_count() > 0);
        desks.push(Arc::downgrade(desk));
    }

    /// Tells the holders of `store` (none: of every store), gives their leases back, refuses those
    /// who ask or wait, and waits for that and for all releases under way, at most `grace`. Answers
    /// whether all was done in time.
    pub(crate) async fn end(&self, grace: Duration, store: Option<&Arc<dyn Store>>) -> bool {
        let until = self.sys.now() + grace;
        let meant = |other: &Arc<dyn Store>| store.is_none_or(|store| Arc::ptr_eq(store, other));
        for desk in self.desks().iter().filter(|desk| meant(desk.store())) {
            for hold in desk.close(store.is_some()) {
                self.reaper.bury(burial(&self.sys, desk, hold));
            }
        }
        for held in self.watchdog.held(|held| meant(held.store())) {
            // First the belief, then the lock: the other order would let two believe.
            // Also a longest tenure that was seen to be over and that the watchdog, which gives it
            // back, has not come to.
            if self.watchdog.lose(&held, LostReason::Shutdown)
                || held.lost_reason() == Some(LostReason::MaxHold)
            {
                self.reaper.bury(super::Burial {
                    store: Arc::clone(held.store()),
                    hold: Hold::clone(held.hold()),
                    cancel: held.cancel(),
                    until,
                    desk: None,
                });
            }
        }
        self.reaper.idle(until).await
    }

    fn desks(&self) -> Vec<Arc<Desk>> {
        let desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        desks.iter().filter_map(Weak::upgrade).collect()
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}
