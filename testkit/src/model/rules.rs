//! The rules by themselves: no store, no clock, no thread.

use leasehold::lock::{self, Book, HandOff};
use leasehold::store::memory::Locks;
use leasehold::store::{Ask, Cancel, Evict, Hold, Kind, LockView};
use leasehold::sys::{BootTime, Moment};

use super::subject::{Outcome, Seen, Subject, ask_of, change, name_of, refused, seen, token_of};
use super::{Op, Try};

/// The rules over rows in memory.
#[derive(Debug)]
pub struct Rules {
    locks: Locks,
    at: Moment,
}

impl Default for Rules {
    fn default() -> Self {
        let at =
            Moment { now: BootTime::from_nanos(1_000_000_000_000), wall_us: 1_767_225_600_000_000 };
        Self { locks: Locks::default(), at }
    }
}

impl Subject for Rules {
    fn apply(&mut self, op: &Op, fence: Option<u64>) -> Outcome {
        let (locks, at) = (&mut self.locks, self.at);
        let mut told: Vec<HandOff> = Vec::new();
        match op {
            Op::Ask(tries, how) => {
                let asks: Vec<Ask> = tries.iter().map(ask_of).collect();
                match lock::acquire_many(locks, &asks, *how, 1, at, &mut told) {
                    Ok(answers) => Outcome::Answers(answers),
                    Err(error) => refused(&error),
                }
            }
            Op::Renew { name, attempt, kind, ttl } => {
                let hold = hold_of(*name, *attempt, *kind, *ttl);
                match lock::renew_many(locks, &[hold], at) {
                    Ok(answers) => Outcome::Renewal(answers[0]),
                    Err(error) => refused(&error),
                }
            }
            Op::Release { name, attempt, tomb } => {
                let hold = hold_of(*name, *attempt, Kind::Exclusive, std::time::Duration::ZERO);
                let cancel = tomb.map_or(Cancel::No, Cancel::Tombstone);
                match lock::release_many(locks, &[hold], cancel, at, &mut told) {
                    Ok(answers) => Outcome::Released(answers[0]),
                    Err(error) => refused(&error),
                }
            }
            Op::Evict { name, .. } => {
                let why = Evict { why: "history".to_owned(), fence };
                match lock::evict(&mut locks.rows(&name_of(*name)), &why, at, &mut told) {
                    Ok(evicted) => Outcome::Evicted(evicted),
                    Err(error) => refused(&error),
                }
            }
            Op::Resize { name, from, to, .. } => {
                let change = change(*from, *to, fence);
                match lock::resize(&mut locks.rows(&name_of(*name)), &change, at, &mut told) {
                    Ok(resized) => Outcome::Resized(resized),
                    Err(error) => refused(&error),
                }
            }
            Op::Advance(span) => {
                self.at.now = self.at.now + *span;
                self.at.wall_us += span.as_micros() as u64;
                Outcome::Passed
            }
            Op::StepWall(seconds) => {
                self.at.wall_us = self.at.wall_us.saturating_add_signed(seconds * 1_000_000);
                Outcome::Passed
            }
        }
    }

    fn see(&mut self, name: usize) -> Seen {
        let (name, now) = (name_of(name), self.at.now);
        let (tenures, queue) = self.locks.look(&name, now);
        let (holding, waiting) = (tenures.len() as u64, queue.len() as u64);
        seen(&LockView::of(&name, now, (tenures, holding), (queue, waiting)))
    }

    fn moment(&self) -> Moment {
        self.at
    }
}

pub(super) fn hold_of(name: usize, attempt: usize, kind: Kind, ttl: std::time::Duration) -> Hold {
    let ask = ask_of(&Try { name, attempt, kind, ttl, grace: GRACE, wait: None });
    debug_assert_eq!(ask.token, token_of(name, attempt));
    Hold::of(&ask)
}

/// The grace of every renewal in a history.
pub(super) const GRACE: std::time::Duration = std::time::Duration::from_millis(100);
