//! Re-entry: a second acquire of a lock by the owner that holds it.
//!
//! Decided here, in one client, and never in the store: the count of a store would drift with each
//! retry whose answer was lost (hazard 36), and two processes that were given one owner's number by
//! mistake would both be let in. Every lease of one tenure has the same fence; the store knows of one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::runtime::within;
use crate::sys::{BootTime, Sys};
use crate::watchdog::Held;
use crate::{Name, Owner};

/// Below this many entries nothing is swept.
const FEW: usize = 64;

/// Which locks the owners of one client hold or are about to.
#[derive(Default)]
pub(crate) struct Reentry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tenures: HashMap<(Name, Owner), Entry>,
    sweep_at: usize,
}

#[derive(Default)]
struct Entry {
    held: Weak<Held>,
    /// The fence of the last tenure, if there was one. (A reader's may be 0.)
    fence: Option<u64>,
    /// Rung when an acquire of this owner is over; there while one is under way.
    under_way: Option<Arc<Notify>>,
}

/// What an owner that asks for a lock is to do.
pub(crate) enum Entered<'r> {
    /// It holds the lock: this is one more lease of the tenure.
    Again(Arc<Held>),
    /// It asks the store, and tells what came of it.
    First(Turn<'r>),
    /// Another acquire of the same owner was under way for too long.
    TimedOut,
}

/// An acquire that others of the same owner wait for.
pub(crate) struct Turn<'r> {
    reentry: &'r Reentry,
    key: (Name, Owner),
}

impl Reentry {
    /// Enters the lock `name` for `owner`; at `give_up` at the latest.
    pub(crate) async fn enter(
        &self,
        sys: &Sys,
        name: &Name,
        owner: Owner,
        give_up: BootTime,
    ) -> Entered<'_> {
        let key = (name.clone(), owner);
        loop {
            let known = {
                let mut state = self.state();
                state.sweep();
                state.tenures.get(&key).map(|entry| entry.held.clone()).unwrap_or_default()
            };
            // Outside the mutex: a look can end a tenure, and then its listeners are called.
            if let Some(held) = known.upgrade()
                && held.enter()
            {
                return Entered::Again(held);
            }
            let bell = {
                let mut state = self.state();
                let entry = state.tenures.entry(key.clone()).or_default();
                match &entry.under_way {
                    Some(bell) => Arc::clone(bell).notified_owned(),
                    // Another tenure began meanwhile.
                    None if !entry.held.ptr_eq(&known) => continue,
                    None => {
                        entry.under_way = Some(Arc::default());
                        return Entered::First(Turn { reentry: self, key });
                    }
                }
            };
            if within(sys, give_up, bell).await.is_none() {
                return Entered::TimedOut;
            }
        }
    }

    /// Whether that was a tenure of `owner` here and is over, whatever the store still has of it.
    pub(crate) fn is_over(&self, name: &Name, owner: Owner, fence: u64) -> bool {
        let held = match self.state().tenures.get(&(name.clone(), owner)) {
            Some(entry) if entry.fence == Some(fence) => entry.held.upgrade(),
            _ => return false,
        };
        // Outside the mutex: a look can end a tenure, and then its listeners are called.
        held.is_none_or(|held| !held.is_held())
    }

    /// A tenure of `owner` was over before anybody here had it: its answer came too late.
    pub(crate) fn was_over(&self, name: &Name, owner: Owner, fence: u64) {
        if let Some(entry) = self.state().tenures.get_mut(&(name.clone(), owner)) {
            (entry.held, entry.fence) = (Weak::new(), Some(fence));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets what is over, each time that there is twice as much as was left the last time.
    fn sweep(&mut self) {
        if self.tenures.len() >= self.sweep_at.max(FEW) {
            let kept = |entry: &Entry| entry.under_way.is_some() || entry.held.strong_count() > 0;
            self.tenures.retain(|_, entry| kept(entry));
            self.sweep_at = self.tenures.len() * 2;
        }
    }
}

impl Turn<'_> {
    /// The lock was granted.
    pub(crate) fn held(self, held: &Arc<Held>) {
        if let Some(entry) = self.reentry.state().tenures.get_mut(&self.key) {
            (entry.held, entry.fence) = (Arc::downgrade(held), Some(held.fence()));
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.reentry.state();
        let Some(entry) = state.tenures.get_mut(&self.key) else { return };
        let bell = entry.under_way.take();
        // What had a tenure is kept until the next sweep: the store may know of it for a while.
        if entry.fence.is_none() {
            state.tenures.remove(&self.key);
        }
        drop(state);
        if let Some(bell) = bell {
            bell.notify_waiters();
        }
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;
    use crate::runtime::{block_on, native_sys};

    /// Names used once leave nothing behind.
    #[test]
    fn an_acquire_that_came_to_nothing_is_forgotten() {
        let (sys, reentry) = (native_sys().unwrap(), Reentry::default());
        for index in 0..1000_u32 {
            let name = Name::new(index.to_string()).unwrap();
            let owner = Owner::from_number(u128::from(index));
            let first = block_on(reentry.enter(&sys, &name, owner, sys.now()));
            assert!(matches!(first, Entered::First(_)));
            let second = block_on(reentry.enter(&sys, &name, owner, sys.now()));
            assert!(matches!(second, Entered::TimedOut), "one at a time");
            drop(first);
        }
        assert!(reentry.state().tenures.is_empty());
    }
}
