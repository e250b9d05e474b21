//! The audit events of a client, as Python takes them.

use leasehold_bridge::{AuditEntry, Trail as Bridge};
use pyo3::prelude::*;

use crate::call::Call;
use crate::plain::{Who, who};

type Entry = (
    f64,
    Who,
    &'static str,
    String,
    String,
    Option<u64>,
    String,
    Option<Who>,
    &'static str,
    Option<String>,
);

/// The events that Python has not taken yet.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Trail(pub(crate) Bridge);

#[pymethods]
impl Trail {
    #[new]
    fn new() -> Self {
        Self(Bridge::default())
    }

    /// Waits until there is an event to take. Dropping the call loses nothing.
    fn arrived(&self, py: Python<'_>) -> Call {
        Call::of(py.detach(|| self.0.arrived()))
    }

    /// The next event, if there is one.
    fn take(&self, py: Python<'_>) -> Option<Entry> {
        let AuditEntry { at, by, action, store, lock, fence, why, holder, outcome, error } =
            py.detach(|| self.0.take())?;
        Some((at, who(by), action, store, lock, fence, why, holder.map(who), outcome, error))
    }
}
