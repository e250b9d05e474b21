//! The fence (fencing token): a number that grows with every grant of a lock, so that whoever
//! guards the resource can refuse a holder that lost the lease and doesn't know yet.
//!
//! `max(previous + 1, wall clock in µs)`: the clock makes a fence outlive the deletion of its rows
//! (a forgotten name leaves nothing behind), the previous one makes it outlive a clock that steps
//! back. See Kleppmann, "How to do distributed locking" (2016), for why a guard needs it.

use crate::{Error, ErrorKind, Result};

/// The largest fence: 2^53 − 1, the largest integer that JavaScript and Lua hold exactly.
pub const MAX_FENCE: u64 = (1 << 53) - 1;

/// The most fences that one tenure reserves: about as many as a store's clock goes on in microseconds while
/// so many hold it in turn, so that the fences stay behind it.
pub const MAX_FENCES: u32 = 512;

/// The fence after `previous` when the store's wall clock reads `wall_us`.
///
/// # Errors
/// [`StoreFailed`](ErrorKind::StoreFailed) past [`MAX_FENCE`]: the store's clock is in the year
/// 2255 or its rows were tampered with.
pub fn next_fence(previous: u64, wall_us: u64) -> Result<u64> {
    last_of_next(previous, 1, wall_us)
}

/// The last of the `count` fences after `previous`: one for each of those who hold one tenure in turn
/// (wait/cohort.rs). The tenure is known by this one, so that it is still the largest there was, and no
/// row, script or guard need know of the others: they are those just below it, which nobody had, for it
/// is at least `count` above the previous one. The clock alone would not do: holders that follow each
/// other within a microsecond, or a clock that steps back (hazard 12), would have the next tenure begin
/// below the last of this one.
///
/// Where the previous one is forgotten the first of them may be `count` microseconds older than the
/// clock, which no store can have forgotten it, and granted anew, in.
///
/// # Errors
/// As [`next_fence`].
pub fn last_of_next(previous: u64, count: u32, wall_us: u64) -> Result<u64> {
    let next = previous.saturating_add(u64::from(count.max(1))).max(wall_us);
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
    fn a_block_lies_between_the_fence_before_it_and_the_next() {
        for wall in [0, 1_000, 1_001, 1_015, 1_016, 9_000] {
            let last = last_of_next(1_000, 16, wall).unwrap();
            assert!(last - 15 > 1_000 && last >= wall, "{last} at {wall}");
            assert!(next_fence(last, wall).unwrap() > last);
        }
        assert_eq!(last_of_next(MAX_FENCE - 16, 16, 0).unwrap(), MAX_FENCE);
        last_of_next(MAX_FENCE - 15, 16, 0).unwrap_err();
    }

    #[test]
    fn a_fence_past_the_largest_is_refused() {
        assert_eq!(MAX_FENCE, 9_007_199_254_740_991, "JavaScript's Number.MAX_SAFE_INTEGER");
        for (previous, wall) in [(MAX_FENCE, 0), (0, MAX_FENCE + 1), (u64::MAX, u64::MAX)] {
            assert_eq!(next_fence(previous, wall).unwrap_err().kind(), ErrorKind::StoreFailed);
        }
    }
}
