//! The rows of the memory store: maps, and nothing left behind for a name that nobody holds or
//! waits for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use crate::lock::{Book, Capacity, Head, Rows, Sum, Tenure, Tomb, Waiter};
use crate::store::{Kind, Wanting};
use crate::sys::{BootTime, OwnMap, Token};
use crate::{Error, Name, Owner, Result};

/// Where a waiter stands: readers last, larger priority first, then arrival.
type Place = (bool, i64, u64);

/// All locks of one memory store. Also the state that property tests run the rules over.
#[derive(Default, Debug)]
pub struct Locks {
    locks: BTreeMap<Name, Lock>,
    tombs: OwnMap<Token, (Tomb, BootTime)>,
    tomb_ends: BTreeSet<(BootTime, Token)>,
    /// Semaphores whose number of permits was changed.
    capacities: HashMap<Name, Capacity>,
    /// The waiters that have an owner.
    owned: HashMap<Owner, HashMap<Token, Name>>,
    last_fence: u64,
    last_seq: u64,
}

#[derive(Default, Debug)]
struct Lock {
    /// The one tenure of a lock that is held exclusively: apart from the others, for a map of one
    /// costs an allocation with each grant.
    alone: Option<Tenure>,
    /// Those of a lock that several may hold.
    shared: BTreeMap<Token, Tenure>,
    queue: BTreeMap<Place, Waiter>,
    places: OwnMap<Token, Place>,
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
                let (tenures, queue) = self.look(name, now);
                !tenures.is_empty() || !queue.is_empty()
            })
    }

    /// The live part of a lock: tenures, and the queue in order.
    #[must_use]
    pub fn look(&self, name: &Name, now: BootTime) -> (Vec<&Tenure>, Vec<&Waiter>) {
        match self.locks.get(name) {
            None => (Vec::new(), Vec::new()),
            Some(lock) => (
                lock.tenures().filter(|tenure| tenure.until > now).collect(),
                lock.queue.values().filter(|waiter| waiter.alive_until > now).collect(),
            ),
        }
    }

    /// What the live waiters of `owner` wait for.
    #[must_use]
    pub fn wants(&self, owner: Owner, now: BootTime) -> Vec<Wanting> {
        let own = self.owned.get(&owner).into_iter().flatten();
        own.filter_map(|(token, name)| {
            let lock = self.locks.get(name)?;
            let waiter = lock.queue.get(lock.places.get(token)?)?;
            let holders = lock.tenures().filter(|tenure| tenure.until > now);
            (waiter.alive_until > now).then(|| Wanting::of(name, waiter, holders, now))
        })
        .collect()
    }

    /// Rows of locks and their holders, queue entries and tombstones that are kept: what a leak would
    /// grow.
    #[must_use]
    pub fn kept(&self) -> (usize, usize, usize) {
        let waiting = self.locks.values().map(|lock| lock.queue.len()).sum();
        let held = self.locks.values().map(|lock| lock.tenures().count().max(1)).sum();
        (held, waiting, self.tombs.len())
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
        if self.lock().is_some_and(Lock::is_idle) {
            self.locks.locks.remove(self.name);
        }
    }
}

impl Lock {
    fn tenures(&self) -> impl Iterator<Item = &Tenure> {
        self.alone.iter().chain(self.shared.values())
    }

    fn is_idle(&self) -> bool {
        self.alone.is_none() && self.shared.is_empty() && self.queue.is_empty()
    }
}

fn place(waiter: &Waiter) -> Place {
    (waiter.kind == Kind::Shared, -i64::from(waiter.priority), waiter.seq)
}

impl Rows for LockRows<'_> {
    type Error = Error;

    fn name(&self) -> &Name {
        self.name
    }

    fn holder(&mut self) -> Result<Option<Tenure>> {
        Ok(self.lock().and_then(|lock| lock.tenures().next().cloned()))
    }

    fn tenure(&mut self, token: &Token) -> Result<Option<Tenure>> {
        let Some(lock) = self.lock() else { return Ok(None) };
        let alone = lock.alone.as_ref().filter(|tenure| tenure.token == *token);
        Ok(alone.or_else(|| lock.shared.get(token)).cloned())
    }

    fn sum(&mut self) -> Result<Sum> {
        let mut sum = Sum { first_end: BootTime::NEVER, ..Sum::default() };
        for tenure in self.lock().into_iter().flat_map(Lock::tenures) {
            sum.tenures += 1;
            if let Kind::Permits { count, .. } = tenure.kind {
                sum.permits += u64::from(count);
            }
            sum.first_end = sum.first_end.min(tenure.until);
            sum.last_end = sum.last_end.max(tenure.until);
        }
        Ok(sum)
    }

    fn set_tenure(&mut self, tenure: &Tenure) -> Result<()> {
        let lock = self.lock_mut();
        if tenure.kind == Kind::Exclusive {
            lock.shared.remove(&tenure.token);
            lock.alone = Some(tenure.clone());
        } else {
            lock.alone.take_if(|alone| alone.token == tenure.token);
            lock.shared.insert(tenure.token, tenure.clone());
        }
        Ok(())
    }

    fn remove_tenure(&mut self, token: &Token) -> Result<()> {
        if let Some(lock) = self.locks.locks.get_mut(self.name) {
            if lock.alone.take_if(|alone| alone.token == *token).is_none() {
                lock.shared.remove(token);
            }
            if lock.is_idle() {
                self.locks.locks.remove(self.name);
            }
        }
        Ok(())
    }

    fn take_expired(&mut self, now: BootTime) -> Result<Vec<(Token, BootTime)>> {
        let Some(lock) = self.locks.locks.get_mut(self.name) else { return Ok(Vec::new()) };
        let ended = |tenure: &Tenure| tenure.until <= now;
        let expired: Vec<_> = lock.tenures().filter(|it| ended(it)).collect();
        let expired = expired.into_iter().map(|it| (it.token, it.until)).collect();
        lock.alone.take_if(|tenure| ended(tenure));
        lock.shared.retain(|_, tenure| !ended(tenure));
        self.sweep();
        Ok(expired)
    }

    fn prolong(
        &mut self,
        token: &Token,
        until: BootTime,
        told: BootTime,
        now: BootTime,
    ) -> Result<bool> {
        let Some(lock) = self.locks.locks.get_mut(self.name) else { return Ok(false) };
        let alone = lock.alone.as_mut().filter(|tenure| tenure.token == *token);
        let own = alone.or_else(|| lock.shared.get_mut(token));
        let Some(tenure) = own.filter(|tenure| tenure.until > now) else { return Ok(false) };
        tenure.until = tenure.until.max(until);
        tenure.told = tenure.told.max(told);
        tenure.claimed = false;
        Ok(true)
    }

    fn head(&mut self) -> Result<Option<Head>> {
        Ok(self.lock().and_then(|lock| {
            let (_, waiter) = lock.queue.first_key_value()?;
            let readers = lock.queue.last_key_value().is_some_and(|((reads, ..), _)| *reads);
            Some(Head { waiter: waiter.clone(), readers })
        }))
    }

    fn readers(&mut self) -> Result<Vec<Waiter>> {
        let from = (true, i64::MIN, 0);
        let readers = self.lock().into_iter().flat_map(|lock| lock.queue.range(from..));
        Ok(readers.map(|(_, waiter)| waiter.clone()).collect())
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
        if let Some(owner) = waiter.owner {
            let own = self.locks.owned.entry(owner).or_default();
            own.insert(waiter.token, self.name.clone());
        }
        Ok(())
    }

    fn remove_waiter(&mut self, token: &Token) -> Result<bool> {
        let Some(lock) = self.locks.locks.get_mut(self.name) else { return Ok(false) };
        let Some(place) = lock.places.remove(token) else { return Ok(false) };
        let owner = lock.queue.remove(&place).and_then(|waiter| waiter.owner);
        if let Some((owner, own)) = owner.and_then(|it| Some((it, self.locks.owned.get_mut(&it)?)))
        {
            own.remove(token);
            if own.is_empty() {
                self.locks.owned.remove(&owner);
            }
        }
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

    fn next_seq(&mut self, _: Kind, _: i32) -> Result<u64> {
        self.locks.last_seq += 1;
        Ok(self.locks.last_seq)
    }

    fn capacity(&mut self, now: BootTime) -> Result<Option<Capacity>> {
        Ok(self.locks.capacities.get(self.name).filter(|known| known.until > now).cloned())
    }

    fn set_capacity(&mut self, capacity: &Capacity, now: BootTime) -> Result<()> {
        self.locks.capacities.retain(|_, known| known.until > now);
        self.locks.capacities.insert(self.name.clone(), capacity.clone());
        Ok(())
    }

    fn recount(&mut self, from: u32, to: u32) -> Result<()> {
        let Some(lock) = self.locks.locks.get_mut(self.name) else { return Ok(()) };
        let change = |kind: &mut Kind| match kind {
            Kind::Permits { count, capacity } if *capacity == from => {
                *capacity = to;
                *count <= to
            }
            _ => true,
        };
        for tenure in lock.shared.values_mut() {
            change(&mut tenure.kind);
        }
        let mut over = Vec::new();
        for waiter in lock.queue.values_mut() {
            if !change(&mut waiter.kind) {
                over.push(waiter.token);
            }
        }
        for token in over {
            self.remove_waiter(&token)?;
        }
        Ok(())
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
