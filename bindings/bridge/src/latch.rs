//! A latch as a handle that any thread of any language may use.

use leasehold::options::seconds;

use crate::{ErrorInfo, Pending};

/// A latch. To be kept by who counts down several times: it tells its calls apart.
#[derive(Clone)]
pub struct Latch(Result<leasehold::Latch, ErrorInfo>);

impl Latch {
    pub(crate) fn of(latch: leasehold::Result<leasehold::Latch>) -> Self {
        Self(latch.map_err(ErrorInfo::from))
    }

    /// Counts down by `count`, not below zero; what is left. Once begun it is finished, whether or
    /// not anyone waits.
    #[must_use]
    pub fn count_down(&self, count: u64) -> Pending<u64> {
        let latch = self.0.clone();
        Pending::start(async move { Ok(latch?.count_down(count).await?) })
    }

    /// What is left: zero once it is open.
    #[must_use]
    pub fn count(&self) -> Pending<u64> {
        let latch = self.0.clone();
        Pending::start(async move { Ok(latch?.count().await?) })
    }

    /// Waits until it is open, at most `wait` seconds, without it for ever: `LOCK_TIMEOUT` then. Can be
    /// cancelled.
    #[must_use]
    pub fn wait(&self, wait: Option<f64>) -> Pending<()> {
        let latch = self.0.clone();
        Pending::wait(async move {
            let limit = wait.map(|wait| seconds("wait", wait)).transpose()?;
            Ok(latch?.wait(limit).await?)
        })
    }
}
