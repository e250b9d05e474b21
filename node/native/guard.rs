//! Fences enforced where a write takes effect: text, and a gate in this process.

use leasehold_bridge::guard::{self, Fences as BridgeFences, Gate as Bridge};
use napi::Either;
use napi_derive::napi;

use crate::call::now;
use crate::plain::Failure;

/// The largest fence seen of each of many resources, in this process.
#[napi]
pub struct Gate(Bridge);

#[napi]
impl Gate {
    /// A gate that has seen nothing.
    #[napi(constructor)]
    #[allow(clippy::new_without_default, reason = "JavaScript makes it")]
    pub fn new() -> Self {
        Self(Bridge::default())
    }

    /// A failure where a larger fence of `resource` was admitted before.
    #[napi]
    pub fn admit(&self, resource: String, fence: f64) -> Option<Failure> {
        // At most 2^53 - 1, as below: the TypeScript half has checked it.
        self.0.admit(&resource, fence as u64).err().map(Failure::from)
    }

    /// Forgets `resource`.
    #[napi]
    pub fn forget(&self, resource: String) {
        self.0.forget(&resource);
    }
}

/// The statements of a table of fences.
#[napi(object, object_from_js = false)]
pub struct Fences {
    /// Makes the table.
    pub create: String,
    /// Admit a write, in this order.
    pub admit: Vec<String>,
    /// Forgets a resource.
    pub forget: String,
}

/// The lock and the fence of a header's value.
#[napi(object, object_from_js = false)]
pub struct HeaderRead {
    /// The lock's name.
    pub lock: String,
    /// The fence.
    pub fence: f64,
}

/// What does not change.
#[napi(object, object_from_js = false)]
pub struct GuardTexts {
    /// The header's name.
    pub header: &'static str,
    /// The status of a refusal.
    pub stale_status: u32,
    /// The script for Redis.
    pub script: &'static str,
    /// How the script's refusal begins.
    pub stale: &'static str,
}

/// The statements of a table of fences.
#[napi]
pub fn fences(dialect: String, name: String, style: String) -> Either<Fences, Failure> {
    let made = guard::fences(&dialect, &name, &style);
    now(made.map(|BridgeFences { create, admit, forget }| Fences { create, admit, forget }))
}

/// The parts of the statements of a row with a column for the fence: define, set, where.
#[napi]
pub fn fence_column(dialect: String, name: String, marker: String) -> Either<Vec<String>, Failure> {
    now(guard::column(&dialect, &name, &marker).map(Vec::from))
}

/// The header's value.
#[napi]
pub fn header(name: String, fence: f64) -> Either<String, Failure> {
    now(guard::header(&name, fence as u64))
}

/// The lock and the fence of the header's value.
#[napi]
pub fn read_header(value: String) -> Either<HeaderRead, Failure> {
    now(guard::read_header(&value).map(|(lock, fence)| HeaderRead { lock, fence: fence as f64 }))
}

/// What does not change.
#[napi]
pub fn guard_texts() -> GuardTexts {
    GuardTexts {
        header: guard::HEADER,
        stale_status: guard::STALE_STATUS.into(),
        script: guard::SCRIPT,
        stale: guard::STALE,
    }
}
