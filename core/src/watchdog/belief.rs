//! When a holder must stop believing.
//!
//! Counted from when the request was *sent*: the store can't have started the lease earlier, so it
//! can't end it earlier either. Counting from the reply is the bug of etcd's Go client (hazard 3).

use std::time::Duration;

use crate::sys::BootTime;

/// How much slower than the store's clock ours may run: 1 in 1,000, ten times a bad quartz.
const RHO: u32 = 1000;
/// For a reader that looks at the deadline and is scheduled away before it acts.
const MARGIN: Duration = Duration::from_millis(5);

/// The deadline of a lease of `ttl` whose request was sent at `sent`.
pub(crate) fn believed_until(sent: BootTime, ttl: Duration) -> BootTime {
    (sent + ttl).before(ttl / RHO + MARGIN)
}

/// The deadline of a claim that ends at `until` on this machine's own boot clock: both sides read
/// one clock, so its rate can't differ.
pub(crate) fn claimed_until(until: BootTime) -> BootTime {
    until.before(MARGIN)
}
