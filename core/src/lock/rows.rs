//! The rows that the rules read and write: one lock, inside one atomic step of its store.
//!
//! A trait and not a struct, so that a store with 10,000 waiters in a lock's queue reads only the
//! one at its head. An implementation stores and finds; it decides nothing.

use std::sync::Arc;
use std::time::Duration;

use super::capacity::Capacity;
use crate::store::Kind;
use crate::sys::{BootTime, Moment, Token};
use crate::{Name, Owner, Profile};

/// When the step happens, by the store's clock.
pub type Event = Moment;

/// One holder's tenure of a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tenure {
    /// The attempt that holds it.
    pub token: Token,
    /// How it holds it.
    pub kind: Kind,
    /// Its fence; of a reader its epoch, of permits their number.
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
    /// How it wants to hold the lock.
    pub kind: Kind,
    /// Larger goes first.
    pub priority: i32,
    /// The place among equals, by arrival.
    pub seq: u64,
    /// Dead after this, unless it asks again.
    pub alive_until: BootTime,
    /// How long it has to confirm a hand-off.
    pub claim: Duration,
    /// How many fences its tenure is to have.
    pub fences: u32,
    /// Where to tell it: the store's own address of the waiting client.
    pub channel: u64,
    /// The waiter's owner, if it has one.
    pub owner: Option<Owner>,
    /// For people.
    pub profile: Arc<Profile>,
}

/// The waiter that goes first, and who stands behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The first.
    pub waiter: Waiter,
    /// Whether readers are in the queue, itself included.
    pub readers: bool,
}

/// What the tenures of a lock come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum {
    /// Tenures.
    pub tenures: u64,
    /// Permits in them.
    pub permits: u64,
    /// When the first of them ends.
    pub first_end: BootTime,
    /// When the last of them ends.
    pub last_end: BootTime,
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

    /// One of the tenures, expired or not: of several the one with the smallest token.
    fn holder(&mut self) -> Result<Option<Tenure>, Self::Error>;
    /// This token's tenure, expired or not.
    fn tenure(&mut self, token: &Token) -> Result<Option<Tenure>, Self::Error>;
    /// What all tenures come to, expired or not.
    fn sum(&mut self) -> Result<Sum, Self::Error>;
    /// Adds a tenure, or replaces that of its token.
    fn set_tenure(&mut self, tenure: &Tenure) -> Result<(), Self::Error>;
    /// Removes this token's tenure.
    fn remove_tenure(&mut self, token: &Token) -> Result<(), Self::Error>;
    /// Removes the tenures that ended by `now`, and answers whose they were, and when each ended.
    fn take_expired(&mut self, now: BootTime) -> Result<Vec<(Token, BootTime)>, Self::Error>;
    /// Confirms and prolongs the tenure of `token` if it is live at `now`, and says whether it is;
    /// never shortens. Apart from the above because it is what a store does most.
    fn prolong(
        &mut self,
        token: &Token,
        until: BootTime,
        told: BootTime,
        now: BootTime,
    ) -> Result<bool, Self::Error>;

    /// The waiter that goes first: readers after all others, then by largest priority, then by
    /// smallest `seq`.
    fn head(&mut self) -> Result<Option<Head>, Self::Error>;
    /// The readers in the queue, alive or dead, in their order.
    fn readers(&mut self) -> Result<Vec<Waiter>, Self::Error>;
    /// This token's entry.
    fn waiter(&mut self, token: &Token) -> Result<Option<Waiter>, Self::Error>;
    /// Adds or replaces an entry.
    fn set_waiter(&mut self, waiter: &Waiter) -> Result<(), Self::Error>;
    /// Removes this token's entry; whether there was one.
    fn remove_waiter(&mut self, token: &Token) -> Result<bool, Self::Error>;
    /// Whether `limit` or more live waiters are in the queue. Must not cost O(n) while the queue is
    /// far from the limit.
    fn crowded(&mut self, limit: u64, now: BootTime) -> Result<bool, Self::Error>;
    /// A number larger than that of every entry of this priority, among the readers or the others.
    fn next_seq(&mut self, kind: Kind, priority: i32) -> Result<u64, Self::Error>;

    /// What the semaphore's number of permits was changed to, if that is still remembered at `now`.
    fn capacity(&mut self, now: BootTime) -> Result<Option<Capacity>, Self::Error>;
    /// Remembers it. Removes what was forgotten by `now`.
    fn set_capacity(&mut self, capacity: &Capacity, now: BootTime) -> Result<(), Self::Error>;
    /// Has the tenures and entries, alive or dead, that are of `from` permits be of `to`, and removes
    /// the entries that ask for more than that.
    fn recount(&mut self, from: u32, to: u32) -> Result<(), Self::Error>;

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
