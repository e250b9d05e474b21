//! How histories are drawn: few names and attempts, so that they meet, and time spans around the ones
//! that matter, so that edges are hit exactly.
//!
//! By hand, from one number, and not put together from proptest's own strategies: those keep a
//! generator for each choice that was not taken, which cost more than playing the history. A failing
//! history loses every step that it fails without, also several that only go together.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use leasehold::store::{How, Kind, Wait};
use proptest::prelude::Rng as _;
use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::op::{ATTEMPTS, Mix, NAMES, Op, Try};
use crate::SeededRandom;

/// Histories of `steps` steps.
#[must_use]
pub fn history(mix: Mix, steps: Range<usize>) -> Histories {
    Histories { mix, steps }
}

/// Random histories, as a strategy.
#[derive(Clone, Debug)]
pub struct Histories {
    mix: Mix,
    steps: Range<usize>,
}

impl Strategy for Histories {
    type Tree = Shrinking;
    type Value = Vec<Op>;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let draw = Draw { mix: self.mix, random: SeededRandom::new(runner.rng().next_u64()) };
        let count = self.steps.start + draw.below(self.steps.len());
        Ok(Shrinking::new((0..count).map(|_| draw.op()).collect()))
    }
}

/// A history, and what it still might do without: first its half, then quarters, and so on to single
/// steps, over and over while anything goes.
pub struct Shrinking {
    ops: Vec<Op>,
    /// What was taken away last, at `at`.
    taken: Vec<Op>,
    at: usize,
    chunk: usize,
    shrunk: bool,
}

impl fmt::Debug for Shrinking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a history of {} steps", self.ops.len())
    }
}

impl Shrinking {
    fn new(ops: Vec<Op>) -> Self {
        let chunk = (ops.len() / 2).max(1);
        Self { ops, taken: Vec::new(), at: 0, chunk, shrunk: false }
    }

    fn take(&mut self) -> bool {
        while self.at >= self.ops.len() {
            if self.ops.is_empty() || (self.chunk == 1 && !self.shrunk) {
                return false;
            }
            (self.at, self.chunk, self.shrunk) = (0, (self.chunk / 2).max(1), false);
        }
        let end = (self.at + self.chunk).min(self.ops.len());
        self.taken = self.ops.drain(self.at..end).collect();
        true
    }
}

impl ValueTree for Shrinking {
    type Value = Vec<Op>;

    fn current(&self) -> Vec<Op> {
        self.ops.clone()
    }

    fn simplify(&mut self) -> bool {
        self.shrunk |= !std::mem::take(&mut self.taken).is_empty();
        self.take()
    }

    fn complicate(&mut self) -> bool {
        let taken = std::mem::take(&mut self.taken);
        let count = taken.len();
        self.ops.splice(self.at..self.at, taken);
        self.at += count;
        self.take()
    }
}

struct Draw {
    mix: Mix,
    random: SeededRandom,
}

impl Draw {
    fn below(&self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    fn of<T: Copy, const N: usize>(&self, all: [T; N]) -> T {
        all[self.below(N)]
    }

    fn percent(&self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn name(&self) -> usize {
        self.below(NAMES)
    }

    fn attempt(&self) -> usize {
        self.below(ATTEMPTS)
    }

    fn op(&self) -> Op {
        match self.below(33) {
            0..10 => Op::Ask(vec![self.a_try(true, 80)], How::EachAlone),
            10..12 => Op::Ask(self.tries(0..4, 80), How::EachAlone),
            12..14 => Op::Ask(self.tries(1..3, 0), How::AllOrNothing),
            14..18 => {
                let (attempt, ttl) = (self.attempt(), self.ttl());
                Op::Renew { name: self.name(), attempt, kind: kind(self.mix, attempt, 50), ttl }
            }
            18..23 => {
                let tomb = self.percent(40).then(|| millis(self.of([100, 1000, 10_000])));
                Op::Release { name: self.name(), attempt: self.attempt(), tomb }
            }
            23 => Op::Evict { name: self.name(), fence: self.percent(50) },
            24 => Op::StepWall(self.below(10_000) as i64 - 5000),
            25 if matches!(self.mix, Mix::Permits | Mix::All) => self.resize(),
            26 => Op::Ask(vec![self.a_try(true, 0)], How::Held),
            _ => Op::Advance(self.span()),
        }
    }

    /// Mostly from what most ask with; to more, to less, and to less than some ask for.
    fn resize(&self) -> Op {
        let permits = [4, 4, 4, 2, 3, 6];
        let from = self.of(permits);
        let to = loop {
            let to = self.of(permits);
            if to != from {
                break to;
            }
        };
        Op::Resize { name: self.name(), from, to, fresh: self.percent(90) }
    }

    fn tries(&self, count: Range<usize>, waits: usize) -> Vec<Try> {
        (0..count.start + self.below(count.len())).map(|_| self.a_try(false, waits)).collect()
    }

    /// `free`: the attempt may ask for something else than before. In one of several asks it may not, or
    /// two changes of one attempt in a step could not be told apart by what is seen after it.
    fn a_try(&self, free: bool, waits: usize) -> Try {
        let attempt = self.attempt();
        let other = if free { self.below(100) } else { 50 };
        // An attempt's rank and fences are its own: they don't change between asks.
        let priority = [0, 0, 0, 0, 1, 1, -1][attempt];
        let fences = [1, 16, 1, 512, 1, 16, 2][attempt];
        let wait = self.percent(waits).then(|| Wait {
            alive_for: millis(self.of([250, 1000, 60_000])),
            claim: millis(150),
            heartbeat: millis(100),
            max_queue: self.of([0, 2, 2, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000]),
            priority,
            fences,
        });
        let kind = kind(self.mix, attempt, other);
        Try { name: self.name(), attempt, kind, ttl: self.ttl(), grace: millis(100), wait }
    }

    fn ttl(&self) -> Duration {
        millis(self.of([200, 500, 900]))
    }

    /// Mostly sums of the spans above, so that something is due exactly now or a nanosecond ago.
    fn span(&self) -> Duration {
        match self.below(9) {
            0 => Duration::from_nanos(1),
            1 | 2 => Duration::from_nanos(self.random.below(1_200_000_000)),
            _ => millis(self.of([100, 150, 250, 300, 600, 1000, 60_000])),
        }
    }
}

/// What an attempt asks for: mostly the same each time, `other` of a hundred times something else.
fn kind(mix: Mix, attempt: usize, other: usize) -> Kind {
    let odd = other < 10;
    let reads = (attempt < 4) != odd;
    let permits = Kind::Permits {
        count: [1, 1, 2, 3, 4, 1, 2][attempt],
        capacity: if other < 4 { 5 } else { 4 },
    };
    match mix {
        Mix::Exclusive => Kind::Exclusive,
        Mix::ReadWrite if reads => Kind::Shared,
        Mix::ReadWrite => Kind::Exclusive,
        Mix::Permits => permits,
        Mix::All => match attempt % 3 {
            0 => Kind::Exclusive,
            1 => Kind::Shared,
            _ => permits,
        },
    }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A failure that takes two steps far from each other, of which neither does alone.
    #[test]
    fn a_history_shrinks_to_what_fails_together() {
        let draw = Draw { mix: Mix::All, random: SeededRandom::new(7) };
        let ops: Vec<Op> = (0..90).map(|_| draw.op()).collect();
        let wanted = [ops[11].clone(), ops[70].clone()];
        let fails = |ops: &[Op]| wanted.iter().all(|one| ops.contains(one));
        let mut tree = Shrinking::new(ops);
        let mut tried = tree.simplify();
        while tried {
            tried = if fails(&tree.current()) { tree.simplify() } else { tree.complicate() };
        }
        assert_eq!(tree.current(), wanted);
    }
}
