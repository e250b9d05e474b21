//! The fence (fencing token): a number that grows with every grant of a lock, so that whoever
//! guards the resource can refuse a holder that lost the lease and doesn't know yet.
//!
//! `max(previous + 1, wall clock in µs)`: the clock makes a fence outlive the deletion of its rows
//! (a forgotten name leaves nothing behind), the previous one makes it outlive a clock that steps
//! back. See Kleppmann, "How to do distributed locking" (2016), for why a guard needs it.

use crate::{Error, ErrorKind, Result};

/// The largest fence: 2^53 − 1, the largest integer that JavaScript and Lua hold exactly.
pub const MAX_FENCE: u64 = (1 << 53) - 1;

/// The fence after `previous` when the store's wall clock reads `wall_us`.
///
/// # Errors
/// [`StoreFailed`](ErrorKind::StoreFailed) past [`MAX_FENCE`]: the store's clock is in the year
/// 2255 or its rows were tampered with.
pub fn next_fence(previous: u64, wall_us: u64) -> Result<u64> {
    let next = previous.saturating_add(1).max(wall_us);
    if next > MAX_FENCE {
        return Err(Error::new(
            ErrorKind::StoreFailed,
            format!("the next fence would be {next}, above 2^53-1: check the store's clock"),
        ));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_grows_whatever_the_clock_does() {
        assert_eq!(next_fence(0, 1_000).unwrap(), 1_000);
        assert_eq!(next_fence(1_000, 1_000).unwrap(), 1_001);
        assert_eq!(next_fence(5_000, 10).unwrap(), 5_001, "the clock stepped back");
        assert_eq!(next_fence(MAX_FENCE - 1, 0).unwrap(), MAX_FENCE);
    }

    #[test]
    fn a_fence_past_the_largest_is_refused() {
        for (previous, wall) in [(MAX_FENCE, 0), (0, MAX_FENCE + 1), (u64::MAX, u64::MAX)] {
            assert_eq!(next_fence(previous, wall).unwrap_err().kind(), ErrorKind::StoreFailed);
        }
    }
}
