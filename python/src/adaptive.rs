//! A ttl and a wait from a lock's own history.

use leasehold_bridge::{AdaptiveTtl as Bridge, Choice};
use pyo3::prelude::*;

use crate::plain::Failure;

type Chosen = (f64, f64, u64, f64, f64, f64, String);

/// Follows how long a lock was held and waited for.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct AdaptiveTtl(pub(crate) Bridge);

#[pymethods]
impl AdaptiveTtl {
    #[new]
    fn new() -> Self {
        Self(Bridge::default())
    }

    /// Notes a hold of so many seconds.
    fn held(&self, span: f64) -> Option<Failure> {
        self.0.held(span).err().map(Failure::from)
    }

    /// Notes a wait of so many seconds.
    fn waited(&self, span: f64) -> Option<Failure> {
        self.0.waited(span).err().map(Failure::from)
    }

    /// What to ask for now: ttl, wait, holds, hold, waited, load, and all of it in words.
    fn choose(&self) -> Chosen {
        let Choice { ttl, wait, holds, hold, waited, load, words } = self.0.choose();
        (ttl, wait, holds, hold, waited, load, words)
    }
}
