//! Which kinds of lock a schedule is about. As with faults, each seed picks some: half of the schedules
//! know exclusive locks only, where the fewest operations meet in the most ways.

use super::fault::below;
use crate::SeededRandom;

/// What a name is used as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    /// An exclusive lock.
    Alone,
    /// A read-write lock.
    Reads,
    /// So many permits.
    Permits(u32),
}

/// How a lock is held or asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// By one: exclusively, or to write.
    Alone,
    /// To read.
    Reads,
    /// So many permits.
    Permits(u32),
}

/// One lock of a schedule.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) family: Family,
}

/// What the users of a schedule do beside taking one lock.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    pub(crate) places: Vec<Place>,
    /// They take several locks, all or none.
    pub(crate) several: bool,
    /// They have owners, and take again what they hold.
    pub(crate) owners: bool,
    /// Readers become writers and the reverse.
    pub(crate) changes: bool,
}

impl Mix {
    /// What `random` says.
    pub(crate) fn new(random: &SeededRandom) -> Self {
        let mixed = random.below(2) == 0;
        let count = if mixed { 2 + below(random, 2) } else { 1 + below(random, 3) };
        let place = |number| {
            let (word, family) = match if mixed { random.below(5) } else { 0 } {
                0 => ("lock", Family::Alone),
                1 | 2 => ("rwlock", Family::Reads),
                _ => ("permits", Family::Permits(2 + random.below(4) as u32)),
            };
            Place { name: format!("{word}-{number}"), family }
        };
        Self {
            places: (0..count).map(place).collect(),
            several: mixed && random.below(2) == 0,
            owners: mixed && random.below(2) == 0,
            changes: mixed && random.below(2) == 0,
        }
    }

    /// Whether there is more in it than single exclusive locks.
    pub(crate) fn mixed(&self) -> bool {
        self.several || self.owners || self.places.iter().any(|place| place.family != Family::Alone)
    }
}

impl How {
    /// How many permits.
    pub(crate) fn permits(self) -> u32 {
        match self {
            Self::Permits(count) => count,
            _ => 0,
        }
    }
}
