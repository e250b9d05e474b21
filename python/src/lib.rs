//! The native half of `leasehold` for Python: arguments in, completions out.
//!
//! The public API is Python (`python/leasehold`), so that it is typed, documented and debuggable
//! there. Nothing here decides anything about locks, and no thread of the library's ever takes the
//! interpreter's lock: a completion is a number in a [`mailbox`], and whoever reads it is Python.

mod adaptive;
mod attempt;
mod audit;
mod call;
mod client;
mod guard;
mod held;
mod latch;
mod mailbox;
mod manager;
mod observer;
mod plain;
mod scope;

/// The module `leasehold._native`.
#[pyo3::pymodule]
mod _native {
    use std::time::Duration;

    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::adaptive::AdaptiveTtl;
    #[pymodule_export]
    use crate::attempt::Attempt;
    #[pymodule_export]
    use crate::audit::Trail;
    #[pymodule_export]
    use crate::call::Call;
    #[pymodule_export]
    use crate::client::{Client, Request};
    #[pymodule_export]
    use crate::guard::{Gate, fence_column, fences, guard_texts, header, read_header};
    #[pymodule_export]
    use crate::held::Held;
    #[pymodule_export]
    use crate::latch::Latch;
    #[pymodule_export]
    use crate::mailbox::Mailbox;
    #[pymodule_export]
    use crate::manager::{Managed, Manager};
    #[pymodule_export]
    use crate::observer::Observer;
    #[pymodule_export]
    use crate::plain::Failure;
    #[pymodule_export]
    use crate::scope::Scope;

    /// Every error code of the library.
    #[pyfunction]
    fn error_codes() -> Vec<&'static str> {
        leasehold_bridge::error_codes()
    }

    /// Every reason for which a lease is lost.
    #[pyfunction]
    fn lost_reasons() -> Vec<&'static str> {
        leasehold_bridge::lost_reasons()
    }

    /// Tells all holders of the process and gives their leases back; waits at most `grace_ms`.
    #[pyfunction]
    fn release_all(py: Python<'_>, grace_ms: u64) -> bool {
        py.detach(|| leasehold_bridge::release_all(Duration::from_millis(grace_ms)))
    }
}
