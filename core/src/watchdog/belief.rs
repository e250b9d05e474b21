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

#[cfg(test)]
mod tests {
    use super::*;

    /// Hazards 3 and 61: whatever the ttl, the holder stops before the store can have started the
    /// next tenure, even with a clock that is slow by the whole allowance.
    #[test]
    fn the_belief_ends_before_a_store_with_the_fastest_allowed_clock_lets_go() {
        let sent = BootTime::from_nanos(1_000_000_000);
        for ttl in [10, 20, 100, 999, 30_000, 86_400_000, 31_536_000_000].map(Duration::from_millis)
        {
            let told = believed_until(sent, ttl).since(sent);
            assert!(told < ttl, "{ttl:?}");
            let real = told.mul_f64(1.0 + 1.0 / f64::from(RHO));
            assert!(real <= ttl, "{ttl:?}: believed {real:?} of the store's time");
        }
    }

    #[test]
    fn a_claim_ends_before_its_store_ends_it() {
        let until = BootTime::from_nanos(5_000_000_000);
        assert_eq!(until.since(claimed_until(until)), MARGIN);
    }
}
