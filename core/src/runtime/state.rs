//! What runs in the background for all clients of one [`Sys`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Reaper;
use crate::LostReason;
use crate::store::{Cancel, Hold};
use crate::sys::Sys;
use crate::watchdog::{Held, Watchdog};

/// A watchdog and a reaper over one system's time and executor.
pub struct Runtime {
    pub(crate) sys: Sys,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) reaper: Reaper,
}

impl Runtime {
    /// A runtime of its own, for a simulator or a test. Programs use the shared one.
    #[must_use]
    #[allow(clippy::arc_with_non_send_sync, reason = "a WebAssembly host is single-threaded")]
    pub fn new(sys: Sys) -> Self {
        let reaper = Reaper::new(sys.clone());
        let watchdog = Arc::new(Watchdog::new(sys.clone(), reaper.clone()));
        Self { sys, watchdog, reaper }
    }

    /// Leases that are held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.watchdog.held(|_| true).len()
    }

    /// Tells the holders that `which` picks, gives their leases back, and waits for that and for
    /// all releases under way, at most `grace`. Answers whether all were given back in time.
    pub(crate) async fn end(&self, grace: Duration, which: impl Fn(&Held) -> bool) -> bool {
        let until = self.sys.now() + grace;
        for held in self.watchdog.held(which) {
            // First the belief, then the lock: the other order would let two believe.
            if self.watchdog.lose(&held, LostReason::Shutdown) {
                self.reaper.bury(super::Burial {
                    store: Arc::clone(held.store()),
                    hold: Hold::clone(held.hold()),
                    cancel: Cancel::No,
                    until,
                    desk: None,
                });
            }
        }
        self.reaper.idle(until).await
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}
