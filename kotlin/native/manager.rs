//! Locks by name, of one configuration.

use std::sync::Arc;

use leasehold_bridge::{Managed as BridgeManaged, Manager as Bridge, Source};

use crate::adaptive::AdaptiveTtl;
use crate::attempt::Attempt;
use crate::call::Call;
use crate::client::{Request, request};
use crate::plain::{Failure, Usage};

/// Locks by name.
#[derive(uniffi::Object)]
pub struct Manager(Bridge);

/// A lock that the configuration describes.
#[derive(uniffi::Object)]
pub struct Managed(BridgeManaged);

#[uniffi::export]
impl Manager {
    /// A manager of what `text` says, which is TOML or the path of a file of it.
    #[uniffi::constructor]
    pub fn open(
        text: String,
        is_path: bool,
        deadlock_depth: Option<u32>,
        audit: Option<String>,
    ) -> Result<Self, Failure> {
        let source = if is_path { Source::File(text) } else { Source::Toml(text) };
        Ok(Self(Bridge::open(source, request(None, deadlock_depth, audit))?))
    }

    /// Describes a lock of this kind.
    pub fn describe(&self, name: String, kind: String) -> Result<Arc<Managed>, Failure> {
        Ok(Arc::new(Managed(self.0.describe(&name, &kind)?)))
    }

    /// The lock, as people see it.
    pub fn inspect(&self, name: String) -> Arc<Call> {
        Call::of(self.0.inspect(name))
    }

    /// Locks that are held or waited for and start with `prefix`, each with its store.
    pub fn list(&self, prefix: String, after: Option<String>, limit: u32) -> Arc<Call> {
        Call::of(self.0.list(prefix, after, limit))
    }

    /// Ends a tenure from outside, where that is permitted.
    pub fn evict(&self, name: String, fence: Option<u64>, why: String) -> Arc<Call> {
        Call::of(self.0.evict(name, fence, why))
    }

    /// Asks for a lock back.
    pub fn ask_back(&self, name: String, why: String, grace: f64, fence: Option<u64>) -> Arc<Call> {
        Call::of(self.0.ask_back(name, why, grace, fence))
    }

    /// Asks for a lock back, and ends what is not given back.
    pub fn revoke(&self, name: String, why: String, grace: f64, fence: Option<u64>) -> Arc<Call> {
        Call::of(self.0.revoke(name, why, grace, fence))
    }

    /// How each store is.
    pub fn health(&self) -> Arc<Call> {
        Call::of(self.0.health())
    }

    /// How this process uses `name`, if it does.
    pub fn usage(&self, name: String) -> Option<Usage> {
        self.0.usage(&name).map(Usage::from)
    }

    /// How this process uses each name that it uses.
    pub fn usages(&self) -> Vec<Usage> {
        self.0.usages().into_iter().map(Usage::from).collect()
    }

    /// Ends the clients of all stores within `grace` seconds.
    pub fn shutdown(&self, grace: f64) -> Arc<Call> {
        Call::of(self.0.shutdown(grace))
    }
}

#[uniffi::export]
impl Managed {
    /// How many permits there are; 0 of what is no semaphore.
    pub fn capacity(&self) -> u32 {
        self.0.capacity()
    }

    /// Starts one try to take it.
    pub fn attempt(&self, request: Request) -> Arc<Attempt> {
        Attempt::of(self.0.attempt(&request.into()))
    }

    /// Starts one try to take it with the ttl and the wait that `adaptive` chooses now.
    pub fn attempt_adaptive(&self, request: Request, adaptive: &AdaptiveTtl) -> Arc<Attempt> {
        Attempt::of(self.0.attempt_adaptive(&request.into(), &adaptive.0))
    }

    /// Changes the number of a semaphore's permits; the number of the change.
    pub fn resize(&self, permits: u32) -> Arc<Call> {
        Call::of(self.0.resize(permits))
    }
}
