//! The rows that the rules read and write: one lock, inside one atomic step of its store.
//!
//! A trait and not a struct, so that a store with 10,000 waiters in a lock's queue reads only the
//! one at its head. An implementation stores and finds; it decides nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::sys::{BootTime, Moment, Token};
use crate::{Name, Owner, Profile};

/// When the step happens, by the store's clock.
pub type Event = Moment;

/// One holder's tenure of a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tenure {
    /// The attempt that holds it.
    pub token: Token,
    /// Its fence.
    pub fence: u64,
    /// Until when the store keeps it.
    pub until: BootTime,
    /// Until when the holder believes it at most.
    pub told: BootTime,
    /// Granted by hand-off and not yet confirmed.
    pub claimed: bool,
    /// The holder's owner, if it has one.
    pub owner: Option<Owner>,
    /// For people.
    pub profile: Arc<Profile>,
}

/// One entry of a lock's queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiter {
    /// The attempt that waits.
    pub token: Token,
    /// Larger goes first.
    pub priority: i32,
    /// The place among equals, by arrival.
    pub seq: u64,
    /// Dead after this, unless it asks again.
    pub alive_until: BootTime,
    /// How long it has to confirm a hand-off.
    pub claim: Duration,
    /// Where to tell it: the store's own address of the waiting client.
    pub channel: u64,
    /// The waiter's owner, if it has one.
    pub owner: Option<Owner>,
    /// For people.
    pub profile: Arc<Profile>,
}

/// Why a token may never hold again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tomb {
    /// Its attempt gave up.
    Cancelled,
    /// Its tenure was ended from outside.
    Revoked,
    /// Its tenure ran out and the lock went on to another.
    Expired,
}

/// A grant that the step made to a waiter: to be told to it once the step is committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandOff {
    /// The lock.
    pub name: Name,
    /// The waiter that holds the lock now.
    pub token: Token,
    /// Its fence.
    pub fence: u64,
    /// When its claim ends.
    pub until: BootTime,
    /// Where to tell it.
    pub channel: u64,
}

/// The rows of one lock within one step.
pub trait Rows {
    /// What reading or writing can fail with.
    type Error: From<crate::Error>;

    /// The lock's name.
    fn name(&self) -> &Name;

    /// The tenure, expired or not.
    fn holder(&mut self) -> Result<Option<Tenure>, Self::Error>;
    /// Replaces the tenure.
    fn set_holder(&mut self, tenure: Option<&Tenure>) -> Result<(), Self::Error>;
    /// Confirms and prolongs the tenure of `token` if it is live at `now`, and says whether it is;
    /// never shortens. Apart from the two above because it is what a store does most.
    fn prolong(
        &mut self,
        token: &Token,
        until: BootTime,
        told: BootTime,
        now: BootTime,
    ) -> Result<bool, Self::Error>;

    /// The waiter that goes first: largest priority, then smallest `seq`.
    fn head(&mut self) -> Result<Option<Waiter>, Self::Error>;
    /// This token's entry.
    fn waiter(&mut self, token: &Token) -> Result<Option<Waiter>, Self::Error>;
    /// Adds or replaces an entry.
    fn set_waiter(&mut self, waiter: &Waiter) -> Result<(), Self::Error>;
    /// Removes this token's entry; whether there was one.
    fn remove_waiter(&mut self, token: &Token) -> Result<bool, Self::Error>;
    /// Whether `limit` or more live waiters are in the queue. Must not cost O(n) while the queue is
    /// far from the limit.
    fn crowded(&mut self, limit: u64, now: BootTime) -> Result<bool, Self::Error>;
    /// A number larger than that of every entry of this priority.
    fn next_seq(&mut self, priority: i32) -> Result<u64, Self::Error>;

    /// This token's tombstone, if it still stands at `now`.
    fn tomb(&mut self, token: &Token, now: BootTime) -> Result<Option<Tomb>, Self::Error>;
    /// Puts up a tombstone; never shortens one. Removes those that ended by `now`.
    fn bury(
        &mut self,
        token: &Token,
        tomb: Tomb,
        now: BootTime,
        until: BootTime,
    ) -> Result<(), Self::Error>;

    /// The largest fence ever granted here.
    fn last_fence(&mut self) -> Result<u64, Self::Error>;
    /// Remembers the fence just granted.
    fn set_last_fence(&mut self, fence: u64) -> Result<(), Self::Error>;
}
