//! Fences enforced where a write takes effect: text, and a gate in this process.

use leasehold_bridge::guard::{self, Fences, Gate as Bridge};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::plain::Failure;

/// The largest fence seen of each of many resources, in this process.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Gate(Bridge);

#[pymethods]
impl Gate {
    #[new]
    fn new() -> Self {
        Self(Bridge::default())
    }

    // With the interpreter's lock: no fork comes between, after which the mutex would stay locked.
    /// A failure where a larger fence of `resource` was admitted before.
    fn admit(&self, resource: &str, fence: u64) -> Option<Failure> {
        self.0.admit(resource, fence).err().map(Failure::from)
    }

    /// Forgets `resource`.
    fn forget(&self, resource: &str) {
        self.0.forget(resource);
    }
}

/// The statements of a table of fences: create, those that admit, forget.
#[pyfunction]
pub(crate) fn fences(
    py: Python<'_>,
    dialect: &str,
    name: &str,
    style: &str,
) -> PyResult<Py<PyAny>> {
    match guard::fences(dialect, name, style) {
        Ok(Fences { create, admit, forget }) => (create, admit, forget).into_py_any(py),
        Err(error) => Failure::from(error).into_py_any(py),
    }
}

/// The parts of the statements of a row with a column for the fence.
#[pyfunction]
pub(crate) fn fence_column(
    py: Python<'_>,
    dialect: &str,
    name: &str,
    marker: &str,
) -> PyResult<Py<PyAny>> {
    match guard::column(dialect, name, marker) {
        Ok([define, set, and_where]) => (define, set, and_where).into_py_any(py),
        Err(error) => Failure::from(error).into_py_any(py),
    }
}

/// The header's value.
#[pyfunction]
pub(crate) fn header(py: Python<'_>, name: &str, fence: u64) -> PyResult<Py<PyAny>> {
    match guard::header(name, fence) {
        Ok(value) => value.into_py_any(py),
        Err(error) => Failure::from(error).into_py_any(py),
    }
}

/// The lock and the fence of the header's value.
#[pyfunction]
pub(crate) fn read_header(py: Python<'_>, value: &str) -> PyResult<Py<PyAny>> {
    match guard::read_header(value) {
        Ok(found) => found.into_py_any(py),
        Err(error) => Failure::from(error).into_py_any(py),
    }
}

/// What does not change: the header's name, the status of a refusal, the script, how its refusal
/// begins.
#[pyfunction]
pub(crate) fn guard_texts() -> (&'static str, u16, &'static str, &'static str) {
    (guard::HEADER, guard::STALE_STATUS, guard::SCRIPT, guard::STALE)
}
