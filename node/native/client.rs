//! The client: every call starts work and returns at once.

use leasehold_bridge::{Audit, Client as Bridge, ClientRequest, LockRequest, kind};
use napi::Either;
use napi::bindgen_prelude::BigInt;
use napi_derive::napi;

use crate::adaptive::AdaptiveTtl;
use crate::attempt::{Attempt, Begun};
use crate::call::{Call, now};
use crate::latch::Latch;
use crate::mailbox::Mailbox;
use crate::observer::Observer;
use crate::plain::{Deadlocks, Failure};

/// What is asked of one lock. Spans are seconds; what is absent has its default. `capacity` counts where
/// there are `permits`.
#[napi(object, object_to_js = false)]
pub struct Asked {
    /// The lock's name.
    pub name: String,
    /// To be held together with other readers.
    pub shared: bool,
    /// How many permits.
    pub permits: Option<u32>,
    /// Of how many.
    pub capacity: u32,
    /// The lease's length.
    pub ttl: Option<f64>,
    /// A lease that is never renewed.
    pub fixed_term: bool,
    /// The longest tenure.
    pub max_hold: Option<f64>,
    /// The number of an identity.
    pub owner: Option<BigInt>,
    /// Larger goes first.
    pub priority: i32,
    /// For people.
    pub note: String,
    /// In what order those who wait get it.
    pub order: Option<String>,
    /// Whose wait ends in a deadlock: the smallest.
    pub deadlock_priority: Option<i32>,
}

impl Asked {
    pub(crate) fn request(self, wait: Option<f64>, try_only: bool) -> LockRequest {
        let Self { name, ttl, fixed_term, max_hold, priority, note, order, .. } = self;
        let deadlock_priority = self.deadlock_priority;
        // 128 bits at most: the TypeScript half has checked it. (BigInt::get_u128 panics for 0n.)
        let owner = self.owner.map(|number| {
            number.words.iter().rev().fold(0, |all, word| (all << 64) | u128::from(*word))
        });
        LockRequest {
            name,
            kind: kind(self.shared, self.permits, self.capacity),
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

/// Access to one store.
#[napi]
pub struct Client(Bridge);

#[napi]
impl Client {
    /// A client of the store at `url`, or of the default store, which follows so many owners in its search
    /// for deadlocks, and tells of interference in the file `audit`.
    #[napi]
    pub fn connect(
        url: Option<String>,
        deadlock_depth: Option<u32>,
        audit: Option<String>,
    ) -> Either<Client, Failure> {
        now(Bridge::connect(request(url, deadlock_depth, audit)).map(Self))
    }

    /// The store's URL, without secrets.
    #[napi]
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Starts one try to take a lock, which puts `key` into `mailbox` as by its `notify`. Spans are seconds;
    /// what is absent has its default. `capacity` counts where there are `permits`. (Not an `Asked`: reading
    /// an object costs more than the rest.)
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "one per option; called from one place")]
    pub fn attempt(
        &self,
        name: String,
        try_only: bool,
        shared: bool,
        permits: Option<u32>,
        capacity: u32,
        ttl: Option<f64>,
        wait: Option<f64>,
        fixed_term: bool,
        max_hold: Option<f64>,
        owner: Option<BigInt>,
        priority: i32,
        note: String,
        order: Option<String>,
        deadlock_priority: Option<i32>,
        mailbox: &Mailbox,
        key: f64,
    ) -> Begun {
        let asked = Asked {
            name,
            shared,
            permits,
            capacity,
            ttl,
            fixed_term,
            max_hold,
            owner,
            priority,
            note,
            order,
            deadlock_priority,
        };
        Attempt::begun(self.0.attempt(&asked.request(wait, try_only)), mailbox, key)
    }

    /// Starts one try to take a lock with the ttl and the wait that `adaptive` chooses now.
    #[napi]
    pub fn attempt_adaptive(&self, asked: Asked, adaptive: &AdaptiveTtl) -> Attempt {
        Attempt::of(self.0.attempt_adaptive(&asked.request(None, false), &adaptive.0))
    }

    /// Starts one try to take several locks, all or none, with one wait for all of them.
    #[napi]
    pub fn attempt_all(&self, asked: Vec<Asked>, wait: Option<f64>, try_only: bool) -> Attempt {
        let requests: Vec<_> = asked.into_iter().map(|one| one.request(None, try_only)).collect();
        Attempt::of(self.0.attempt_all(&requests, wait, try_only))
    }

    /// Starts one try to take each of several locks alone, which waits for none.
    #[napi]
    pub fn attempt_each(&self, asked: Vec<Asked>) -> Attempt {
        let requests: Vec<_> = asked.into_iter().map(|one| one.request(None, true)).collect();
        Attempt::of(self.0.attempt_each(&requests))
    }

    /// Starts one try to lead, and to have all be told `value`.
    #[napi]
    pub fn campaign(
        &self,
        asked: Asked,
        wait: Option<f64>,
        try_only: bool,
        value: &[u8],
    ) -> Attempt {
        Attempt::of(self.0.campaign(&asked.request(wait, try_only), value.to_vec()))
    }

    /// Watches who leads.
    #[napi]
    pub fn observe(&self, name: String) -> Observer {
        Observer::of(self.0.observe(&name))
    }

    /// A latch, which is kept for so many seconds once it is open.
    #[napi]
    pub fn latch(&self, name: String, count: f64, keep: Option<f64>) -> Latch {
        // At most 2^53 - 1, as in `count_down`: the TypeScript half has checked it.
        Latch::of(self.0.latch(&name, count as u64, keep))
    }

    /// Starts one try to be inside a barrier with all others.
    #[napi]
    pub fn enter(&self, asked: Asked, wait: Option<f64>, parties: u32) -> Attempt {
        Attempt::of(self.0.enter(&asked.request(wait, false), parties))
    }

    /// What the searches for deadlocks came to.
    #[napi]
    pub fn deadlocks(&self) -> Either<Deadlocks, Failure> {
        now(self.0.deadlocks().map(Deadlocks::from))
    }

    /// The number of a fresh identity.
    #[napi]
    pub fn owner(&self) -> Either<BigInt, Failure> {
        now(self.0.owner().map(BigInt::from))
    }

    /// Proves that the store answers.
    #[napi]
    pub fn ping(&self) -> Call {
        Call::of(self.0.ping())
    }

    /// One lock, as people see it.
    #[napi]
    pub fn inspect(&self, name: String) -> Call {
        Call::of(self.0.inspect(name))
    }

    /// Locks that are held or waited for and start with `prefix`, after `after`.
    #[napi]
    pub fn list(&self, prefix: String, after: Option<String>, limit: u32) -> Call {
        Call::of(self.0.list(prefix, after, limit))
    }

    /// Ends a tenure from outside, any or that with `fence`; its fence, or 0 where there was none.
    #[napi]
    pub fn evict(&self, name: String, fence: Option<f64>, why: String) -> Call {
        // At most 2^53 - 1: the TypeScript half has checked it.
        Call::of(self.0.evict(name, fence.map(|fence| fence as u64), why))
    }

    /// Asks whoever holds a lock, or who holds it with `fence`, to give it back within `grace` seconds.
    #[napi]
    pub fn ask_back(&self, name: String, why: String, grace: f64, fence: Option<f64>) -> Call {
        Call::of(self.0.ask_back(name, why, grace, fence.map(|fence| fence as u64)))
    }

    /// Changes the number of permits of a semaphore that has `capacity`; the number of the change.
    #[napi]
    pub fn resize(&self, name: String, capacity: u32, permits: u32) -> Call {
        Call::of(self.0.resize(&name, capacity, permits))
    }

    /// Ends the client within `grace` seconds.
    #[napi]
    pub fn shutdown(&self, grace: f64) -> Call {
        Call::of(self.0.shutdown(grace))
    }
}

/// How a client is made, or those of a manager.
pub(crate) fn request(
    url: Option<String>,
    deadlock_depth: Option<u32>,
    audit: Option<String>,
) -> ClientRequest {
    ClientRequest { url, language: "node", deadlock_depth, audit: audit.map(Audit::File) }
}
