//! Fences enforced where a write takes effect: text, and a gate in this process.

use leasehold_bridge::guard::{self, Fences as BridgeFences, Gate as Bridge};

use crate::plain::Failure;

/// The text of guards. (uniffi's Kotlin for functions without an object can't be hidden.)
#[derive(uniffi::Object)]
pub struct Guards;

/// The statements of a table of fences.
#[derive(uniffi::Record)]
pub struct Fences {
    /// Makes the table.
    pub create: String,
    /// Admit a write, in this order.
    pub admit: Vec<String>,
    /// Forgets a resource.
    pub forget: String,
}

/// The lock and the fence of a header's value.
#[derive(uniffi::Record)]
pub struct HeaderRead {
    /// The lock's name.
    pub lock: String,
    /// The fence.
    pub fence: u64,
}

#[uniffi::export]
impl Guards {
    /// The one that there is.
    #[uniffi::constructor]
    #[allow(clippy::new_without_default, reason = "made in Kotlin only")]
    pub fn new() -> Self {
        Self
    }

    /// The statements of a table of fences.
    pub fn fences(&self, dialect: String, name: String, style: String) -> Result<Fences, Failure> {
        let BridgeFences { create, admit, forget } = guard::fences(&dialect, &name, &style)?;
        Ok(Fences { create, admit, forget })
    }

    /// The parts of the statements of a row with a column for the fence: define, set, where.
    pub fn column(
        &self,
        dialect: String,
        name: String,
        marker: String,
    ) -> Result<Vec<String>, Failure> {
        Ok(guard::column(&dialect, &name, &marker)?.to_vec())
    }

    /// The header's value.
    pub fn header(&self, name: String, fence: u64) -> Result<String, Failure> {
        Ok(guard::header(&name, fence)?)
    }

    /// The lock and the fence of the header's value.
    pub fn read_header(&self, value: String) -> Result<HeaderRead, Failure> {
        let (lock, fence) = guard::read_header(&value)?;
        Ok(HeaderRead { lock, fence })
    }

    /// The header's name.
    pub fn header_name(&self) -> String {
        guard::HEADER.to_owned()
    }

    /// The status of a refusal.
    pub fn stale_status(&self) -> u16 {
        guard::STALE_STATUS
    }

    /// The script for Redis.
    pub fn script(&self) -> String {
        guard::SCRIPT.to_owned()
    }

    /// How the script's refusal begins.
    pub fn stale(&self) -> String {
        guard::STALE.to_owned()
    }
}

/// The largest fence seen of each of many resources, in this process.
#[derive(uniffi::Object)]
pub struct Gate(Bridge);

#[uniffi::export]
impl Gate {
    /// A gate that has seen nothing.
    #[uniffi::constructor]
    #[allow(clippy::new_without_default, reason = "made in Kotlin only")]
    pub fn new() -> Self {
        Self(Bridge::default())
    }

    /// Succeeds unless a larger fence of `resource` was admitted before.
    pub fn admit(&self, resource: String, fence: u64) -> Result<(), Failure> {
        Ok(self.0.admit(&resource, fence)?)
    }

    /// Forgets `resource`.
    pub fn forget(&self, resource: String) {
        self.0.forget(&resource);
    }
}
