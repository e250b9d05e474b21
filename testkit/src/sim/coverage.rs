//! Which faults struck at which steps of the protocol: a class that never met a step proves nothing
//! about it.

use std::collections::BTreeMap;
use std::fmt;

use super::fault::Fault;
use super::net::Step;

/// Counts by fault and step.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<(Fault, Step), u64>);

impl Coverage {
    /// One more.
    pub(crate) fn add(&mut self, fault: Fault, step: Step) {
        *self.0.entry((fault, step)).or_default() += 1;
    }

    /// All of another.
    pub fn merge(&mut self, other: &Self) {
        for (key, count) in &other.0 {
            *self.0.entry(*key).or_default() += count;
        }
    }

    /// How many classes struck at all.
    #[must_use]
    pub fn classes(&self) -> usize {
        Fault::ALL.iter().filter(|fault| self.0.keys().any(|(other, _)| other == *fault)).count()
    }

    /// How often this one struck at that step.
    #[must_use]
    pub fn count(&self, fault: Fault, step: Step) -> u64 {
        self.0.get(&(fault, step)).copied().unwrap_or_default()
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
        Ok(())
    }
}
