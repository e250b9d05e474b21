//! A call under way, whatever it yields.

use std::sync::Arc;
use std::time::Duration;

use leasehold_bridge::{ErrorInfo, Pending};
use pyo3::prelude::*;

use crate::mailbox::Mailbox;
use crate::plain::{Failure, Plain};

/// A call under way. Its result is `None` while it is not done, else a value or a `Failure`.
/// Dropping it ends what only waits, and stops nothing else.
#[pyclass(frozen, generic, module = "leasehold._native")]
pub(crate) struct Call(Box<dyn Work>);

#[pymethods]
impl Call {
    /// The result, if there is one.
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.0.poll(py)
    }

    /// Waits for the result, at most `millis`, with the interpreter's lock given up.
    fn wait(&self, py: Python<'_>, millis: u64) -> PyResult<Option<Py<PyAny>>> {
        self.0.wait(py, Duration::from_millis(millis))
    }

    /// Has `key` put into `mailbox` when there is a result: at once, if there is.
    fn notify(&self, py: Python<'_>, mailbox: &Mailbox, key: u64) {
        py.detach(|| self.0.notify(&mailbox.0, key));
    }

    /// The same, but false, and nothing is put, where there is a result already, or is in a moment.
    fn settle(&self, py: Python<'_>, mailbox: &Mailbox, key: u64) -> bool {
        py.detach(|| self.0.settle(&mailbox.0, key))
    }

    /// Ends what only waits; stops nothing else.
    fn cancel(&self, py: Python<'_>) {
        py.detach(|| self.0.cancel());
    }
}

impl Call {
    pub(crate) fn of<T: Plain>(pending: Pending<T>) -> Self {
        Self(Box::new(pending))
    }
}

trait Work: Send + Sync {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>>;
    fn wait(&self, py: Python<'_>, slice: Duration) -> PyResult<Option<Py<PyAny>>>;
    fn notify(&self, mailbox: &Arc<leasehold_bridge::Mailbox>, key: u64);
    fn settle(&self, mailbox: &Arc<leasehold_bridge::Mailbox>, key: u64) -> bool;
    fn cancel(&self);
}

impl<T: Plain> Work for Pending<T> {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.peek().map(|result| plain(py, result)).transpose()
    }

    fn wait(&self, py: Python<'_>, slice: Duration) -> PyResult<Option<Py<PyAny>>> {
        let done = py.detach(|| self.wait_for(slice));
        done.map(|result| plain(py, result)).transpose()
    }

    fn notify(&self, mailbox: &Arc<leasehold_bridge::Mailbox>, key: u64) {
        self.tell_in(mailbox, key);
    }

    fn settle(&self, mailbox: &Arc<leasehold_bridge::Mailbox>, key: u64) -> bool {
        self.unless_done_tell_in(mailbox, key)
    }

    fn cancel(&self) {
        Pending::cancel(self);
    }
}

fn plain<T: Plain>(py: Python<'_>, result: Result<T, ErrorInfo>) -> PyResult<Py<PyAny>> {
    match result {
        Ok(value) => value.plain(py),
        Err(error) => Ok(Py::new(py, Failure::from(error))?.into_any()),
    }
}
