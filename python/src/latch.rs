//! A latch as Python holds it.

use leasehold_bridge::Latch as Bridge;
use pyo3::prelude::*;

use crate::call::Call;

/// A latch, which tells the calls of who holds it apart.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Latch(Bridge);

#[pymethods]
impl Latch {
    /// Counts down by `count`; what is left.
    fn count_down(&self, py: Python<'_>, count: u64) -> Call {
        Call::of(py.detach(|| self.0.count_down(count)))
    }

    /// What is left.
    fn count(&self, py: Python<'_>) -> Call {
        Call::of(py.detach(|| self.0.count()))
    }

    /// Waits until it is open, at most `wait` seconds.
    fn wait(&self, py: Python<'_>, wait: Option<f64>) -> Call {
        Call::of(py.detach(|| self.0.wait(wait)))
    }
}

impl Latch {
    pub(crate) fn of(latch: Bridge) -> Self {
        Self(latch)
    }
}
