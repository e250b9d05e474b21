//! Clocks that run a little too fast or too slow. True time is counted in ns since the start of the
//! schedule and is known to the simulator alone.

/// A clock: what it showed at the start, and by how much it is fast, in parts per thousand million.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// What it showed at true time zero, in ns.
    pub start: i128,
    /// How much it is fast; negative is slow.
    pub ppb: i64,
}

const BILLION: i128 = 1_000_000_000;

impl Rate {
    /// What it shows at true time `at`.
    #[must_use]
    pub(super) fn shows(&self, at: u64) -> i128 {
        self.start + (i128::from(at) * (BILLION + i128::from(self.ppb))).div_euclid(BILLION)
    }

    /// The first true time at which it shows `reading` or more.
    #[must_use]
    pub(super) fn when(&self, reading: i128) -> u64 {
        let span = (reading - self.start).max(0);
        let rate = BILLION + i128::from(self.ppb);
        let at = (span * BILLION).div_euclid(rate);
        let mut at = u64::try_from(at).unwrap_or(u64::MAX / 2);
        while self.shows(at) < reading && at < u64::MAX / 2 {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_that_shows_a_reading_is_the_first() {
        for ppb in [-1_000_000, -37, 0, 41, 500_000, 1_000_000] {
            let clock = Rate { start: 1_000_000_000_007, ppb };
            for reading in [1, 999, 1_000_000_007, 86_400_000_000_000].map(|x| clock.start + x) {
                let at = clock.when(reading);
                assert!(clock.shows(at) >= reading);
                assert!(at == 0 || clock.shows(at - 1) < reading, "{ppb} {reading}");
            }
        }
    }
}
