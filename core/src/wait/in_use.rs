//! The names that this process uses: who holds them, waits for them, or has them described.
//!
//! The trap is a table of local states that is too small: striped, it has two names share a state;
//! bounded, it throws out what is held or waited for (Spring Integration GH-11146, GH-11044). This one
//! has an entry for each name that is in use and none besides: entries are counted, not collected, and
//! the last user takes its entry away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Name;
use crate::sys::Sys;
use crate::sys::fork::Inherited;

/// The names in use, by one manager in one process.
#[derive(Default)]
pub(crate) struct Registry {
    entries: Mutex<HashMap<Name, Entry>>,
}

/// What one name has in common with no other.
#[derive(Default)]
struct Entry {
    /// Users in each [`Role`].
    users: [usize; 3],
    last_used_us: u64,
}

/// How one name is used by this process at this moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Usage {
    /// The name.
    pub name: Name,
    /// Leases that are held.
    pub held: usize,
    /// Calls that ask or wait for it.
    pub waiting: usize,
    /// Locks that are described, and leases that are over and not dropped yet.
    pub idle: usize,
    /// When it was last asked for, granted, given back or lost: microseconds since 1970 by the wall
    /// clock. None where it is only described so far.
    pub last_used_us: Option<u64>,
}

/// What a user does with the name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Idle,
    Waits,
    Holds,
}

/// One user of a name, until it is dropped. A forked child has none of its parent's.
#[derive(Debug)]
pub(crate) struct InUse(Inherited<User>);

struct User {
    registry: Arc<Registry>,
    name: Name,
    role: AtomicU8,
    /// None of a description, which has no store yet.
    sys: Option<Sys>,
}

impl Registry {
    /// A user that only describes the lock.
    pub(crate) fn describe(self: &Arc<Self>, name: &Name) -> InUse {
        InUse::new(self, name, Role::Idle, None)
    }

    /// How `name` is used, if it is.
    pub(crate) fn usage(&self, name: &Name) -> Option<Usage> {
        self.entries().get(name).map(|entry| entry.seen(name))
    }

    /// How each name is used, in order of name.
    pub(crate) fn usages(&self) -> Vec<Usage> {
        let mut all: Vec<_> = self.entries().iter().map(|(name, it)| it.seen(name)).collect();
        all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Name, Entry>> {
        // Nothing in here panics half-way.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn seen(&self, name: &Name) -> Usage {
        let [idle, waiting, held] = self.users;
        let last_used_us = (self.last_used_us > 0).then_some(self.last_used_us);
        Usage { name: name.clone(), held, waiting, idle, last_used_us }
    }
}

impl InUse {
    fn new(registry: &Arc<Registry>, name: &Name, role: Role, sys: Option<Sys>) -> Self {
        let (registry, name) = (Arc::clone(registry), name.clone());
        let user = User { registry, name, role: AtomicU8::new(role as u8), sys };
        let now = user.now_us();
        let mut entries = user.registry.entries();
        let entry = entries.entry(user.name.clone()).or_default();
        entry.users[role as usize] += 1;
        entry.last_used_us = entry.last_used_us.max(now);
        drop(entries);
        Self(Inherited::new(user))
    }

    /// A user of the same name that waits; none in a forked child.
    pub(crate) fn waits(&self, sys: &Sys) -> Option<Self> {
        if self.0.forked() {
            return None;
        }
        let User { registry, name, .. } = &*self.0;
        Some(Self::new(registry, name, Role::Waits, Some(sys.clone())))
    }

    /// Changes what it does with the name.
    pub(crate) fn becomes(&self, role: Role) {
        if self.0.forked() {
            return;
        }
        let user = &*self.0;
        let now = user.now_us();
        let mut entries = user.registry.entries();
        let before = user.role.swap(role as u8, Ordering::AcqRel);
        if let Some(entry) = entries.get_mut(&user.name)
            && before != role as u8
        {
            entry.users[usize::from(before)] -= 1;
            entry.users[role as usize] += 1;
            entry.last_used_us = entry.last_used_us.max(now);
        }
    }
}

impl User {
    fn now_us(&self) -> u64 {
        self.sys.as_ref().map_or(0, |sys| sys.moment().wall_us)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let now = self.now_us();
        let mut entries = self.registry.entries();
        let role = usize::from(self.role.load(Ordering::Acquire));
        let Some(entry) = entries.get_mut(&self.name) else { return };
        entry.users[role] -= 1;
        entry.last_used_us = entry.last_used_us.max(now);
        if entry.users == [0; 3] {
            entries.remove(&self.name);
        }
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a user of {}", self.name)
    }
}
