//! The bridge's plain data as Python objects. The Python half makes its own types of them.

use leasehold_bridge::{
    ErrorInfo, HealthInfo, HolderInfo, LeaderInfo, LockInfo, PlacedInfo, Release, Returned,
    WaiterInfo,
};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

/// An error as data: the Python half has the exception classes.
#[pyclass(frozen, get_all, module = "leasehold._native")]
pub(crate) struct Failure {
    code: &'static str,
    message: String,
    retryable: bool,
    reason: Option<&'static str>,
    cycle: Vec<String>,
    causes: Vec<String>,
}

impl From<ErrorInfo> for Failure {
    fn from(error: ErrorInfo) -> Self {
        let ErrorInfo { code, message, retryable, reason, cycle, causes } = error;
        Self { code, message, retryable, reason, cycle, causes }
    }
}

/// What a call yields, as Python sees it. Never `None`, which says that it is not done.
pub(crate) trait Plain: Clone + Send + 'static {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

impl Plain for () {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        true.into_py_any(py)
    }
}

impl Plain for bool {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.into_py_any(py)
    }
}

impl Plain for Release {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.state.into_py_any(py)
    }
}

/// 0 for none: no fence is 0.
impl Plain for Option<u64> {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.unwrap_or_default().into_py_any(py)
    }
}

impl Plain for u64 {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.into_py_any(py)
    }
}

impl Plain for Option<LeaderInfo> {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        leader(py, self)
    }
}

impl Plain for LockInfo {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        lock(self).into_py_any(py)
    }
}

impl Plain for Vec<LockInfo> {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let all: Vec<Lock> = self.into_iter().map(lock).collect();
        all.into_py_any(py)
    }
}

impl Plain for Option<HolderInfo> {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            None => false.into_py_any(py),
            Some(holder) => holder_of(holder).into_py_any(py),
        }
    }
}

impl Plain for Returned {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Self { state, fence, holder, others } = self;
        (state, fence, holder.map(who), others).into_py_any(py)
    }
}

impl Plain for Vec<PlacedInfo> {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let all: Vec<_> = self.into_iter().map(|it| (it.store, lock(it.lock))).collect();
        all.into_py_any(py)
    }
}

impl Plain for Vec<HealthInfo> {
    fn plain(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let all = self.into_iter().map(|it| {
            let HealthInfo { store, url, round_trip, error, held, waiting } = it;
            let failure = error.map(|error| Py::new(py, Failure::from(error))).transpose()?;
            Ok((store, url, round_trip, failure, held, waiting))
        });
        all.collect::<PyResult<Vec<_>>>()?.into_py_any(py)
    }
}

pub(crate) type Who = (String, u32, String, f64, String);
type Holder = (u64, f64, f64, Who);
type Lock = (String, Option<Holder>, Vec<Who>, u64);

fn lock(info: LockInfo) -> Lock {
    let LockInfo { name, holder, queue, waiting } = info;
    (name, holder.map(holder_of), queue.into_iter().map(who).collect(), waiting)
}

fn holder_of(info: HolderInfo) -> Holder {
    (info.fence, info.told, info.stored, who(info.who))
}

/// `False` for nobody: `None` says that a call is not done, or that there is no change.
pub(crate) fn leader(py: Python<'_>, info: Option<LeaderInfo>) -> PyResult<Py<PyAny>> {
    match info {
        None => false.into_py_any(py),
        Some(LeaderInfo { fence, value, who: by }) => (fence, value, who(by)).into_py_any(py),
    }
}

pub(crate) fn who(info: WaiterInfo) -> Who {
    (info.host, info.pid, info.language, info.since, info.note)
}
