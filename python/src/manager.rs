//! Locks by name, of one configuration.

use leasehold_bridge::{Managed as BridgeManaged, Manager as Bridge, Source, UsageInfo};
use pyo3::prelude::*;

use crate::adaptive::AdaptiveTtl;
use crate::attempt::Attempt;
use crate::audit::Trail;
use crate::call::Call;
use crate::client::{Request, request};
use crate::plain::Failure;

type Usage = (String, u64, u64, u64, Option<f64>);

/// Locks by name.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Manager(Bridge);

/// A lock that the configuration describes.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Managed(BridgeManaged);

#[pymethods]
impl Manager {
    /// A manager of what `text` says in the `form` `toml`, `json` or `file` (a path to TOML).
    #[staticmethod]
    fn open(
        py: Python<'_>,
        form: &str,
        text: String,
        deadlock_depth: Option<u32>,
        audit_file: Option<String>,
        trail: Option<&Trail>,
    ) -> PyResult<Py<PyAny>> {
        let source = match form {
            "json" => Source::Json(text),
            "file" => Source::File(text),
            _ => Source::Toml(text),
        };
        let request = request(None, deadlock_depth, audit_file, trail);
        match py.detach(|| Bridge::open(source, request)) {
            Ok(manager) => Ok(Py::new(py, Self(manager))?.into_any()),
            Err(error) => Ok(Py::new(py, Failure::from(error))?.into_any()),
        }
    }

    /// Describes a lock of this kind.
    fn describe(&self, py: Python<'_>, name: &str, kind: &str) -> PyResult<Py<PyAny>> {
        match py.detach(|| self.0.describe(name, kind)) {
            Ok(managed) => Ok(Py::new(py, Managed(managed))?.into_any()),
            Err(error) => Ok(Py::new(py, Failure::from(error))?.into_any()),
        }
    }

    /// Whether anyone holds the lock.
    fn is_locked(&self, py: Python<'_>, name: String) -> Call {
        Call::of(py.detach(|| self.0.is_locked(name)))
    }

    /// Who holds the lock: `False` where nobody does.
    fn holder(&self, py: Python<'_>, name: String) -> Call {
        Call::of(py.detach(|| self.0.holder(name)))
    }

    /// The lock, as people see it.
    fn inspect(&self, py: Python<'_>, name: String) -> Call {
        Call::of(py.detach(|| self.0.inspect(name)))
    }

    /// Locks that are held or waited for and start with `prefix`, each with its store.
    fn list(&self, py: Python<'_>, prefix: String, after: Option<String>, limit: u32) -> Call {
        Call::of(py.detach(|| self.0.list(prefix, after, limit)))
    }

    /// Ends a tenure from outside, where that is permitted; its fence, or 0 where there was none.
    fn evict(&self, py: Python<'_>, name: String, fence: Option<u64>, why: String) -> Call {
        Call::of(py.detach(|| self.0.evict(name, fence, why)))
    }

    /// Asks for a lock back.
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

    /// Asks for a lock back, and ends what is not given back.
    fn revoke(
        &self,
        py: Python<'_>,
        name: String,
        why: String,
        grace: f64,
        fence: Option<u64>,
    ) -> Call {
        Call::of(py.detach(|| self.0.revoke(name, why, grace, fence)))
    }

    /// How each store is.
    fn health(&self, py: Python<'_>) -> Call {
        Call::of(py.detach(|| self.0.health()))
    }

    // Both with the interpreter's lock given up: a waiter's thread may have the mutex.
    /// How this process uses `name`, if it does.
    fn usage(&self, py: Python<'_>, name: &str) -> Option<Usage> {
        py.detach(|| self.0.usage(name)).map(usage)
    }

    /// How this process uses each name that it uses.
    fn usages(&self, py: Python<'_>) -> Vec<Usage> {
        py.detach(|| self.0.usages()).into_iter().map(usage).collect()
    }

    /// Ends the clients of all stores within `grace` seconds.
    fn shutdown(&self, py: Python<'_>, grace: f64) -> Call {
        Call::of(py.detach(|| self.0.shutdown(grace)))
    }
}

#[pymethods]
impl Managed {
    /// How many permits there are; 0 of what is no semaphore.
    fn capacity(&self) -> u32 {
        self.0.capacity()
    }

    /// Starts one try to take it.
    fn attempt(&self, py: Python<'_>, request: &Request) -> Attempt {
        Attempt::of(py.detach(|| self.0.attempt(&request.0)))
    }

    /// Starts one try to take it with the ttl and the wait that `adaptive` chooses now.
    fn attempt_adaptive(
        &self,
        py: Python<'_>,
        request: &Request,
        adaptive: &AdaptiveTtl,
    ) -> Attempt {
        Attempt::of(py.detach(|| self.0.attempt_adaptive(&request.0, &adaptive.0)))
    }

    /// Changes the number of a semaphore's permits; the number of the change. What the arguments before the
    /// last say, the configuration has said: they are those of a client's.
    fn resize(&self, py: Python<'_>, name: &str, capacity: u32, permits: u32) -> Call {
        let _ = (name, capacity);
        Call::of(py.detach(|| self.0.resize(permits)))
    }
}

fn usage(info: UsageInfo) -> Usage {
    let UsageInfo { name, held, waiting, idle, last_used } = info;
    (name, held, waiting, idle, last_used)
}
