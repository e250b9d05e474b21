//! Who holds or waits: for people who look at a lock, and for deadlock detection.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::LockOptions;
use crate::sys::Moment;

/// An explicit identity, shared by all locks of one unit of work. Re-entry and deadlock detection
/// go by it, never by thread, task or inherited context.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner(u128);

impl Owner {
    /// The owner with this number.
    #[must_use]
    pub const fn from_number(number: u128) -> Self {
        Self(number)
    }

    /// The owner's number. Public: it opens nothing.
    #[must_use]
    pub const fn number(self) -> u128 {
        self.0
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "owner {:08x}", self.0 >> 96)
    }
}

/// What a person sees of a holder or waiter. Plain data kept in the store beside the tenure.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// The host's name.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// The language of the caller: `rust`, `python`, `cli`, …
    pub language: String,
    /// The wall-clock time of the attempt, in microseconds since 1970; for display only.
    pub since_us: u64,
    /// Free text of the caller, at most 256 bytes.
    pub note: String,
    /// Of the waits in a deadlock the one with the smallest is ended. It lies in the store, so that all
    /// who find the deadlock name the same one. None: the wait's priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadlock_priority: Option<i32>,
}

/// What is the same in all profiles of one client.
#[derive(Default)]
pub(crate) struct Who {
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) language: &'static str,
}

impl Who {
    /// What people see of an attempt that begins at `now`.
    pub(crate) fn profile(&self, now: Moment, options: &LockOptions) -> Profile {
        Profile {
            host: self.host.clone(),
            pid: self.pid,
            language: self.language.to_owned(),
            since_us: now.wall_us,
            note: options.note.clone(),
            deadlock_priority: options.deadlock_priority,
        }
    }
}

impl Profile {
    /// The longest note, in bytes.
    pub const MAX_NOTE: usize = 256;
}
