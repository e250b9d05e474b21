//! The scopes that are open on one lock object, and a way out of them that Ctrl-C can't cut off.
//!
//! Python looks for signals where a function written in Python begins: a `KeyboardInterrupt` that
//! comes between the last line of a `with` body and the first of a Python `__exit__` skips the
//! latter, and the lock would be held for as long as the lock object lives. A native `__exit__` has
//! no such gap: whatever happens to the Python code that it calls, the lease is given back.
//!
//! One lock object may be entered by many threads, and one thread's lease may have been lost and
//! another's granted before the first leaves. So a scope is found by its thread first; and, since a
//! web framework may leave on another thread than it entered on, by its age second.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::attempt::Attempt;

/// The base of the classes with `with`: `_leave(lease, kind, error, trace)` is theirs.
#[pyclass(frozen, subclass, module = "leasehold._native")]
pub(crate) struct Scope(Mutex<Vec<Entry>>);

struct Entry {
    thread: ThreadId,
    attempt: Py<Attempt>,
    lease: Py<PyAny>,
}

#[pymethods]
impl Scope {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self(Mutex::default())
    }

    /// Notes that this thread entered and that `attempt` came to `lease`.
    fn _entered(&self, attempt: Py<Attempt>, lease: Py<PyAny>) {
        self.entries().push(Entry { thread: thread::current().id(), attempt, lease });
    }

    /// Forgets the scope of `attempt`: its entering was interrupted.
    fn _forget(&self, attempt: &Bound<'_, Attempt>) {
        let gone = {
            let mut entries = self.entries();
            let at = entries.iter().rposition(|entry| entry.attempt.is(attempt));
            at.map(|at| entries.remove(at))
        };
        // Outside the mutex: dropping a lease may run Python code.
        drop(gone);
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(
        slf: &Bound<'_, Self>,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        trace: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let Some(Entry { attempt, lease, .. }) = slf.get().pop() else {
            return Err(PyRuntimeError::new_err("left a lock that was not entered"));
        };
        let left = slf.call_method1("_leave", (lease, kind, error, trace));
        if left.is_err() {
            attempt.get().cancel(py);
        }
        left.map(drop)
    }
}

impl Scope {
    fn pop(&self) -> Option<Entry> {
        let here = thread::current().id();
        let mut entries = self.entries();
        let at = entries.iter().rposition(|entry| entry.thread == here);
        at.map(|at| entries.remove(at)).or_else(|| entries.pop())
    }

    /// The mutex is never held while Python code runs.
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
