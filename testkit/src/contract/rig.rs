//! What the suite needs besides the store itself: a second client, time, and what was pushed.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use leasehold::store::Store;

use super::Inbox;

/// Which of the two independent clients of the same locks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seat {
    /// The first.
    First,
    /// The second: a store object of its own, as another process would have.
    Second,
}

/// A store under test, with fresh locks. Both clients' pushes go to their inboxes from the start.
pub trait Rig {
    /// The store, as the client in `seat` has it.
    fn store(&self, seat: Seat) -> &dyn Store;

    /// What was pushed to the client in `seat`.
    fn inbox(&self, seat: Seat) -> &Inbox;

    /// Runs `future` to its end, without time passing where time is virtual.
    fn drive(&self, future: Pin<&mut dyn Future<Output = ()>>);

    /// Lets `span` pass, on boot and wall clock.
    fn advance(&self, span: Duration);

    /// The finest step of time that the store tells apart here.
    fn tick(&self) -> Duration {
        Duration::from_nanos(1)
    }

    /// Steps the store's wall clock; false where that can't be done.
    fn step_wall(&self, seconds: i64) -> bool;

    /// Sets the store's wall clock; false where that can't be done.
    fn set_wall_us(&self, wall_us: u64) -> bool;

    /// Ends the client in `seat` without a word, as a crash would.
    fn end(&mut self, seat: Seat);

    /// Ends both clients and opens the store again, as after a restart of everything; false where
    /// the store lives only as long as its clients.
    fn reopen(&mut self) -> bool;

    /// Rows that are kept for all locks and cells together (holders, waiters, tombstones, watchers);
    /// none where that can't be counted.
    fn kept(&self) -> Option<usize>;
}
