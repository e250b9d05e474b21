//! The faults in force, and the traps that are set.

use std::collections::BTreeMap;

use super::fault::find;
use super::{Action, Direction, Fault, Which};

/// Enough of what went before to find a pattern that lies across two reads.
pub(super) const LONGEST: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Rules {
    faults: Vec<Rule>,
    traps: Vec<Trap>,
    sprung: BTreeMap<u64, u64>,
    last: u64,
}

#[derive(Debug)]
struct Rule {
    id: u64,
    which: Which,
    direction: Direction,
    fault: Fault,
}

#[derive(Debug)]
struct Trap {
    id: u64,
    direction: Direction,
    pattern: Vec<u8>,
    action: Action,
    left: u64,
}

impl Rules {
    /// The last one that fits a connection is in force.
    pub(super) fn set(&mut self, which: Which, direction: Direction, fault: Fault) {
        if matches!(which, Which::All) {
            self.faults.retain(|rule| rule.direction != direction);
        }
        let id = self.id();
        self.faults.push(Rule { id, which, direction, fault });
    }

    pub(super) fn set_trap(
        &mut self,
        direction: Direction,
        pattern: Vec<u8>,
        action: Action,
        times: u64,
    ) -> u64 {
        let id = self.id();
        self.traps.push(Trap { id, direction, pattern, action, left: times });
        id
    }

    pub(super) fn disarm(&mut self) {
        self.traps.clear();
    }

    /// What befalls a connection that way, and the name of the rule.
    pub(super) fn fault(&self, number: u64, head: &[u8], direction: Direction) -> (u64, Fault) {
        let fits = |rule: &&Rule| rule.direction == direction && rule.which.has(number, head);
        self.faults.iter().rfind(fits).map_or((0, Fault::Pass), |rule| (rule.id, rule.fault))
    }

    /// The trap that `bytes`, of which the first `old` were looked at before, walk into.
    pub(super) fn trap(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        old: usize,
    ) -> Option<(u64, Action)> {
        let found = self.traps.iter_mut().find(|trap| {
            let new = old.saturating_sub(trap.pattern.len() - 1);
            trap.direction == direction && find(&bytes[new..], &trap.pattern).is_some()
        })?;
        found.left -= 1;
        let walked_into = (found.id, found.action);
        self.traps.retain(|trap| trap.left > 0);
        Some(walked_into)
    }

    /// Notes that a trap did its work.
    pub(super) fn done(&mut self, trap: u64) {
        *self.sprung.entry(trap).or_default() += 1;
    }

    pub(super) fn sprung(&self) -> BTreeMap<u64, u64> {
        self.sprung.clone()
    }

    fn id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}
