//! Who leads, as Python is told.

use leasehold_bridge::Observer as Bridge;
use pyo3::prelude::*;

use crate::call::Call;
use crate::plain::leader;

/// Watches who leads, one change at a time.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Observer(Bridge);

#[pymethods]
impl Observer {
    /// Waits until there is a change to take. Dropping the call loses nothing.
    fn changed(&self, py: Python<'_>) -> Call {
        Call::of(py.detach(|| self.0.changed()))
    }

    /// The change: `None` where there is none to take, `False` where nobody leads, or the leader.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.0.take().map(|change| leader(py, change)).transpose()
    }
}

impl Observer {
    pub(crate) fn of(observer: Bridge) -> Self {
        Self(observer)
    }
}
