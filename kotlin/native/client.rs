//! The client: every call starts work and returns at once.

use std::sync::Arc;

use leasehold_bridge::{Audit, Client as Bridge, ClientRequest, LockRequest, kind};

use crate::adaptive::AdaptiveTtl;
use crate::attempt::Attempt;
use crate::call::Call;
use crate::latch::Latch;
use crate::observer::Observer;
use crate::plain::{Deadlocks, Failure};

/// Access to one store.
#[derive(uniffi::Object)]
pub struct Client(Bridge);

/// What is asked of a lock. Spans are seconds; what is absent has its default.
#[derive(uniffi::Record)]
pub struct Request {
    /// The lock's name.
    pub name: String,
    /// Together with other readers.
    pub shared: bool,
    /// So many permits of `capacity`.
    pub permits: Option<u32>,
    /// How many permits there are.
    pub capacity: u32,
    /// Don't wait at all.
    pub try_only: bool,
    /// The lease's length.
    pub ttl: Option<f64>,
    /// How long to wait; none: for ever.
    pub wait: Option<f64>,
    /// A lease that is never renewed.
    pub fixed_term: bool,
    /// The longest tenure.
    pub max_hold: Option<f64>,
    /// The number of an identity, in decimal: uniffi has no integers of 128 bits.
    pub owner: Option<String>,
    /// Larger goes first.
    pub priority: i32,
    /// Free text for people.
    pub note: String,
    /// In what order those who wait get it.
    pub order: Option<String>,
    /// Whose wait ends in a deadlock: the smallest.
    pub deadlock_priority: Option<i32>,
}

impl From<Request> for LockRequest {
    fn from(request: Request) -> Self {
        let Request { name, shared, permits, capacity, try_only, .. } = request;
        let Request { ttl, wait, fixed_term, max_hold, owner, priority, note, order, .. } = request;
        let kind = kind(shared, permits, capacity);
        // 128 bits at most: the Kotlin half has checked it.
        let owner = owner.and_then(|number| number.parse().ok());
        let deadlock_priority = request.deadlock_priority;
        Self {
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
        }
    }
}

#[uniffi::export]
impl Client {
    /// A client of the store at `url`, or of the default store, which follows so many owners in its search
    /// for deadlocks, and tells of interference in the file `audit`.
    #[uniffi::constructor]
    pub fn connect(
        url: Option<String>,
        deadlock_depth: Option<u32>,
        audit: Option<String>,
    ) -> Result<Self, Failure> {
        Ok(Self(Bridge::connect(request(url, deadlock_depth, audit))?))
    }

    /// The store's URL, without secrets.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Starts one try to take a lock.
    pub fn attempt(&self, request: Request) -> Arc<Attempt> {
        Attempt::of(self.0.attempt(&request.into()))
    }

    /// Starts one try to take a lock with the ttl and the wait that `adaptive` chooses now.
    pub fn attempt_adaptive(&self, request: Request, adaptive: &AdaptiveTtl) -> Arc<Attempt> {
        Attempt::of(self.0.attempt_adaptive(&request.into(), &adaptive.0))
    }

    /// Starts one try to take several locks, all or none, with one wait for all of them.
    pub fn attempt_all(
        &self,
        requests: Vec<Request>,
        wait: Option<f64>,
        try_only: bool,
    ) -> Arc<Attempt> {
        let requests: Vec<_> = requests.into_iter().map(LockRequest::from).collect();
        Attempt::of(self.0.attempt_all(&requests, wait, try_only))
    }

    /// Starts one try to take each of several locks alone, which waits for none.
    pub fn attempt_each(&self, requests: Vec<Request>) -> Arc<Attempt> {
        let requests: Vec<_> = requests.into_iter().map(LockRequest::from).collect();
        Attempt::of(self.0.attempt_each(&requests))
    }

    /// Starts one try to lead, and to have all be told `value`.
    pub fn campaign(&self, request: Request, value: Vec<u8>) -> Arc<Attempt> {
        Attempt::of(self.0.campaign(&request.into(), value))
    }

    /// Watches who leads.
    pub fn observe(&self, name: String) -> Arc<Observer> {
        Observer::of(self.0.observe(&name))
    }

    /// A latch, which is kept for so many seconds once it is open.
    pub fn latch(&self, name: String, count: u64, keep: Option<f64>) -> Arc<Latch> {
        Latch::of(self.0.latch(&name, count, keep))
    }

    /// Starts one try to be inside a barrier with all others.
    pub fn enter(&self, request: Request, parties: u32) -> Arc<Attempt> {
        Attempt::of(self.0.enter(&request.into(), parties))
    }

    /// What the searches for deadlocks came to.
    pub fn deadlocks(&self) -> Result<Deadlocks, Failure> {
        Ok(self.0.deadlocks()?.into())
    }

    /// The number of a fresh identity, in decimal.
    pub fn owner(&self) -> Result<String, Failure> {
        Ok(self.0.owner()?.to_string())
    }

    /// Proves that the store answers.
    pub fn ping(&self) -> Arc<Call> {
        Call::of(self.0.ping())
    }

    /// One lock, as people see it.
    pub fn inspect(&self, name: String) -> Arc<Call> {
        Call::of(self.0.inspect(name))
    }

    /// Locks that are held or waited for and start with `prefix`, after `after`.
    pub fn list(&self, prefix: String, after: Option<String>, limit: u32) -> Arc<Call> {
        Call::of(self.0.list(prefix, after, limit))
    }

    /// Ends a tenure from outside, any or that with `fence`.
    pub fn evict(&self, name: String, fence: Option<u64>, why: String) -> Arc<Call> {
        Call::of(self.0.evict(name, fence, why))
    }

    /// Asks whoever holds a lock, or who holds it with `fence`, to give it back within `grace` seconds.
    pub fn ask_back(&self, name: String, why: String, grace: f64, fence: Option<u64>) -> Arc<Call> {
        Call::of(self.0.ask_back(name, why, grace, fence))
    }

    /// Changes the number of permits of a semaphore that has `capacity`; the number of the change.
    pub fn resize(&self, name: String, capacity: u32, permits: u32) -> Arc<Call> {
        Call::of(self.0.resize(&name, capacity, permits))
    }

    /// Ends the client within `grace` seconds.
    pub fn shutdown(&self, grace: f64) -> Arc<Call> {
        Call::of(self.0.shutdown(grace))
    }
}

/// How a client is made, or those of a manager.
pub(crate) fn request(
    url: Option<String>,
    deadlock_depth: Option<u32>,
    audit: Option<String>,
) -> ClientRequest {
    ClientRequest { url, language: "kotlin", deadlock_depth, audit: audit.map(Audit::File) }
}
