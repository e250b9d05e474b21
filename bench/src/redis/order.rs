//! What the bench tells its workers and what they answer: a line of JSON each way, the same for a
//! worker in Rust and one in Python, so that rounds interleave across languages and a worker's
//! processor time is that of one contestant alone.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One measurement. Each answers [`Answer::Ready`] when all is made, then waits for [`Order::Go`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "lowercase")]
pub(crate) enum Order {
    /// Pairs without contention: each task on a lock of its own.
    Pairs {
        /// With what.
        rival: String,
        /// How many at once.
        tasks: u32,
    },
    /// All contenders of all workers on one lock.
    Contend {
        /// With what.
        rival: String,
        /// How many contenders this worker has.
        contenders: u32,
        /// The number of the first of them.
        first: u32,
        /// How long each holds the lock, in microseconds.
        hold: u64,
        /// Where the turns go.
        file: PathBuf,
    },
    /// Many locks held and renewed. Ready when all are held, and again at the end: they are given
    /// back at a second [`Order::Go`], after the bench has looked.
    Hold {
        /// With what.
        rival: String,
        /// How many.
        locks: u32,
        /// For how long each is held without renewal, in milliseconds.
        ttl: u64,
    },
    /// Begin now. Times are of the machine's monotonic clock, in nanoseconds.
    Go {
        /// Contender number 0 takes the lock before the others ask, and keeps it until then.
        open: u64,
        /// When no task begins anew.
        until: u64,
    },
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    /// It has started: what it can measure, and what it can't with the reason.
    Here {
        /// Rivals that it has.
        rivals: Vec<String>,
        /// Rivals that it lacks: which, and why.
        absent: Vec<(String, String)>,
    },
    /// It waits for the word.
    Ready,
    /// It has measured.
    Did(Did),
    /// It could not.
    Failed(String),
}

/// A measurement's figures.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Did {
    /// Pairs, tenures, or locks that are still held.
    pub(crate) count: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Processor time of all threads of the worker, in seconds.
    pub(crate) cpu: f64,
}
