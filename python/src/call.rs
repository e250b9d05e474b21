//! A call under way, whatever it yields.

use std::sync::Arc;
use std::time::Duration;

use leasehold_bridge::{ErrorInfo, EventLoop, Pending};
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
        let letter = mailbox.letter(key);
        py.detach(|| self.0.notify(mailbox.here(), Box::new(letter)));
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
    fn notify(&self, here: Option<&Arc<EventLoop>>, letter: Box<dyn FnOnce() + Send>);
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

    fn notify(&self, here: Option<&Arc<EventLoop>>, letter: Box<dyn FnOnce() + Send>) {
        match here {
            Some(here) => self.on_done_in(here, letter),
            None => self.on_done(letter),
        }
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
