//! The client: every call starts work and returns at once.

use leasehold_bridge::{Audit, Client as Bridge, ClientRequest, Deadlocks, LockRequest, kind};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::adaptive::AdaptiveTtl;
use crate::attempt::Attempt;
use crate::audit::Trail;
use crate::call::Call;
use crate::latch::Latch;
use crate::observer::Observer;
use crate::plain::Failure;

/// What is asked of a lock; checked by the attempt.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Request(pub(crate) LockRequest);

#[pymethods]
impl Request {
    #[new]
    #[allow(clippy::too_many_arguments, reason = "one per option; called from one place")]
    fn new(
        name: String,
        ttl: Option<f64>,
        wait: Option<f64>,
        try_only: bool,
        fixed_term: bool,
        max_hold: Option<f64>,
        owner: Option<u128>,
        priority: i32,
        note: String,
        shared: bool,
        permits: Option<(u32, u32)>,
        order: Option<String>,
        deadlock_priority: Option<i32>,
    ) -> Self {
        let capacity = permits.map_or(0, |(_, capacity)| capacity);
        let kind = kind(shared, permits.map(|(count, _)| count), capacity);
        Self(LockRequest {
            name,
            kind,
            ttl,
            wait,
            try_only,
            fixed_term,
            max_hold,
            owner,
            priority,
            deadlock_priority,
            note,
            order,
        })
    }
}

/// Access to one store.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Client(Bridge);

#[pymethods]
impl Client {
    /// A client of the store at `url`, or of the default store, which follows so many owners in its search
    /// for deadlocks, and tells of interference in a file or by a trail.
    #[staticmethod]
    fn connect(
        py: Python<'_>,
        url: Option<String>,
        deadlock_depth: Option<u32>,
        audit_file: Option<String>,
        trail: Option<&Trail>,
    ) -> PyResult<Py<PyAny>> {
        let request = request(url, deadlock_depth, audit_file, trail);
        match py.detach(|| Bridge::connect(request)) {
            Ok(client) => Ok(Py::new(py, Self(client))?.into_any()),
            Err(error) => Ok(Py::new(py, Failure::from(error))?.into_any()),
        }
    }

    /// The store's URL, without secrets.
    #[getter]
    fn url(&self) -> String {
        self.0.url()
    }

    /// Starts one try to take a lock.
    fn attempt(&self, py: Python<'_>, request: &Request) -> Attempt {
        // The first step may be a transaction of the embedded store, in this thread.
        Attempt::of(py.detach(|| self.0.attempt(&request.0)))
    }

    /// Starts one try to take a lock with the ttl and the wait that `adaptive` chooses now.
    fn attempt_adaptive(
        &self,
        py: Python<'_>,
        request: &Request,
        adaptive: &AdaptiveTtl,
    ) -> Attempt {
        Attempt::of(py.detach(|| self.0.attempt_adaptive(&request.0, &adaptive.0)))
    }

    /// Starts one try to take several locks, all or none.
    #[pyo3(signature = (requests, wait, try_only))]
    fn attempt_all(
        &self,
        py: Python<'_>,
        requests: Vec<PyRef<'_, Request>>,
        wait: Option<f64>,
        try_only: bool,
    ) -> Attempt {
        let requests: Vec<_> = requests.iter().map(|request| request.0.clone()).collect();
        Attempt::of(py.detach(|| self.0.attempt_all(&requests, wait, try_only)))
    }

    /// Starts one try to take each of several locks alone.
    fn attempt_each(&self, py: Python<'_>, requests: Vec<PyRef<'_, Request>>) -> Attempt {
        let requests: Vec<_> = requests.iter().map(|request| request.0.clone()).collect();
        Attempt::of(py.detach(|| self.0.attempt_each(&requests)))
    }

    /// Starts one try to lead.
    fn campaign(&self, py: Python<'_>, request: &Request, value: Vec<u8>) -> Attempt {
        Attempt::of(py.detach(|| self.0.campaign(&request.0, value)))
    }

    /// Starts one try to enter a barrier.
    fn enter(&self, py: Python<'_>, request: &Request, parties: u32) -> Attempt {
        Attempt::of(py.detach(|| self.0.enter(&request.0, parties)))
    }

    /// Who leads an election now: `False` where nobody does.
    fn leader(&self, py: Python<'_>, name: &str) -> Call {
        Call::of(py.detach(|| self.0.leader(name)))
    }

    /// Watches who leads an election.
    fn observe(&self, name: &str) -> Observer {
        Observer::of(self.0.observe(name))
    }

    /// A latch of `count`, which is kept for `keep` seconds once it is open.
    #[pyo3(signature = (name, count, keep))]
    fn latch(&self, name: &str, count: u64, keep: Option<f64>) -> Latch {
        Latch::of(self.0.latch(name, count, keep))
    }

    /// What the searches for deadlocks came to, in the order of the core's `Deadlocks`.
    fn deadlocks(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match py.detach(|| self.0.deadlocks()) {
            Ok(Deadlocks { looks, found, victims, longest, severest, deepest, cut, .. }) => {
                (looks, found, victims, longest, severest, deepest, cut).into_py_any(py)
            }
            Err(error) => Ok(Py::new(py, Failure::from(error))?.into_any()),
        }
    }

    /// The number of a fresh identity.
    fn owner(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match py.detach(|| self.0.owner()) {
            Ok(number) => Ok(number.into_pyobject(py)?.into_any().unbind()),
            Err(error) => Ok(Py::new(py, Failure::from(error))?.into_any()),
        }
    }

    /// Proves that the store answers.
    fn ping(&self, py: Python<'_>) -> Call {
        Call::of(py.detach(|| self.0.ping()))
    }

    /// One lock, as people see it.
    fn inspect(&self, py: Python<'_>, name: String) -> Call {
        Call::of(py.detach(|| self.0.inspect(name)))
    }

    /// Locks that are held or waited for and start with `prefix`, after `after`.
    fn list(&self, py: Python<'_>, prefix: String, after: Option<String>, limit: u32) -> Call {
        Call::of(py.detach(|| self.0.list(prefix, after, limit)))
    }

    /// Ends a tenure from outside, any or that with `fence`; its fence, or 0 where there was none.
    fn evict(&self, py: Python<'_>, name: String, fence: Option<u64>, why: String) -> Call {
        Call::of(py.detach(|| self.0.evict(name, fence, why)))
    }

    /// Asks whoever holds a lock, or who holds it with `fence`, to give it back within `grace` seconds.
    fn ask_back(
        &self,
        py: Python<'_>,
        name: String,
        why: String,
        grace: f64,
        fence: Option<u64>,
    ) -> Call {
        Call::of(py.detach(|| self.0.ask_back(name, why, grace, fence)))
    }

    /// Changes the number of permits of a semaphore that has `capacity`; the number of the change.
    fn resize(&self, py: Python<'_>, name: &str, capacity: u32, permits: u32) -> Call {
        Call::of(py.detach(|| self.0.resize(name, capacity, permits)))
    }

    /// Ends the client within `grace` seconds.
    fn shutdown(&self, py: Python<'_>, grace: f64) -> Call {
        Call::of(py.detach(|| self.0.shutdown(grace)))
    }
}

/// How a client is made, or those of a manager.
pub(crate) fn request(
    url: Option<String>,
    deadlock_depth: Option<u32>,
    audit_file: Option<String>,
    trail: Option<&Trail>,
) -> ClientRequest {
    let trail = || trail.map(|trail| Audit::Trail(trail.0.clone()));
    let audit = audit_file.map(Audit::File).or_else(trail);
    ClientRequest { url, language: "python", deadlock_depth, audit }
}
