//! What a history is played on, and what an observer sees of it: answers, and the public view.

use std::sync::Arc;
use std::time::Duration;

use leasehold::store::{Answer, Ask, Evicted, Kind, LockView, Released, Renewal, Resize, Resized};
use leasehold::sys::{Moment, Token};
use leasehold::{Error, ErrorKind, Name, Profile};

use super::op::NAMES;
use super::{Op, Promises, Try};

/// What a step was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// An ask's answers.
    Answers(Vec<Answer>),
    /// A renewal's answer.
    Renewal(Renewal),
    /// A release's answer.
    Released(Released),
    /// An eviction's answer.
    Evicted(Evicted),
    /// A change's answer.
    Resized(Resized),
    /// Refused with an error.
    Refused(ErrorKind),
    /// Only time passed.
    Passed,
}

/// One lock as it can be seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Who holds it, in order of their attempts.
    pub holders: Vec<SeenHolder>,
    /// Who waits, first in line first, and how long each is still alive.
    pub queue: Vec<(usize, Duration)>,
}

/// A holder as it can be seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenHolder {
    /// The attempt.
    pub attempt: usize,
    /// How it holds the lock.
    pub kind: Kind,
    /// Its fence.
    pub fence: u64,
    /// What is left of it in the store.
    pub stored: Duration,
    /// Handed over and not yet confirmed.
    pub claimed: bool,
}

/// Something that histories are played on.
pub trait Subject {
    /// Takes one step. `fence` is the fence last seen for an eviction that demands it, and the number of
    /// the last change for a change that names it.
    fn apply(&mut self, op: &Op, fence: Option<u64>) -> Outcome;

    /// The lock `name`, now.
    fn see(&mut self, name: usize) -> Seen;

    /// Both clocks.
    fn moment(&self) -> Moment;
}

/// Plays `history` on `subject` under the eyes of the oracle; what was answered and seen, step by
/// step.
///
/// # Errors
/// The first broken promise.
pub fn play(
    subject: &mut dyn Subject,
    history: &[Op],
) -> Result<Vec<(Outcome, Vec<Seen>)>, String> {
    let mut promises = Promises::new(subject.moment());
    let mut record = Vec::with_capacity(history.len());
    for (index, op) in history.iter().enumerate() {
        let fence = match op {
            Op::Evict { name, fence: true } => promises.fence_of(*name),
            Op::Resize { name, fresh: true, .. } => promises.change_of(*name),
            _ => None,
        };
        let outcome = subject.apply(op, fence);
        let seen: Vec<Seen> = (0..NAMES).map(|name| subject.see(name)).collect();
        promises
            .judge(op, &outcome, &seen, subject.moment())
            .map_err(|broken| format!("step {index}, {op:?}: {broken}\n  answered {outcome:?}"))?;
        record.push((outcome, seen));
    }
    Ok(record)
}

/// The name of lock number `name`.
#[must_use]
pub fn name_of(name: usize) -> Name {
    Name::new(format!("lock {name}")).expect("a valid name")
}

/// The token of an attempt.
#[must_use]
pub(super) fn token_of(name: usize, attempt: usize) -> Token {
    let mut bytes = [0x5A; 16];
    bytes[0] = u8::try_from(name).unwrap_or_default();
    bytes[1] = u8::try_from(attempt).unwrap_or_default();
    Token::from_bytes(bytes)
}

/// The ask of a try.
#[must_use]
pub fn ask_of(one: &Try) -> Ask {
    Ask {
        name: name_of(one.name),
        kind: one.kind,
        token: token_of(one.name, one.attempt),
        ttl: one.ttl,
        grace: one.grace,
        wait: one.wait,
        owner: None,
        profile: Arc::new(Profile { pid: one.attempt as u32, ..Profile::default() }),
    }
}

/// The attempt that a profile names.
#[must_use]
pub fn who(profile: &Profile) -> usize {
    profile.pid as usize
}

/// What a change asks for; one that names no change before it names a wrong one.
pub(super) fn change(from: u32, to: u32, version: Option<u64>) -> Resize {
    Resize { from, to, version: version.unwrap_or(1) }
}

pub(super) fn refused(error: &Error) -> Outcome {
    Outcome::Refused(error.kind())
}

pub(super) fn seen(view: &LockView) -> Seen {
    let mut holders: Vec<SeenHolder> = view
        .holder
        .iter()
        .chain(&view.others)
        .map(|holder| SeenHolder {
            attempt: who(&holder.profile),
            kind: holder.kind,
            fence: holder.fence,
            stored: holder.stored,
            claimed: holder.claimed,
        })
        .collect();
    holders.sort_by_key(|holder| holder.attempt);
    Seen {
        holders,
        queue: view.queue.iter().map(|waiter| (who(&waiter.profile), waiter.alive_for)).collect(),
    }
}
