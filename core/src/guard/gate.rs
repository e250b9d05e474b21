//! Guards for what has no transactions of its own: a value in this process, or whatever one task owns.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// A value that takes writes with a fence, and refuses those with a smaller one than it has seen.
///
/// ```
/// let account = leasehold::guard::Fenced::new("account:42", 100_i64);
/// assert_eq!(account.write(7, |balance| { *balance -= 30; *balance }).unwrap(), 70);
/// let late = account.write(6, |balance| *balance = 0).unwrap_err();
/// assert_eq!(late.kind(), leasehold::ErrorKind::Lost);
/// assert_eq!(account.read(|balance| *balance), 70);
/// ```
#[derive(Debug)]
pub struct Fenced<T> {
    what: String,
    state: Mutex<(u64, T)>,
}

impl<T> Fenced<T> {
    /// A value that has seen no fence yet; `what` names it in errors.
    pub fn new(what: impl Into<String>, value: T) -> Self {
        Self { what: what.into(), state: Mutex::new((0, value)) }
    }

    /// Runs `write` on the value unless a larger fence was seen. Comparison and write are one step, as
    /// with a mutex; so `write` must not wait for anything.
    ///
    /// # Errors
    /// [`Lost`](crate::ErrorKind::Lost) where the fence is out of date; `write` did not run then.
    pub fn write<R>(&self, fence: u64, write: impl FnOnce(&mut T) -> R) -> Result<R> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 > fence {
            return Err(stale(&self.what, fence, state.0));
        }
        state.0 = fence;
        Ok(write(&mut state.1))
    }

    /// Looks at the value; needs no fence.
    pub fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.state.lock().unwrap_or_else(PoisonError::into_inner).1)
    }
}

/// The largest fence seen of each of many resources, for a task that all writes to them go through one
/// after the other: it asks, then writes, before it takes the next. Elsewhere use [`Fenced`], or a guard
/// of the database.
#[derive(Debug, Default)]
pub struct Gate(Mutex<HashMap<String, u64>>);

impl Gate {
    /// A gate that has seen nothing. What it sees it forgets with the process: a gate that must outlive
    /// that lies in a database ([`sql`](super::sql)).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Succeeds unless a larger fence of `resource` was admitted before.
    ///
    /// # Errors
    /// [`Lost`](crate::ErrorKind::Lost) where the fence is out of date.
    pub fn admit(&self, resource: &str, fence: u64) -> Result<()> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get_mut(resource) {
            Some(last) if *last > fence => return Err(stale(resource, fence, *last)),
            Some(last) => *last = fence,
            None => {
                seen.insert(resource.to_owned(), fence);
            }
        }
        Ok(())
    }

    /// Forgets `resource`, which is gone.
    pub fn forget(&self, resource: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(resource);
    }
}

/// The refusal of a write to `what`.
pub(super) fn stale(what: &str, fence: u64, seen: u64) -> Error {
    Error::superseded(format!("a write to {what} with fence {fence} comes after one with {seen}"))
}
