//! A whole store, through its public requests.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use leasehold::store::{Ask, Cancel, Evict, Kind, Query};
use leasehold::sys::Moment;

use super::Op;
use super::rules::hold_of;
use super::subject::{Outcome, Seen, Subject, ask_of, change, name_of, refused, seen};
use crate::contract::{Rig, Seat};

/// A store in a rig with virtual time; requests come from both clients in turn.
pub struct Through<'r> {
    rig: &'r dyn Rig,
    at: Moment,
    steps: usize,
}

impl<'r> Through<'r> {
    /// A fresh `rig`, whose clock reads `at`.
    pub fn new(rig: &'r dyn Rig, at: Moment) -> Self {
        Self { rig, at, steps: 0 }
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

impl Subject for Through<'_> {
    fn apply(&mut self, op: &Op, fence: Option<u64>) -> Outcome {
        self.steps += 1;
        let store =
            self.rig.store(if self.steps.is_multiple_of(2) { Seat::First } else { Seat::Second });
        match op {
            Op::Ask(tries, how) => {
                let asks: Vec<Ask> = tries.iter().map(ask_of).collect();
                match self.drive(store.acquire(&asks, *how)) {
                    Ok(answers) => Outcome::Answers(answers),
                    Err(error) => refused(&error),
                }
            }
            Op::Renew { name, attempt, kind, ttl } => {
                match self.drive(store.renew(&[hold_of(*name, *attempt, *kind, *ttl)])) {
                    Ok(answers) => Outcome::Renewal(answers[0]),
                    Err(error) => refused(&error),
                }
            }
            Op::Release { name, attempt, tomb } => {
                let cancel = tomb.map_or(Cancel::No, Cancel::Tombstone);
                let hold = hold_of(*name, *attempt, Kind::Exclusive, Duration::ZERO);
                match self.drive(store.release(&[hold], cancel)) {
                    Ok(answers) => Outcome::Released(answers[0]),
                    Err(error) => refused(&error),
                }
            }
            Op::Evict { name, .. } => {
                let why = Evict { why: "history".to_owned(), fence };
                match self.drive(store.evict(&name_of(*name), &why)) {
                    Ok(evicted) => Outcome::Evicted(evicted),
                    Err(error) => refused(&error),
                }
            }
            Op::Resize { name, from, to, .. } => {
                let change = change(*from, *to, fence);
                match self.drive(store.resize(&name_of(*name), &change)) {
                    Ok(resized) => Outcome::Resized(resized),
                    Err(error) => refused(&error),
                }
            }
            Op::Advance(span) => {
                self.rig.advance(*span);
                self.at.now = self.at.now + *span;
                self.at.wall_us += span.as_micros() as u64;
                Outcome::Passed
            }
            Op::StepWall(seconds) => {
                self.rig.step_wall(*seconds);
                self.at.wall_us = self.at.wall_us.saturating_add_signed(seconds * 1_000_000);
                Outcome::Passed
            }
        }
    }

    fn see(&mut self, name: usize) -> Seen {
        let query = Query::Name(name_of(name));
        let views = self.drive(self.rig.store(Seat::First).inspect(&query));
        seen(&views.expect("the store shows its locks")[0])
    }

    fn moment(&self) -> Moment {
        self.at
    }
}
