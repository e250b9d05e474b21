//! Medians, percentiles, fairness, and the history of a contended lock.

/// The middle of `values`; the mean of the two middle ones for an even number.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// The value that `share` of `sorted` is not above.
pub(crate) fn percentile(sorted: &[u64], share: f64) -> f64 {
    #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "an index")]
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).map_or(f64::NAN, |value| *value as f64)
}

/// Jain's index: 1 where all got the same, 1/n where one got all.
fn jain(counts: &[u64]) -> f64 {
    let sum: f64 = counts.iter().map(|count| *count as f64).sum();
    let squares: f64 = counts.iter().map(|count| (*count as f64).powi(2)).sum();
    if squares == 0.0 { f64::NAN } else { sum * sum / (counts.len() as f64 * squares) }
}

/// One tenure as its holder saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tenure {
    /// When the acquire returned.
    pub(crate) granted: u64,
    /// When the release was called.
    pub(crate) released: u64,
}

/// What a contended run came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contest {
    /// Hand-offs per second between different contenders.
    pub(crate) per_second: f64,
    /// From the call of the release to the return of the next contender's acquire, nanoseconds.
    pub p50: f64,
    /// The same, for the slowest hundredth.
    pub p99: f64,
    /// Fairness among contenders.
    pub(crate) jain: f64,
    /// Tenures that began before the one before them was given back: must be zero.
    pub(crate) overlaps: u64,
}

/// Judges the tenures of each contender that were granted from `from` to `until`.
pub(crate) fn judge(contenders: &[Vec<Tenure>], from: u64, until: u64) -> Contest {
    let mut all: Vec<(Tenure, usize)> = Vec::new();
    let mut counts = vec![0; contenders.len()];
    for (index, tenures) in contenders.iter().enumerate() {
        let inside = tenures.iter().filter(|tenure| (from..until).contains(&tenure.granted));
        all.extend(inside.map(|tenure| (*tenure, index)));
        counts[index] = all.len() as u64;
    }
    for index in (1..counts.len()).rev() {
        counts[index] -= counts[index - 1];
    }
    all.sort_by_key(|(tenure, _)| tenure.granted);
    let (mut waits, mut overlaps) = (Vec::with_capacity(all.len()), 0);
    for pair in all.windows(2) {
        let ((before, who), (after, other)) = (pair[0], pair[1]);
        overlaps += u64::from(after.granted < before.released);
        if who != other {
            waits.push(after.granted.saturating_sub(before.released));
        }
    }
    waits.sort_unstable();
    Contest {
        per_second: waits.len() as f64 * 1e9 / (until - from) as f64,
        p50: percentile(&waits, 0.5),
        p99: percentile(&waits, 0.99),
        jain: jain(&counts),
        overlaps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure(granted: u64, released: u64) -> Tenure {
        Tenure { granted, released }
    }

    #[test]
    fn hand_offs_count_between_different_contenders_only() {
        let one = vec![tenure(0, 10), tenure(20, 30), tenure(60, 70)];
        let two = vec![tenure(35, 50)];
        let contest = judge(&[one, two], 0, 1_000_000_000);
        assert_eq!(contest.per_second, 2.0);
        assert_eq!((contest.p50, contest.p99), (5.0, 10.0));
        assert_eq!(contest.jain, 0.8);
        assert_eq!(contest.overlaps, 0);
    }

    #[test]
    fn an_overlap_is_seen() {
        let contest = judge(&[vec![tenure(0, 10)], vec![tenure(9, 12)]], 0, 100);
        assert_eq!(contest.overlaps, 1);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
