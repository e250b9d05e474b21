//! The rows of the memory store: maps, and nothing left behind for a name that nobody holds or
//! waits for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use crate::lock::{Book, Rows, Tenure, Tomb, Waiter};
use crate::sys::{BootTime, Token};
use crate::{Error, Name, Result};

/// Where a waiter stands: larger priority first, then arrival.
type Place = (i64, u64);

/// All locks of one memory store. Also the state that property tests run the rules over.
#[derive(Default, Debug)]
pub struct Locks {
    locks: BTreeMap<Name, Lock>,
    tombs: HashMap<Token, (Tomb, BootTime)>,
    tomb_ends: BTreeSet<(BootTime, Token)>,
    last_fence: u64,
    last_seq: u64,
}

#[derive(Default, Debug)]
struct Lock {
    holder: Option<Tenure>,
    queue: BTreeMap<Place, Waiter>,
    places: HashMap<Token, Place>,
}

impl Locks {
    /// Names that are held or waited for at `now`, after `after`, that start with `prefix`.
    pub fn names<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&Name>,
        now: BootTime,
    ) -> impl Iterator<Item = &'a Name> {
        let from = match after {
            Some(name) if name.as_str() >= prefix => Bound::Excluded(name.as_str().to_owned()),
            _ => Bound::Included(prefix.to_owned()),
        };
        self.locks
            .range::<str, _>((from.as_ref().map(String::as_str), Bound::Unbounded))
            .map(|(name, _)| name)
            .take_while(move |name| name.as_str().starts_with(prefix))
            .filter(move |name| {
                let (tenure, queue) = self.look(name, now);
                tenure.is_some() || !queue.is_empty()
            })
    }

    /// The live part of a lock: tenure, and the queue in order.
    #[must_use]
    pub fn look(&self, name: &Name, now: BootTime) -> (Option<&Tenure>, Vec<&Waiter>) {
        match self.locks.get(name) {
            None => (None, Vec::new()),
            Some(lock) => (
                lock.holder.as_ref().filter(|tenure| tenure.until > now),
                lock.queue.values().filter(|waiter| waiter.alive_until > now).collect(),
            ),
        }
    }

    /// Rows, queue entries and tombstones that are kept: what a leak would grow.
    #[must_use]
    pub fn kept(&self) -> (usize, usize, usize) {
        let waiting = self.locks.values().map(|lock| lock.queue.len()).sum();
        (self.locks.len(), waiting, self.tombs.len())
    }
}

impl Book for Locks {
    type Error = Error;
    type Rows<'a> = LockRows<'a>;

    fn rows<'a>(&'a mut self, name: &'a Name) -> LockRows<'a> {
        LockRows { locks: self, name }
    }
}

/// One lock of [`Locks`].
#[derive(Debug)]
pub struct LockRows<'a> {
    locks: &'a mut Locks,
    name: &'a Name,
}

impl LockRows<'_> {
    fn lock(&self) -> Option<&Lock> {
        self.locks.locks.get(self.name)
    }

    fn lock_mut(&mut self) -> &mut Lock {
        self.locks.locks.entry(self.name.clone()).or_default()
    }

    fn sweep(&mut self) {
        let idle = self.lock().is_some_and(|lock| lock.holder.is_none() && lock.queue.is_empty());
        if idle {
            self.locks.locks.remove(self.name);
        }
    }
}

fn place(waiter: &Waiter) -> Place {
    (-i64::from(waiter.priority), waiter.seq)
}

impl Rows for LockRows<'_> {
    type Error = Error;

    fn name(&self) -> &Name {
        self.name
    }

    fn holder(&mut self) -> Result<Option<Tenure>> {
        Ok(self.lock().and_then(|lock| lock.holder.clone()))
    }

    fn set_holder(&mut self, tenure: Option<&Tenure>) -> Result<()> {
        if tenure.is_some() || self.lock().is_some() {
            self.lock_mut().holder = tenure.cloned();
            self.sweep();
        }
        Ok(())
    }

    fn prolong(
        &mut self,
        token: &Token,
        until: BootTime,
        told: BootTime,
        now: BootTime,
    ) -> Result<bool> {
        let lock = self.locks.locks.get_mut(self.name);
        let live = lock
            .and_then(|lock| lock.holder.as_mut())
            .filter(|tenure| tenure.token == *token && tenure.until > now);
        let Some(tenure) = live else { return Ok(false) };
        tenure.until = tenure.until.max(until);
        tenure.told = tenure.told.max(told);
        tenure.claimed = false;
        Ok(true)
    }

    fn head(&mut self) -> Result<Option<Waiter>> {
        Ok(self.lock().and_then(|lock| lock.queue.values().next().cloned()))
    }

    fn waiter(&mut self, token: &Token) -> Result<Option<Waiter>> {
        Ok(self.lock().and_then(|lock| {
            let place = lock.places.get(token)?;
            lock.queue.get(place).cloned()
        }))
    }

    fn set_waiter(&mut self, waiter: &Waiter) -> Result<()> {
        let lock = self.lock_mut();
        if let Some(old) = lock.places.insert(waiter.token, place(waiter)) {
            lock.queue.remove(&old);
        }
        lock.queue.insert(place(waiter), waiter.clone());
        Ok(())
    }

    fn remove_waiter(&mut self, token: &Token) -> Result<bool> {
        let Some(lock) = self.locks.locks.get_mut(self.name) else { return Ok(false) };
        let Some(place) = lock.places.remove(token) else { return Ok(false) };
        lock.queue.remove(&place);
        self.sweep();
        Ok(true)
    }

    fn crowded(&mut self, limit: u64, now: BootTime) -> Result<bool> {
        let Some(lock) = self.lock() else { return Ok(limit == 0) };
        if (lock.queue.len() as u64) < limit {
            return Ok(false);
        }
        let live = lock.queue.values().filter(|waiter| waiter.alive_until > now).count();
        Ok(live as u64 >= limit)
    }

    fn next_seq(&mut self, _: i32) -> Result<u64> {
        self.locks.last_seq += 1;
        Ok(self.locks.last_seq)
    }

    fn tomb(&mut self, token: &Token, now: BootTime) -> Result<Option<Tomb>> {
        let found = self.locks.tombs.get(token);
        Ok(found.filter(|(_, until)| *until > now).map(|(tomb, _)| *tomb))
    }

    fn bury(&mut self, token: &Token, tomb: Tomb, now: BootTime, until: BootTime) -> Result<()> {
        let locks = &mut *self.locks;
        while let Some((end, old)) = locks.tomb_ends.first().copied()
            && end <= now
        {
            locks.tomb_ends.remove(&(end, old));
            locks.tombs.remove(&old);
        }
        let (kind, end) = match locks.tombs.get(token) {
            Some((first, end)) => {
                locks.tomb_ends.remove(&(*end, *token));
                (*first, until.max(*end))
            }
            None => (tomb, until),
        };
        locks.tombs.insert(*token, (kind, end));
        locks.tomb_ends.insert((end, *token));
        Ok(())
    }

    fn last_fence(&mut self) -> Result<u64> {
        Ok(self.locks.last_fence)
    }

    fn set_last_fence(&mut self, fence: u64) -> Result<()> {
        self.locks.last_fence = fence;
        Ok(())
    }
}
