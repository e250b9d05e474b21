//! What this thread's environment has under way or holds, so that its end gives all of it back.
//!
//! The traps: a worker that is terminated runs no JavaScript any more, not even an exit hook; and when
//! the whole process ends, its other threads may be gone before a release that was merely started. So
//! the environment's clean-up hook waits for them, for a bounded time. It concerns this thread only:
//! others go on.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Duration;

use leasehold_bridge::{Attempt, EventLoop, OwnMap};

/// How long the end of an environment may be delayed. What could not be given back in time expires.
const GRACE: Duration = Duration::from_secs(1);

thread_local! {
    static HERE: RefCell<Holdings> = RefCell::default();
}

#[derive(Default)]
struct Holdings {
    next: u64,
    attempts: OwnMap<u64, Weak<Attempt>>,
}

/// A place among the holdings of the thread that made it; dropping it, there, gives it up.
pub(crate) struct Place(u64);

impl Place {
    pub(crate) fn of(attempt: &Arc<Attempt>) -> Self {
        HERE.with_borrow_mut(|here| {
            here.next += 1;
            here.attempts.insert(here.next, Arc::downgrade(attempt));
            Self(here.next)
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The thread may be at its end, and its holdings gone before the objects that name them.
        let _ = HERE.try_with(|here| here.borrow_mut().attempts.remove(&self.0));
    }
}

/// Cancels what waits and gives back what is held here.
pub(crate) fn give_back() {
    // What is waited for below is read by this thread: its loop has no turn any more.
    EventLoop::disown_thread();
    let here = HERE.with_borrow_mut(std::mem::take);
    let attempts: Vec<_> = here.attempts.into_values().filter_map(|one| one.upgrade()).collect();
    let releases: Vec<_> = attempts
        .iter()
        .filter_map(|attempt| attempt.held().filter(|held| held.any_held()))
        .map(|held| held.release())
        .collect();
    for attempt in &attempts {
        attempt.cancel();
    }
    // All were sent above. Where the store does not answer one in time, the others wait in vain, too.
    for release in releases {
        match release.wait_for(GRACE) {
            Some(Ok(release)) if release.state != "background" => {}
            _ => break,
        }
    }
}
