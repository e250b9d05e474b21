//! One try to take a lock, which owns what it obtains until Python has it in hand.

use std::time::Duration;

use leasehold_bridge::{Attempt as Bridge, Outcome};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::held::Held;
use crate::mailbox::Mailbox;
use crate::plain::Failure;

/// One try to take a lock. Its result is `None` while it is not done, a `Held`, `False` where the
/// lock is another's and the attempt does not wait, or a `Failure`. Dropping it before that cancels
/// it.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Attempt(Bridge);

#[pymethods]
impl Attempt {
    /// The result, if there is one.
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.plain(py, self.0.peek())
    }

    /// Waits for the result, at most `millis`, with the interpreter's lock given up.
    fn wait(&self, py: Python<'_>, millis: u64) -> PyResult<Option<Py<PyAny>>> {
        let outcome = py.detach(|| self.0.wait_for(Duration::from_millis(millis)));
        self.plain(py, outcome)
    }

    /// Has `key` put into `mailbox` when there is a result; false, and nothing is put, where there is one
    /// already, or is in a moment.
    fn settle(&self, py: Python<'_>, mailbox: &Mailbox, key: u64) -> bool {
        py.detach(|| self.0.unless_done_tell_in(&mailbox.0, key))
    }

    /// Stops waiting, or gives back what was obtained.
    pub(crate) fn cancel(&self, py: Python<'_>) {
        py.detach(|| self.0.cancel());
    }
}

impl Attempt {
    pub(crate) fn of(attempt: Bridge) -> Self {
        Self(attempt)
    }

    fn plain(&self, py: Python<'_>, outcome: Option<Outcome>) -> PyResult<Option<Py<PyAny>>> {
        let Some(outcome) = outcome else { return Ok(None) };
        let plain = match outcome {
            Outcome::Busy => false.into_py_any(py)?,
            Outcome::Held { .. } => match self.0.held() {
                Some(held) => Py::new(py, Held::of(held, self.0.each()))?.into_any(),
                // Cancelled since the outcome was read.
                None => Outcome::Cancelled.error().map(Failure::from).into_py_any(py)?,
            },
            other => other.error().map(Failure::from).into_py_any(py)?,
        };
        Ok(Some(plain))
    }
}
