//! Which faults struck at which steps of the protocol, and what was granted: a class that never met a
//! step proves nothing about it, and neither does a kind of lock that nobody was granted.

use std::collections::BTreeMap;
use std::fmt;

use super::fault::Fault;
use super::net::Step;

/// Counts by fault and step, and by what was granted.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    struck: BTreeMap<(Fault, Step), u64>,
    granted: BTreeMap<&'static str, u64>,
}

impl Coverage {
    /// One more.
    pub(crate) fn add(&mut self, fault: Fault, step: Step) {
        *self.struck.entry((fault, step)).or_default() += 1;
    }

    /// One more lease of this sort.
    pub(crate) fn grant(&mut self, what: &'static str) {
        *self.granted.entry(what).or_default() += 1;
    }

    /// All of another.
    pub fn merge(&mut self, other: &Self) {
        for (key, count) in &other.struck {
            *self.struck.entry(*key).or_default() += count;
        }
        for (what, count) in &other.granted {
            *self.granted.entry(what).or_default() += count;
        }
    }

    /// How many classes struck at all.
    #[must_use]
    pub fn classes(&self) -> usize {
        Fault::ALL
            .iter()
            .filter(|fault| self.struck.keys().any(|(other, _)| other == *fault))
            .count()
    }

    /// How often this one struck at that step.
    #[must_use]
    pub fn count(&self, fault: Fault, step: Step) -> u64 {
        self.struck.get(&(fault, step)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20}", "fault \\ step")?;
        Step::ALL.iter().try_for_each(|step| write!(f, "{:>9}", step.word()))?;
        for fault in Fault::ALL {
            write!(f, "\n{:<20}", fault.word())?;
            for step in Step::ALL {
                match self.count(fault, step) {
                    0 => write!(f, "{:>9}", "·")?,
                    count => write!(f, "{count:>9}")?,
                }
            }
        }
        write!(f, "\ngranted:")?;
        for (index, (what, count)) in self.granted.iter().enumerate() {
            write!(f, "{} {count} {what}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}
