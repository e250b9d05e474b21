//! What a lock can be asked with, its defaults, and the checks of each.

use std::time::Duration;

use crate::store::Wait;
use crate::{Error, Owner, Profile, Result};

/// The shortest lease: below it the clock margins eat the lease.
pub const MIN_TTL: Duration = Duration::from_millis(10);
/// The longest lease.
pub const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 3600);
/// The longest wait that is not "for ever".
pub const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);
/// The ttl of a lock that names none.
pub const DEFAULT_TTL: Duration = Duration::from_secs(30);
/// How often a waiter repeats its ask.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// A waiter that has not repeated its ask for this long is dead.
pub const ALIVE_FOR: Duration = Duration::from_millis(2500);
/// How long a waiter has to confirm a hand-off.
pub const CLAIM: Duration = Duration::from_millis(1500);
/// The longest queue of one lock.
pub const MAX_QUEUE: u32 = 10_000;
/// How many owners the search for deadlocks follows, unless a client names another number.
pub const MAX_DEPTH: u32 = 64;
/// How long one request may stay unanswered.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an ended attempt refuses a request of its own that is still on its way.
pub const TOMBSTONE: Duration = Duration::from_secs(10);

/// How long to wait for a lock that another holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Patience {
    /// Until it is granted.
    #[default]
    Forever,
    /// At most this long.
    AtMost(Duration),
    /// Not at all: no place in the queue is taken.
    None,
}

/// In what order those who wait for one lock get it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// By priority and arrival, whatever process they are in: each waits in the store's own queue.
    #[default]
    Fifo,
    /// Those of one client wait for each other, and one of them in the store for all. A lock that one of
    /// them gives back goes to the next with no step of the store in between: to at most 512 of them,
    /// for at most 50 ms or half the ttl, and then behind whoever waits elsewhere. Each has a lease and
    /// a fence of its own; the store shows the first of them as the holder, with the largest fence they
    /// may use.
    ///
    /// For exclusive locks without an owner, on stores that number fences by their clock; otherwise
    /// [`Unsupported`](crate::ErrorKind::Unsupported).
    Throughput,
}

impl Order {
    /// The order that is called so, in every language: `fifo` or `throughput`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the word.
    pub fn named(word: &str) -> Result<Self> {
        match word {
            "fifo" => Ok(Self::Fifo),
            "throughput" => Ok(Self::Throughput),
            _ => Err(Error::invalid(format!("order is {word:?}: fifo or throughput is needed"))),
        }
    }
}

/// Everything a lock can be asked with. The default is a 30 s lease, renewed, and a wait for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockOptions {
    /// How long the lease lasts without a renewal. Default 30 s; 10 ms to 365 days.
    pub ttl: Duration,
    /// How long to wait. Default: for ever.
    pub wait: Patience,
    /// Whether the watchdog renews the lease at a third of its ttl. Default true; false gives a
    /// fixed term.
    pub renew: bool,
    /// The longest tenure, however often renewed: it ends a zombie's. Default: none.
    pub max_hold: Option<Duration>,
    /// The identity for re-entry and deadlock detection. Default: none.
    pub owner: Option<Owner>,
    /// Free text for people who look at the lock, at most 256 bytes. Default empty.
    pub note: String,
    /// Larger goes first in the queue. Default 0.
    pub priority: i32,
    /// Of the waits in a deadlock the one with the smallest is ended, of equal ones the youngest.
    /// Default: the priority.
    pub deadlock_priority: Option<i32>,
    /// The longest queue to join. Default 10,000.
    pub max_queue: u32,
    /// In what order those who wait get the lock. Default: by arrival.
    pub order: Order,
}

impl Default for LockOptions {
    fn default() -> Self {
        Self {
            ttl: DEFAULT_TTL,
            wait: Patience::Forever,
            renew: true,
            max_hold: None,
            owner: None,
            note: String::new(),
            priority: 0,
            deadlock_priority: None,
            max_queue: MAX_QUEUE,
            order: Order::Fifo,
        }
    }
}

impl LockOptions {
    /// Checks every value.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the option and its value.
    pub fn check(&self) -> Result<()> {
        check_ttl(self.ttl)?;
        if let Patience::AtMost(wait) = self.wait
            && wait > MAX_WAIT
        {
            return Err(Error::invalid(format!("wait is {wait:?}: at most 365 days are allowed")));
        }
        if let Some(limit) = self.max_hold
            && !(MIN_TTL..=MAX_TTL).contains(&limit)
        {
            return Err(Error::invalid(format!(
                "max_hold is {limit:?}: 10 ms to 365 days are allowed"
            )));
        }
        if self.note.len() > Profile::MAX_NOTE {
            return Err(Error::invalid(format!(
                "the note has {} bytes: at most {} are allowed",
                self.note.len(),
                Profile::MAX_NOTE
            )));
        }
        Ok(())
    }

    /// How the store's queue is joined.
    #[must_use]
    pub(crate) fn queueing(&self) -> Option<Wait> {
        (self.wait != Patience::None).then_some(Wait {
            alive_for: ALIVE_FOR,
            claim: CLAIM,
            heartbeat: HEARTBEAT,
            max_queue: self.max_queue,
            priority: self.priority,
            fences: 1,
        })
    }
}

/// Checks a ttl.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the value.
pub fn check_ttl(ttl: Duration) -> Result<()> {
    if (MIN_TTL..=MAX_TTL).contains(&ttl) {
        return Ok(());
    }
    Err(Error::invalid(format!("ttl is {ttl:?}: 10 ms to 365 days are allowed")))
}

/// Checks how deep a client searches for deadlocks.
pub(crate) fn check_depth(depth: u32) -> Result<u32> {
    if (1..=10_000).contains(&depth) {
        return Ok(depth);
    }
    Err(Error::invalid(format!("deadlock_depth is {depth}: 1 to 10,000 are allowed")))
}

/// What a store keeps beyond the ttl that the holder is told: 10 % of it, at least 500 ms. It is
/// the lock-delay of Chubby (Burrows, OSDI 2006) without help from the server.
#[must_use]
pub fn grace(ttl: Duration) -> Duration {
    (ttl / 10).max(Duration::from_millis(500))
}

/// A duration from a language's number of seconds.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for NaN, infinite, negative and too large,
/// naming `what` and the value.
pub fn seconds(what: &str, value: f64) -> Result<Duration> {
    if !value.is_finite() || value < 0.0 {
        return Err(Error::invalid(format!(
            "{what} is {value}: a number of seconds, zero or more, is needed"
        )));
    }
    Duration::try_from_secs_f64(value)
        .map_err(|cause| Error::invalid(format!("{what} is {value} seconds")).caused_by(cause))
}

/// A duration as people write it: `30s`, `500ms`, `1h 5m`; a bare number means seconds.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for what is none, naming `what` and the text.
#[cfg(feature = "manager")]
pub fn duration(what: &str, text: &str) -> Result<Duration> {
    let trimmed = text.trim();
    if let Ok(number) = trimmed.parse::<f64>() {
        return seconds(what, number);
    }
    humantime::parse_duration(trimmed).map_err(|cause| {
        let how = "write 30s, 500ms, 1h 5m, or a number of seconds";
        Error::invalid(format!("{what} is {}: {cause} ({how})", crate::name::shown(text)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_no_duration_is_named() {
        for (value, shown) in [
            (-1.0, "-1"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (1e300, "1000"),
        ] {
            let error = seconds("ttl", value).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
            assert!(error.message().starts_with(&format!("ttl is {shown}")), "{error}");
        }
        assert_eq!(seconds("ttl", 1.5).unwrap(), Duration::from_millis(1500));
    }

    #[test]
    fn an_order_is_one_of_two_words() {
        assert_eq!(Order::named("fifo").unwrap(), Order::default());
        assert_eq!(Order::named("throughput").unwrap(), Order::Throughput);
        for word in ["", "FIFO", "throughput "] {
            let error = Order::named(word).unwrap_err();
            assert!(error.message().contains(&format!("{word:?}")), "{error}");
        }
    }

    #[cfg(feature = "manager")]
    #[test]
    fn durations_as_people_write_them() {
        for (text, millis) in [
            ("30", 30_000),
            ("0", 0),
            (" 2.5 ", 2_500),
            ("500ms", 500),
            ("30s", 30_000),
            ("1h 5m", 3_900_000),
            ("1e3", 1_000_000),
        ] {
            assert_eq!(duration("wait", text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for text in ["", "-5", "-5s", "nan", "inf", "1e400", "ten", "5 parsecs", "1e20", "5s5"] {
            let error = duration("wait", text).unwrap_err();
            assert!(error.message().starts_with("wait is "), "{text}: {error}");
        }
    }

    /// Hazard 21: zero never means for ever, and nothing overflows.
    #[test]
    fn a_ttl_is_in_bounds_or_refused() {
        for ttl in [Duration::ZERO, Duration::from_millis(9), MAX_TTL * 2, Duration::MAX] {
            let error = check_ttl(ttl).unwrap_err();
            assert!(error.message().contains(&format!("{ttl:?}")), "{error}");
        }
        for ttl in [MIN_TTL, Duration::from_millis(999), MAX_TTL] {
            check_ttl(ttl).unwrap();
        }
        assert!(seconds("ttl", 9_223_372_036_854_775_808.0).and_then(check_ttl).is_err());
    }
}
