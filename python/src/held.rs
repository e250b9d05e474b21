//! A tenure as Python holds it.

use leasehold_bridge::{AskedBack, Held as Bridge, Outcome};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::call::Call;
use crate::mailbox::Mailbox;
use crate::plain::{Failure, Who, who};

/// A tenure. Dropping the last handle gives the lock back in the background.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Held(Bridge, Vec<(Outcome, Option<Bridge>)>);

#[pymethods]
impl Held {
    /// The lock's name.
    #[getter]
    fn name(&self) -> String {
        self.0.name()
    }

    /// The fencing token.
    #[getter]
    fn fence(&self) -> u64 {
        self.0.fence()
    }

    /// How it is held.
    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    /// Of a reader: the fence of the last writer before it.
    #[getter]
    fn epoch(&self) -> Option<u64> {
        self.0.epoch()
    }

    /// The number of the identity that it was taken with.
    #[getter]
    fn owner(&self) -> Option<u128> {
        self.0.owner()
    }

    /// A handle for each, of locks that were taken together.
    fn each(&self) -> Vec<Self> {
        self.0.each().into_iter().map(Self::one).collect()
    }

    /// Of locks that were tried each alone what each came to: a handle, `False` where it is another's,
    /// or a `Failure`.
    fn outcomes(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let each = self.1.iter().map(|(outcome, held)| match (outcome.error(), held) {
            (_, Some(held)) => Py::new(py, Self::one(held.clone())).map(Py::into_any),
            (Some(error), None) => Py::new(py, Failure::from(error)).map(Py::into_any),
            (None, None) => false.into_py_any(py),
        });
        each.collect()
    }

    /// Whether the lock is this tenure's, computed here and now.
    fn is_held(&self) -> bool {
        self.0.is_held()
    }

    /// Seconds of the lease that are left without a renewal.
    fn remaining(&self) -> f64 {
        self.0.remaining()
    }

    /// Why it was lost, if it was.
    fn lost_reason(&self) -> Option<&'static str> {
        self.0.lost_reason()
    }

    /// The error that says that it was lost, if it was.
    fn loss(&self) -> Option<Failure> {
        self.0.loss().map(Failure::from)
    }

    /// An error where less than `min_remaining` seconds are left.
    fn check(&self, min_remaining: f64) -> Option<Failure> {
        self.0.check(min_remaining).err().map(Failure::from)
    }

    /// Changes the lease's length to `ttl` seconds and renews it now.
    fn extend(&self, py: Python<'_>, ttl: f64) -> Call {
        Call::of(py.detach(|| self.0.extend(ttl)))
    }

    /// Has a writer read on.
    fn downgrade(&self, py: Python<'_>) -> Call {
        Call::of(py.detach(|| self.0.downgrade()))
    }

    /// Has the only reader write.
    fn upgrade(&self, py: Python<'_>) -> Call {
        Call::of(py.detach(|| self.0.upgrade()))
    }

    /// A sign of life: `max_hold` counts anew.
    fn touch(&self) {
        self.0.touch();
    }

    /// Has those who observe be told `value` from now on.
    fn proclaim(&self, py: Python<'_>, value: Vec<u8>) -> Call {
        Call::of(py.detach(|| self.0.proclaim(value)))
    }

    /// Leaves a barrier and waits until all have, at most `wait` seconds.
    fn leave(&self, py: Python<'_>, wait: Option<f64>) -> Call {
        Call::of(py.detach(|| self.0.leave(wait)))
    }

    /// Waits until there is a request to give it back to be taken: `True` then, `False` once it is over.
    /// Dropping the call loses nothing.
    fn asked_back(&self, py: Python<'_>) -> Call {
        Call::of(py.detach(|| self.0.asked_back()))
    }

    /// The request, if there is one that was not taken: who asks, why, and the seconds of grace.
    fn take_asked(&self, py: Python<'_>) -> Option<(Who, String, f64)> {
        let AskedBack { by, why, grace } = py.detach(|| self.0.take_asked())?;
        Some((who(by), why, grace))
    }

    /// Gives the lock back, and goes on with that if nobody waits for the result.
    fn release(&self, py: Python<'_>) -> Call {
        Call::of(py.detach(|| self.0.release()))
    }

    /// Has `key` put into `mailbox` when the lease is lost: at once, if it is.
    fn on_lost(&self, mailbox: &Mailbox, key: u64) {
        let letter = mailbox.0.letter(key);
        self.0.on_lost(move |_| letter());
    }
}

impl Held {
    pub(crate) fn of(held: Bridge, outcomes: Vec<(Outcome, Option<Bridge>)>) -> Self {
        Self(held, outcomes)
    }

    fn one(held: Bridge) -> Self {
        Self(held, Vec::new())
    }
}
