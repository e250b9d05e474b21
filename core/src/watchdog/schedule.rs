//! What is due when: a pure structure, so that it is tested without time passing.

use std::collections::BTreeSet;

use crate::sys::{BootTime, OwnMap};

/// Entries by the time they are due.
#[derive(Debug, Default)]
pub struct Schedule {
    order: BTreeSet<(BootTime, u64)>,
    due: OwnMap<u64, BootTime>,
}

impl Schedule {
    /// Sets when `id` is due; replaces what was set before.
    pub fn set(&mut self, id: u64, at: BootTime) {
        if let Some(old) = self.due.insert(id, at) {
            self.order.remove(&(old, id));
        }
        self.order.insert((at, id));
    }

    /// Forgets `id`.
    pub fn remove(&mut self, id: u64) {
        if let Some(at) = self.due.remove(&id) {
            self.order.remove(&(at, id));
        }
    }

    /// Takes all that are due at `now`.
    pub fn take_due(&mut self, now: BootTime) -> Vec<u64> {
        let mut ids = Vec::new();
        while let Some((at, id)) = self.order.first().copied()
            && at <= now
        {
            self.order.remove(&(at, id));
            self.due.remove(&id);
            ids.push(id);
        }
        ids
    }

    /// All entries.
    #[must_use]
    pub fn ids(&self) -> Vec<u64> {
        self.due.keys().copied().collect()
    }

    /// When the next is due.
    #[must_use]
    pub fn next(&self) -> BootTime {
        self.order.first().map_or(BootTime::NEVER, |(at, _)| *at)
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}
