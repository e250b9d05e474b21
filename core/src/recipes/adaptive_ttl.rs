//! A ttl and a wait from a lock's own history.
//!
//! A ttl that is too long has a crashed holder keep the others out; one that is too short is lost by a
//! holder that is merely slow, where nothing renews it. Both are guesses until the lock was held a few
//! times. The trap is the average: a lock that is held for 10 ms a hundred times and for 5 s once is not
//! a lock of 60 ms. So it goes by a high quantile of the latest holds, and old ones are forgotten: after a
//! change, fifty holds are all that count.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::options::DEFAULT_TTL;
use crate::{ErrorKind, Lease, Lock, Result};

/// Holds and waits that count.
const WINDOW: usize = 50;
/// Fewer holds than this say nothing.
const FEW: usize = 5;
/// The part of holds that the ttl is to be longer than.
const QUANTILE: f64 = 0.95;
/// What a ttl has beyond the quantile, and once more of it where every acquire has to wait: a loaded
/// system is slower than its history.
const MARGIN: f64 = 0.5;

/// A ttl and a wait that follow how long a lock was held and waited for. Shared by all who take the lock
/// in this process; each lock, or each group of locks that are used alike, has its own.
///
/// ```
/// # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
/// use leasehold::{AdaptiveTtl, Client};
/// let (client, reports) = (Client::connect("memory://")?, AdaptiveTtl::new());
/// for _ in 0..10 {
///     reports.run(client.lock("report"), async |lease| assert!(lease.is_held())).await?;
/// }
/// println!("{}", reports.choose());
/// assert_eq!(reports.choose().ttl, std::time::Duration::from_secs(1));
/// # Ok(()) }) }
/// ```
#[derive(Debug, Default)]
pub struct AdaptiveTtl(Mutex<History>);

#[derive(Debug, Default)]
struct History {
    holds: VecDeque<Duration>,
    waits: VecDeque<Duration>,
}

/// What was chosen, and from what. Says so in words where it is displayed.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Choice {
    /// The lease's length: 30 s until enough is known, from then on 1 s to 30 s.
    pub ttl: Duration,
    /// How long to wait, 1 s to 30 s as well.
    pub wait: Duration,
    /// How many of the latest holds it goes by, at most 50.
    pub holds: usize,
    /// What 95 % of them were not longer than.
    pub hold: Duration,
    /// What 95 % of the latest waits were not longer than.
    pub waited: Duration,
    /// The part of the latest acquires that had to wait, 0 to 1.
    pub load: f64,
}

impl AdaptiveTtl {
    /// The shortest ttl and wait that are chosen.
    pub const SHORTEST: Duration = Duration::from_secs(1);
    /// The longest ttl and wait that are chosen.
    pub const LONGEST: Duration = Duration::from_secs(30);
    /// Who waited less than this did not wait: it is a slow answer.
    pub const AT_ONCE: Duration = Duration::from_millis(10);

    /// One that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes how long the lock was held.
    pub fn held(&self, span: Duration) {
        note(&mut self.history().holds, span);
    }

    /// Notes how long it was waited for.
    pub fn waited(&self, span: Duration) {
        note(&mut self.history().waits, span);
    }

    /// What to ask for now.
    #[must_use]
    pub fn choose(&self) -> Choice {
        let history = self.history();
        let (holds, hold) = (history.holds.len(), quantile(&history.holds));
        let waited = quantile(&history.waits);
        let slow = history.waits.iter().filter(|wait| **wait >= Self::AT_ONCE).count();
        let load = slow as f64 / history.waits.len().max(1) as f64;
        let of = |span: Duration, known: usize| {
            if known < FEW {
                return DEFAULT_TTL;
            }
            let span = span.as_secs_f64() * (1.0 + MARGIN + MARGIN * load);
            // What is longer than the longest is that in any case.
            let span = Duration::try_from_secs_f64(span).unwrap_or(Self::LONGEST);
            span.clamp(Self::SHORTEST, Self::LONGEST)
        };
        let (ttl, wait) = (of(hold, holds), of(waited, history.waits.len()));
        Choice { ttl, wait, holds, hold, waited, load }
    }

    /// Runs `body` under `lock` with the ttl and the wait that are chosen now, and notes how long it
    /// waited and held. As [`Lock::run`], with the lock's other options.
    ///
    /// # Errors
    /// As [`Lock::run`].
    pub async fn run<T>(&self, lock: Lock, body: impl AsyncFnOnce(&Lease) -> T) -> Result<T> {
        let Choice { ttl, wait, .. } = self.choose();
        let sys = lock.sys()?;
        let begun = sys.now();
        let mut granted = None;
        let done = lock
            .ttl(ttl)
            .wait(wait)
            .run(async |lease| {
                let at = sys.now();
                granted = Some(at);
                self.waited(at.since(begun));
                body(lease).await
            })
            .await;
        match (granted, &done) {
            // Also where it was lost: it took that long at least.
            (Some(at), _) => self.held(sys.now().since(at)),
            (None, Err(error)) if error.kind() == ErrorKind::Timeout => {
                self.waited(sys.now().since(begun));
            }
            _ => {}
        }
        done
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ttl, wait, holds, hold, waited, load } = self;
        if *holds < FEW {
            return write!(
                f,
                "ttl {ttl:?}: the lock was held {holds} times, which says nothing yet"
            );
        }
        let percent = load * 100.0;
        write!(
            f,
            "ttl {ttl:.1?}, wait {wait:.1?}: of the last {holds} holds 95 % took {hold:.1?} at most, of the \
             waits {waited:.1?}, and {percent:.0} % had to wait"
        )
    }
}

fn note(spans: &mut VecDeque<Duration>, span: Duration) {
    if spans.len() == WINDOW {
        spans.pop_front();
    }
    spans.push_back(span);
}

fn quantile(spans: &VecDeque<Duration>) -> Duration {
    let mut sorted: Vec<_> = spans.iter().copied().collect();
    sorted.sort_unstable();
    let place = (sorted.len() as f64 * QUANTILE).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn fed(holds: impl IntoIterator<Item = Duration>) -> AdaptiveTtl {
        let adaptive = AdaptiveTtl::new();
        holds.into_iter().for_each(|hold| adaptive.held(hold));
        adaptive
    }

    #[test]
    fn nothing_known_is_the_default() {
        let choice = fed([millis(1); FEW - 1]).choose();
        assert_eq!((choice.ttl, choice.wait), (DEFAULT_TTL, DEFAULT_TTL));
        assert!(choice.to_string().contains("says nothing yet"), "{choice}");
        assert_eq!(fed([millis(1); FEW]).choose().ttl, AdaptiveTtl::SHORTEST);
    }

    #[test]
    fn one_slow_hold_in_ten_counts_and_one_in_a_hundred_does_not() {
        let slow =
            |each: usize| fed((1..=200).map(|it| millis(if it % each == 0 { 8000 } else { 10 })));
        assert_eq!(slow(10).choose().ttl, millis(12_000));
        assert_eq!(slow(100).choose().ttl, AdaptiveTtl::SHORTEST);
    }

    #[test]
    fn a_change_is_followed_within_fifty_holds_either_way() {
        let adaptive = fed([millis(4000); 500]);
        assert_eq!(adaptive.choose().ttl, millis(6000));
        (0..50).for_each(|_| adaptive.held(millis(1000)));
        assert_eq!(adaptive.choose().ttl, millis(1500));
        // Longer holds count at once: three of fifty are more than 5 %.
        (0..3).for_each(|_| adaptive.held(millis(10_000)));
        assert_eq!(adaptive.choose().ttl, millis(15_000));
    }

    #[test]
    fn a_loaded_lock_is_given_more_room() {
        let adaptive = fed([millis(4000); 50]);
        (0..10).for_each(|it| adaptive.waited(millis(if it < 5 { 0 } else { 6000 })));
        let choice = adaptive.choose();
        assert!((choice.load - 0.5).abs() < 1e-9, "{choice:?}");
        assert_eq!((choice.ttl, choice.wait), (millis(7000), millis(10_500)));
        assert_eq!(
            choice.to_string(),
            "ttl 7.0s, wait 10.5s: of the last 50 holds 95 % took 4.0s at most, of the waits 6.0s, and 50 % \
             had to wait"
        );
    }

    #[test]
    fn whatever_the_history_the_choice_is_in_bounds() {
        for hold in [Duration::ZERO, millis(1), millis(29_999), Duration::MAX] {
            let adaptive = fed([hold; 50]);
            (0..50).for_each(|_| adaptive.waited(hold));
            let choice = adaptive.choose();
            for span in [choice.ttl, choice.wait] {
                assert!(
                    (AdaptiveTtl::SHORTEST..=AdaptiveTtl::LONGEST).contains(&span),
                    "{choice:?}"
                );
            }
        }
    }
}
