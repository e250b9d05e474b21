//! The memory store's cells, and who watches them. The trap is a map that only grows: cells that
//! ended and watches that nobody renewed are dropped with the next request of any name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::store::{MemoryStore, Shared, now};
use crate::lock::{Event, next_fence};
use crate::store::{Cell, Cells, Watched};
use crate::sys::{BootTime, BoxFuture};
use crate::{Name, Result};

/// All cells of one memory store.
#[derive(Default, Debug)]
pub(super) struct CellRows {
    rows: HashMap<Name, Row>,
    ends: BTreeSet<(BootTime, Name)>,
    /// Of all cells: what outlives the single ones.
    last_version: u64,
    watches: HashMap<Name, BTreeMap<u64, BootTime>>,
    watch_ends: BTreeSet<(BootTime, Name, u64)>,
}

#[derive(Debug)]
struct Row {
    value: Vec<u8>,
    version: u64,
    until: BootTime,
}

impl CellRows {
    /// Cells, and registrations of watchers.
    fn kept(&self) -> (usize, usize) {
        (self.rows.len(), self.watches.values().map(BTreeMap::len).sum())
    }

    fn sweep(&mut self, now: BootTime) {
        while self.ends.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, name)) = self.ends.pop_first() {
                self.rows.remove(&name);
            }
        }
        while self.watch_ends.first().is_some_and(|(until, ..)| *until <= now) {
            let Some((_, name, channel)) = self.watch_ends.pop_first() else { return };
            if let Some(watchers) = self.watches.get_mut(&name) {
                watchers.remove(&channel);
                if watchers.is_empty() {
                    self.watches.remove(&name);
                }
            }
        }
    }

    fn get(&self, name: &Name, now: BootTime) -> Option<Cell> {
        self.rows.get(name).map(|row| row.seen(now))
    }

    fn version(&self, name: &Name) -> u64 {
        self.rows.get(name).map_or(0, |row| row.version)
    }

    /// Writes a cell; the channels to tell.
    fn set(
        &mut self,
        name: &Name,
        value: &[u8],
        keep: Option<Duration>,
        at: Event,
    ) -> Result<Vec<u64>> {
        let version = next_fence(self.last_version, at.wall_us)?;
        self.last_version = version;
        if let Some(old) = self.rows.remove(name) {
            self.ends.remove(&(old.until, name.clone()));
        }
        let until = keep.map_or(BootTime::NEVER, |keep| at.now + keep);
        if until > at.now {
            if until != BootTime::NEVER {
                self.ends.insert((until, name.clone()));
            }
            self.rows.insert(name.clone(), Row { value: value.to_vec(), version, until });
        }
        let told = self.watches.remove(name).unwrap_or_default();
        for (&channel, &until) in &told {
            self.watch_ends.remove(&(until, name.clone(), channel));
        }
        Ok(told.into_keys().collect())
    }

    fn watch(&mut self, name: &Name, channel: u64, until: BootTime) {
        let watchers = self.watches.entry(name.clone()).or_default();
        if let Some(old) = watchers.insert(channel, until) {
            self.watch_ends.remove(&(old, name.clone(), channel));
        }
        self.watch_ends.insert((until, name.clone(), channel));
    }
}

impl Row {
    fn seen(&self, now: BootTime) -> Cell {
        let left = (self.until != BootTime::NEVER).then(|| self.until.since(now));
        Cell { value: self.value.clone(), version: self.version, left }
    }
}

impl Shared {
    fn cells(&self, now: BootTime) -> MutexGuard<'_, CellRows> {
        // A poisoned mutex holds whole rows: nothing in here panics half-way.
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.sweep(now);
        cells
    }
}

impl MemoryStore {
    /// Cells, and registrations of watchers, kept for all names.
    #[must_use]
    pub fn cells_kept(&self) -> (usize, usize) {
        self.shared.cells(self.clock.now()).kept()
    }

    fn set_cell(
        &self,
        name: &Name,
        version: u64,
        value: &[u8],
        keep: Option<Duration>,
    ) -> Result<(bool, Option<Cell>)> {
        Cell::check(name, value)?;
        let at = self.clock.moment();
        let mut cells = self.shared.cells(at.now);
        if cells.version(name) != version {
            return Ok((false, cells.get(name, at.now)));
        }
        let told = cells.set(name, value, keep, at)?;
        let found = cells.get(name, at.now);
        drop(cells);
        for listener in self.shared.listeners(&told) {
            listener.changed(name);
        }
        Ok((true, found))
    }
}

impl Cells for MemoryStore {
    fn get<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Option<Cell>>> {
        let at = self.clock.now();
        now(Ok(self.shared.cells(at).get(name, at)))
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a Name,
        version: u64,
        value: &'a [u8],
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<(bool, Option<Cell>)>> {
        now(self.set_cell(name, version, value, keep))
    }

    fn watch<'a>(
        &'a self,
        name: &'a Name,
        version: u64,
        alive_for: Duration,
    ) -> BoxFuture<'a, Result<Watched>> {
        let at = self.clock.now();
        let mut cells = self.shared.cells(at);
        let found = cells.get(name, at);
        if cells.version(name) != version {
            return now(Ok(Watched::Changed(found)));
        }
        cells.watch(name, self.channel, at + alive_for);
        now(Ok(Watched::Same { left: found.and_then(|cell| cell.left) }))
    }
}
