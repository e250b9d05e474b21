//! What a store pushed to one client. A store may push from a thread of its own, so a test waits
//! for a push instead of looking once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold::Name;
use leasehold::store::{Grant, Pushed};

/// Far beyond any push; a wait this long is a push that never came.
const NEVER_CAME: Duration = Duration::from_secs(20);

/// One client's pushes, in order.
#[derive(Debug, Default)]
pub struct Inbox {
    grants: Mutex<Vec<Grant>>,
    changes: Mutex<Vec<Name>>,
    bell: Condvar,
    rung: Condvar,
}

impl Inbox {
    /// Grants so far.
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        self.state().clone()
    }

    /// The grants once there are `count`.
    ///
    /// # Panics
    /// Where they don't come.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Vec<Grant> {
        let (grants, waited) = self
            .bell
            .wait_timeout_while(self.state(), NEVER_CAME, |grants| grants.len() < count)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "{} grants were pushed, not {count}", grants.len());
        grants.clone()
    }

    /// Cells that were told of so far.
    #[must_use]
    pub fn changes(&self) -> Vec<Name> {
        self.cells().clone()
    }

    /// The cells told of once there are `count`.
    ///
    /// # Panics
    /// Where they don't come.
    #[must_use]
    pub fn wait_for_changes(&self, count: usize) -> Vec<Name> {
        let (changes, waited) = self
            .rung
            .wait_timeout_while(self.cells(), NEVER_CAME, |changes| changes.len() < count)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "{} changes were told, not {count}", changes.len());
        changes.clone()
    }

    fn cells(&self) -> MutexGuard<'_, Vec<Name>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, Vec<Grant>> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pushed for Inbox {
    fn granted(&self, grant: Grant) {
        self.state().push(grant);
        self.bell.notify_all();
    }

    fn hint(&self, _name: &Name) {}

    fn changed(&self, name: &Name) {
        self.cells().push(name.clone());
        self.rung.notify_all();
    }

    fn lost(&self) {}
}
