//! How long each part may take, so that the whole run has a known bound.

use std::time::Duration;

/// Rounds and spans.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Rounds of short measurements.
    pub(crate) rounds: u32,
    /// Rounds of contended measurements.
    pub(crate) long_rounds: u32,
    /// One contestant of an uncontended pair in memory.
    pub(crate) memory: Duration,
    /// The same on a database.
    pub(crate) database: Duration,
    /// One contestant with 16 tasks.
    pub(crate) tasks: Duration,
    /// One contestant with 8 processes.
    pub(crate) processes: Duration,
    /// One contestant in Python.
    pub(crate) python: Duration,
    /// One contestant of uncontended pairs on Redis.
    pub(crate) redis_pairs: Duration,
    /// Rounds with 16 contenders on Redis: without a hold, and with one.
    pub(crate) redis_rounds: [u32; 2],
    /// One contestant of those.
    pub(crate) redis_contended: Duration,
    /// How many wait in a crowd on Redis.
    pub(crate) redis_crowd: &'static [u32],
    /// Watching held locks on Redis.
    pub(crate) redis_held: Duration,
    /// Watching the watchdog.
    pub(crate) watch: Duration,
}

impl Plan {
    /// At most four minutes in all.
    pub(crate) fn full() -> Self {
        Self {
            rounds: 5,
            long_rounds: 3,
            memory: Duration::from_millis(150),
            database: Duration::from_millis(350),
            tasks: Duration::from_millis(500),
            processes: Duration::from_millis(800),
            python: Duration::from_millis(200),
            redis_pairs: Duration::from_millis(300),
            redis_rounds: [5, 2],
            redis_contended: Duration::from_millis(300),
            redis_crowd: &[10, 1_000, 10_000],
            redis_held: Duration::from_secs(7),
            watch: Duration::from_secs(6),
        }
    }

    /// About a minute in all: to see that it works, not to quote.
    pub(crate) fn quick() -> Self {
        Self {
            rounds: 3,
            long_rounds: 1,
            memory: Duration::from_millis(50),
            database: Duration::from_millis(100),
            tasks: Duration::from_millis(250),
            processes: Duration::from_millis(400),
            python: Duration::from_millis(60),
            redis_pairs: Duration::from_millis(100),
            redis_rounds: [1, 1],
            redis_contended: Duration::from_millis(200),
            redis_crowd: &[10, 1_000],
            redis_held: Duration::from_millis(3_800),
            watch: Duration::from_secs(3),
        }
    }
}
