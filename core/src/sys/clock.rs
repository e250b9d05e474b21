//! Boot time: nanoseconds since the machine started, counting the time it was suspended.
//!
//! `std::time::Instant` stops while a laptop sleeps (rust-lang/rust#87906), so a lease would look
//! valid after the lid was closed for an hour. Every deadline of this crate is a [`BootTime`].

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the boot clock (CLOCK_BOOTTIME, `mach_continuous_time`), in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BootTime(u64);

impl BootTime {
    /// The far future, for "no deadline".
    pub const NEVER: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after boot.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The point before `self` by `span`, not before boot.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl Sub for BootTime {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// One reading of both clocks: boot time decides, wall time only numbers fences and labels people's
/// views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Boot time: all expiry is counted on it.
    pub now: BootTime,
    /// Microseconds since 1970 by the wall clock; may step.
    pub wall_us: u64,
}
