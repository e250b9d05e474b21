//! Time as the bench reads it: nanoseconds that all processes of the machine share, so that a
//! hand-off can be timed from one process to another.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock.
pub(crate) fn now() -> u64 {
    nanos(ClockId::Monotonic)
}

/// Nanoseconds of processor time that all threads of this process have used.
pub(crate) fn process_cpu() -> u64 {
    nanos(ClockId::ProcessCPUTime)
}

/// Nanoseconds of processor time that this thread has used.
pub(crate) fn thread_cpu() -> u64 {
    nanos(ClockId::ThreadCPUTime)
}

fn nanos(id: ClockId) -> u64 {
    let at = clock_gettime(id);
    at.tv_sec.unsigned_abs() * 1_000_000_000 + at.tv_nsec.unsigned_abs()
}

/// Lets `span` pass: the hold of a measured section, or the pause of a lock that polls.
#[allow(clippy::disallowed_methods, reason = "a measured hold is time that passes, not an event")]
pub(crate) fn pause(span: Duration) {
    if !span.is_zero() {
        std::thread::sleep(span);
    }
}

/// A span in nanoseconds.
pub(crate) fn span(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
