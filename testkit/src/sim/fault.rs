//! What can go wrong, and which of it does in one schedule.
//!
//! Each seed switches classes of faults on and off (swarm testing; Groce and others, ISSTA 2012):
//! where all happen at once, few protocols get far enough to be wrong in an interesting way.

use crate::SeededRandom;

/// A class of faults.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "`word` says what each is")]
pub enum Fault {
    Delay,
    StallUp,
    StallDown,
    BlackHole,
    ResetBefore,
    ResetAfter,
    Duplicate,
    Split,
    DialRefused,
    Partition,
    CrashKept,
    CrashLost,
    Rollback,
    ServerPause,
    Drift,
    StepForward,
    StepBack,
    LostPush,
    ScriptFlush,
    ClientPause,
    ClientCrash,
    HostCrash,
    Cancel,
    Evict,
}

impl Fault {
    /// All classes.
    pub const ALL: [Self; 24] = [
        Self::Delay,
        Self::StallUp,
        Self::StallDown,
        Self::BlackHole,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Duplicate,
        Self::Split,
        Self::DialRefused,
        Self::Partition,
        Self::CrashKept,
        Self::CrashLost,
        Self::Rollback,
        Self::ServerPause,
        Self::Drift,
        Self::StepForward,
        Self::StepBack,
        Self::LostPush,
        Self::ScriptFlush,
        Self::ClientPause,
        Self::ClientCrash,
        Self::HostCrash,
        Self::Cancel,
        Self::Evict,
    ];
    /// Those that hit one request.
    pub const OF_REQUESTS: [Self; 7] = [
        Self::StallUp,
        Self::StallDown,
        Self::BlackHole,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Duplicate,
        Self::ScriptFlush,
    ];
    /// Those that hit a machine or the server, whatever they are at.
    pub const OF_MACHINES: [Self; 12] = [
        Self::DialRefused,
        Self::Partition,
        Self::CrashKept,
        Self::CrashLost,
        Self::Rollback,
        Self::ServerPause,
        Self::StepForward,
        Self::StepBack,
        Self::ScriptFlush,
        Self::ClientPause,
        Self::ClientCrash,
        Self::HostCrash,
    ];

    /// A few words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::StallUp => "stall to server",
            Self::StallDown => "stall to client",
            Self::BlackHole => "stall both ways",
            Self::ResetBefore => "reset, not executed",
            Self::ResetAfter => "reset, reply lost",
            Self::Duplicate => "duplicate request",
            Self::Split => "bytes in pieces",
            Self::DialRefused => "dial refused",
            Self::Partition => "partition",
            Self::CrashKept => "server crash, kept",
            Self::CrashLost => "server crash, lost",
            Self::Rollback => "server rolls back",
            Self::ServerPause => "server pause",
            Self::Drift => "clock rates",
            Self::StepForward => "server clock ahead",
            Self::StepBack => "server clock back",
            Self::LostPush => "lost push",
            Self::ScriptFlush => "script flush",
            Self::ClientPause => "client pause",
            Self::ClientCrash => "client crash",
            Self::HostCrash => "client host crash",
            Self::Cancel => "cancel",
            Self::Evict => "evict",
        }
    }

    /// How often its class is switched on, in percent: those that excuse a promise are rarer.
    const fn share(self) -> u64 {
        match self {
            Self::CrashLost | Self::Rollback | Self::StepForward | Self::StepBack => 12,
            Self::Drift | Self::Cancel => 60,
            _ => 40,
        }
    }
}

/// Which classes are on in one schedule, and how often they strike.
#[derive(Clone, Debug)]
pub struct Swarm {
    on: Vec<Fault>,
    /// How many of 1,000 requests are hit.
    pub per_request: u64,
    /// Between two strikes at a machine, on average, in ms.
    pub gap_ms: u64,
    /// A one-way trip takes at least this, in µs, and half of that more on average.
    pub latency_us: u64,
}

impl Swarm {
    /// What `random` says; at least two classes.
    #[must_use]
    pub fn new(random: &SeededRandom) -> Self {
        let on = loop {
            let on: Vec<_> =
                Fault::ALL.into_iter().filter(|fault| random.below(100) < fault.share()).collect();
            if on.len() >= 2 {
                break on;
            }
        };
        Self {
            on,
            per_request: [5, 15, 40, 100][below(random, 4)],
            gap_ms: [300, 1000, 3000, 8000][below(random, 4)],
            latency_us: [50, 300, 2000, 20_000][below(random, 4)],
        }
    }

    /// Whether the class is on.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.on.contains(&fault)
    }

    /// Those of `all` that are on.
    #[must_use]
    pub fn among(&self, all: &[Fault]) -> Vec<Fault> {
        all.iter().copied().filter(|fault| self.has(*fault)).collect()
    }

    /// The classes that are on.
    #[must_use]
    pub fn words(&self) -> String {
        self.on.iter().map(|fault| fault.word()).collect::<Vec<_>>().join(", ")
    }
}

/// An index below `bound`.
pub(crate) fn below(random: &SeededRandom, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or_default()
}

/// One of `all`; none where there is none.
pub(crate) fn one_of<T: Copy>(random: &SeededRandom, all: &[T]) -> Option<T> {
    all.get(below(random, all.len())).copied()
}

/// A span around `mean`: mostly shorter, now and then much longer.
pub(crate) fn spread(random: &SeededRandom, mean: u64) -> u64 {
    let share = (random.below(1_000_000) + 1) as f64 / 1_000_000.0;
    (mean as f64 * -share.ln()) as u64
}
