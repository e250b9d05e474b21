//! Locks by name, of one configuration.

use leasehold_bridge::{Managed as BridgeManaged, Manager as Bridge, Source};
use napi::Either;
use napi::bindgen_prelude::BigInt;
use napi_derive::napi;

use crate::adaptive::AdaptiveTtl;
use crate::attempt::{Attempt, Begun};
use crate::call::{Call, now};
use crate::client::{Asked, request};
use crate::mailbox::Mailbox;
use crate::plain::{Failure, Usage};

/// Locks by name.
#[napi]
pub struct Manager(Bridge);

/// A lock that the configuration describes.
#[napi]
pub struct Managed(BridgeManaged);

#[napi]
impl Manager {
    /// A manager of what `text` says in the `form` `toml`, `json` or `file` (a path to TOML).
    #[napi]
    pub fn open(
        form: String,
        text: String,
        deadlock_depth: Option<u32>,
        audit: Option<String>,
    ) -> Either<Manager, Failure> {
        let source = match form.as_str() {
            "json" => Source::Json(text),
            "file" => Source::File(text),
            _ => Source::Toml(text),
        };
        now(Bridge::open(source, request(None, deadlock_depth, audit)).map(Self))
    }

    /// Describes a lock of this kind.
    #[napi]
    pub fn describe(&self, name: String, kind: String) -> Either<Managed, Failure> {
        now(self.0.describe(&name, &kind).map(Managed))
    }

    /// The lock, as people see it.
    #[napi]
    pub fn inspect(&self, name: String) -> Call {
        Call::of(self.0.inspect(name))
    }

    /// Locks that are held or waited for and start with `prefix`, each with its store.
    #[napi]
    pub fn list(&self, prefix: String, after: Option<String>, limit: u32) -> Call {
        Call::of(self.0.list(prefix, after, limit))
    }

    /// Ends a tenure from outside, where that is permitted; its fence, or 0 where there was none.
    #[napi]
    pub fn evict(&self, name: String, fence: Option<f64>, why: String) -> Call {
        // At most 2^53 - 1, as below: the TypeScript half has checked it.
        Call::of(self.0.evict(name, fence.map(|fence| fence as u64), why))
    }

    /// Asks for a lock back.
    #[napi]
    pub fn ask_back(&self, name: String, why: String, grace: f64, fence: Option<f64>) -> Call {
        Call::of(self.0.ask_back(name, why, grace, fence.map(|fence| fence as u64)))
    }

    /// Asks for a lock back, and ends what is not given back.
    #[napi]
    pub fn revoke(&self, name: String, why: String, grace: f64, fence: Option<f64>) -> Call {
        Call::of(self.0.revoke(name, why, grace, fence.map(|fence| fence as u64)))
    }

    /// How each store is.
    #[napi]
    pub fn health(&self) -> Call {
        Call::of(self.0.health())
    }

    /// How this process uses `name`, if it does.
    #[napi]
    pub fn usage(&self, name: String) -> Option<Usage> {
        self.0.usage(&name).map(Usage::from)
    }

    /// How this process uses each name that it uses.
    #[napi]
    pub fn usages(&self) -> Vec<Usage> {
        self.0.usages().into_iter().map(Usage::from).collect()
    }

    /// Ends the clients of all stores within `grace` seconds.
    #[napi]
    pub fn shutdown(&self, grace: f64) -> Call {
        Call::of(self.0.shutdown(grace))
    }
}

#[napi]
impl Managed {
    /// How many permits there are; 0 of what is no semaphore.
    #[napi]
    pub fn capacity(&self) -> u32 {
        self.0.capacity()
    }

    /// Starts one try to take it, as that of a client.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "those of a client's")]
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

    /// Starts one try to take it with the ttl and the wait that `adaptive` chooses now.
    #[napi]
    pub fn attempt_adaptive(&self, asked: Asked, adaptive: &AdaptiveTtl) -> Attempt {
        Attempt::of(self.0.attempt_adaptive(&asked.request(None, false), &adaptive.0))
    }

    /// Changes the number of a semaphore's permits; the number of the change. The first two arguments are
    /// those of a client's: here the configuration has said them.
    #[napi]
    pub fn resize(&self, _name: String, _capacity: u32, permits: u32) -> Call {
        Call::of(self.0.resize(permits))
    }
}
