//! The words in which the cases are written: asks with sensible values, and the store's answers
//! without the ceremony of futures and results.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use leasehold::store::{
    Answer, Ask, Cancel, Capabilities, Cell, Cells, Evict, Evicted, Hold, How, Kind, LockView,
    Query, Released, Renewal, Resize, Resized, Store, Wait, Wanting, Watched,
};
use leasehold::sys::Token;
use leasehold::{Name, Owner, Profile, Result};

use super::{Inbox, Rig, Seat};

/// What a holder is told, unless a case says otherwise.
pub const TTL: Duration = Duration::from_secs(30);
/// What the store keeps beyond it.
pub const GRACE: Duration = Duration::from_secs(3);
/// A waiter is dead after this, unless a case says otherwise.
pub const ALIVE: Duration = Duration::from_millis(2500);
/// A hand-off must be confirmed within this.
pub const CLAIM: Duration = Duration::from_millis(1500);
/// A waiter is told to ask again after this.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// A rig with a memory for tokens.
pub struct Scene<'r> {
    rig: &'r mut dyn Rig,
    tokens: u64,
}

impl<'r> Scene<'r> {
    /// A scene on `rig`.
    pub fn new(rig: &'r mut dyn Rig) -> Self {
        Self { rig, tokens: 0 }
    }

    /// The rig.
    pub fn rig(&mut self) -> &mut dyn Rig {
        self.rig
    }

    /// What the store declares.
    pub fn capabilities(&self) -> Capabilities {
        self.store(Seat::First).capabilities().clone()
    }

    /// A new attempt for `name` that doesn't wait.
    pub fn ask(&mut self, name: &str) -> Ask {
        self.tokens += 1;
        let mut bytes = [0xA5; 16];
        bytes[..8].copy_from_slice(&self.tokens.to_be_bytes());
        let profile = Profile {
            host: "rig".to_owned(),
            pid: 1000 + u32::try_from(self.tokens).unwrap_or_default(),
            language: "rust".to_owned(),
            since_us: 1,
            note: format!("attempt {}", self.tokens),
            deadlock_priority: self.tokens.is_multiple_of(2).then_some(-3),
        };
        Ask {
            name: named(name),
            kind: Kind::Exclusive,
            token: Token::from_bytes(bytes),
            ttl: TTL,
            grace: GRACE,
            wait: None,
            owner: None,
            profile: Arc::new(profile),
        }
    }

    /// A new attempt for `name` that waits and must repeat its ask to stay alive.
    pub fn waiter(&mut self, name: &str) -> Ask {
        let wait = Wait {
            alive_for: ALIVE,
            claim: CLAIM,
            heartbeat: HEARTBEAT,
            max_queue: 10_000,
            priority: 0,
            fences: 1,
        };
        Ask { wait: Some(wait), ..self.ask(name) }
    }

    /// A new attempt for `name` that waits and stays alive for an hour without a word.
    pub fn patient(&mut self, name: &str) -> Ask {
        let mut ask = self.waiter(name);
        if let Some(wait) = &mut ask.wait {
            wait.alive_for = Duration::from_secs(3600);
        }
        ask
    }

    /// Sends `asks` from the client in `seat`.
    pub fn try_acquire_many(&self, seat: Seat, asks: &[Ask], how: How) -> Result<Vec<Answer>> {
        let answers = self.drive(self.store(seat).acquire(asks, how))?;
        assert_eq!(answers.len(), asks.len(), "one answer for each ask");
        Ok(answers)
    }

    /// Sends `asks` from the first client.
    pub fn acquire_many(&self, asks: &[Ask], how: How) -> Vec<Answer> {
        done(self.try_acquire_many(Seat::First, asks, how))
    }

    /// Sends each of `calls` from the first client before any is answered; the answers of each.
    pub fn acquire_at_once(&self, calls: &[(&[Ask], How)]) -> Vec<Vec<Answer>> {
        let store = self.store(Seat::First);
        let mut calls: Vec<_> =
            calls.iter().map(|(asks, how)| (store.acquire(asks, *how), None)).collect();
        self.drive(poll_fn(|context| {
            for (call, answers) in &mut calls {
                if answers.is_none()
                    && let Poll::Ready(found) = call.as_mut().poll(context)
                {
                    *answers = Some(found);
                }
            }
            match calls.iter().all(|(_, answers)| answers.is_some()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }));
        calls.into_iter().filter_map(|(_, answers)| answers).map(done).collect()
    }

    /// Sends `ask` from the client in `seat`.
    pub fn acquire_from(&self, seat: Seat, ask: &Ask) -> Answer {
        let answers = self.try_acquire_many(seat, std::slice::from_ref(ask), How::EachAlone);
        only(done(answers))
    }

    /// Sends `ask` from the first client.
    pub fn acquire(&self, ask: &Ask) -> Answer {
        self.acquire_from(Seat::First, ask)
    }

    /// Sends `ask`, which must be granted; its fence.
    pub fn grant(&self, ask: &Ask) -> u64 {
        self.grant_from(Seat::First, ask)
    }

    /// Sends `ask` from the client in `seat`, which must be granted; its fence.
    pub fn grant_from(&self, seat: Seat, ask: &Ask) -> u64 {
        match self.acquire_from(seat, ask) {
            Answer::Granted { fence, .. } => fence,
            other => panic!("lock {} should be granted, not {other:?}", ask.name),
        }
    }

    /// Sends `ask`, which must be put into the queue; whether it is first in line.
    pub fn queue(&self, ask: &Ask) -> bool {
        self.queue_from(Seat::First, ask)
    }

    /// Sends `ask` from the client in `seat`, which must be put into the queue.
    pub fn queue_from(&self, seat: Seat, ask: &Ask) -> bool {
        match self.acquire_from(seat, ask) {
            Answer::Queued { first, .. } => first,
            other => panic!("lock {} should be waited for, not {other:?}", ask.name),
        }
    }

    /// Renews the tenure of `ask` for its own ttl.
    pub fn renew(&self, ask: &Ask) -> Renewal {
        only(self.renew_many(&[Hold::of(ask)]))
    }

    /// Renews `holds` in one request.
    pub fn renew_many(&self, holds: &[Hold]) -> Vec<Renewal> {
        done(self.drive(self.store(Seat::First).renew(holds)))
    }

    /// Releases what `ask` obtained, from the client in `seat`.
    pub fn release_from(&self, seat: Seat, ask: &Ask, cancel: Cancel) -> Released {
        only(done(self.drive(self.store(seat).release(&[Hold::of(ask)], cancel))))
    }

    /// Releases `holds` in one request.
    pub fn release_many(&self, holds: &[Hold]) -> Vec<Released> {
        done(self.drive(self.store(Seat::First).release(holds, Cancel::No)))
    }

    /// Releases what `ask` obtained.
    pub fn release(&self, ask: &Ask) -> Released {
        self.release_from(Seat::First, ask, Cancel::No)
    }

    /// Gives the attempt up, with a tombstone for `span`.
    pub fn cancel(&self, ask: &Ask, span: Duration) -> Released {
        self.release_from(Seat::First, ask, Cancel::Tombstone(span))
    }

    /// Changes the permits of `name`, after the change `version`, from the client in `seat`.
    pub fn resize(&self, seat: Seat, name: &str, (from, to): (u32, u32), version: u64) -> Resized {
        let change = Resize { from, to, version };
        done(self.drive(self.store(seat).resize(&named(name), &change)))
    }

    /// The same, which may be refused.
    pub fn try_resize(&self, name: &str, (from, to): (u32, u32)) -> Result<Resized> {
        let change = Resize { from, to, version: 0 };
        self.drive(self.store(Seat::First).resize(&named(name), &change))
    }

    /// Ends the tenure of `name` from outside.
    pub fn evict(&self, name: &str, fence: Option<u64>) -> Evicted {
        let why = Evict { why: "the contract suite".to_owned(), fence };
        done(self.drive(self.store(Seat::First).evict(&named(name), &why)))
    }

    /// The lock as people see it.
    pub fn view(&self, name: &str) -> LockView {
        let query = Query::Name(named(name));
        let view = only(done(self.drive(self.store(Seat::Second).inspect(&query))));
        assert_eq!(view.name, named(name), "the view is of the lock that was asked for");
        view
    }

    /// What `owner` waits for.
    pub fn wants(&self, owner: Option<Owner>) -> Vec<Wanting> {
        let store = self.store(Seat::Second);
        let graph = store.waits_for().expect("the store knows who waits for whom");
        done(self.drive(graph.wants(owner.expect("an owner"))))
    }

    /// Fence of the holder of `name`, if it is held.
    pub fn holder(&self, name: &str) -> Option<u64> {
        self.view(name).holder.map(|holder| holder.fence)
    }

    /// Names that are held or waited for.
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Vec<String> {
        let query = Query::Prefix { prefix: prefix.to_owned(), after: after.map(named), limit };
        let views = done(self.drive(self.store(Seat::First).inspect(&query)));
        views.into_iter().map(|view| view.name.as_str().to_owned()).collect()
    }

    /// The store's cells, as the client in `seat` has them.
    pub fn cells(&self, seat: Seat) -> &dyn Cells {
        self.store(seat).cells().expect("the store has cells")
    }

    /// The cell `name`.
    pub fn cell(&self, name: &str) -> Option<Cell> {
        done(self.drive(self.cells(Seat::Second).get(&named(name))))
    }

    /// Writes the cell `name` if it is at `version`.
    pub fn set_cell(
        &self,
        name: &str,
        version: u64,
        value: &[u8],
        keep: Option<Duration>,
    ) -> Result<(bool, Option<Cell>)> {
        self.drive(self.cells(Seat::First).compare_and_set(&named(name), version, value, keep))
    }

    /// Watches the cell `name` from the client in `seat`.
    pub fn watch(&self, seat: Seat, name: &str, version: u64, alive_for: Duration) -> Watched {
        done(self.drive(self.cells(seat).watch(&named(name), version, alive_for)))
    }

    /// Runs `future` to its end.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.drive(future)
    }

    /// Proves that the store answers.
    pub fn ping(&self) -> Result<()> {
        self.drive(self.store(Seat::First).ping())
    }

    /// What was pushed to the client in `seat`.
    pub fn inbox(&self, seat: Seat) -> &Inbox {
        self.rig.inbox(seat)
    }

    /// Lets time pass.
    pub fn pass(&self, span: Duration) {
        self.rig.advance(span);
    }

    /// Lets `span` pass but for the last tick of the store's clock.
    pub fn pass_almost(&self, span: Duration) {
        self.rig.advance(span - self.rig.tick());
    }

    /// Lets that last tick pass.
    pub fn pass_tick(&self) {
        self.rig.advance(self.rig.tick());
    }

    /// Demands that `found` is `expected`, but for less than a tick of the store's clock.
    ///
    /// # Panics
    /// Where it isn't.
    pub fn assert_about(&self, found: Duration, expected: Duration, what: &str) {
        assert!(found.abs_diff(expected) < self.rig.tick(), "{what}: {found:?}, not {expected:?}");
    }

    fn store(&self, seat: Seat) -> &dyn Store {
        self.rig.store(seat)
    }

    fn drive<T>(&self, request: impl Future<Output = T>) -> T {
        let mut value = None;
        {
            let filled = pin!(async { value = Some(request.await) });
            self.rig.drive(filled);
        }
        value.expect("the rig runs the request to its end")
    }
}

/// `text` as a lock's name.
pub(super) fn named(text: &str) -> Name {
    Name::new(text).expect("the cases' names are valid")
}

fn only<T>(mut values: Vec<T>) -> T {
    assert_eq!(values.len(), 1, "one answer for one question");
    values.remove(0)
}

fn done<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store failed: {error:?}"),
    }
}
