//! What a configuration says of a lock, and how it is written.

use std::fmt;
use std::time::Duration;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

use crate::options::{LockOptions, Order, Patience, duration, seconds};

/// Which kind of lock a name is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockKind {
    /// One holder.
    #[default]
    Exclusive,
    /// Readers and writers.
    RwLock,
    /// So many permits.
    Semaphore,
}

/// What is said of some locks. What is left out is taken from the defaults of the configuration, and what
/// those leave out from [`LockOptions`] and, for the kind, from [`LockKind`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The store, by its name in the configuration.
    pub store: Option<String>,
    /// The kind. In TOML `exclusive`, `rwlock` or `semaphore`.
    pub kind: Option<LockKind>,
    /// How many permits there are, at least 1: of a semaphore, and of nothing else.
    pub capacity: Option<u32>,
    /// [`LockOptions::ttl`]. In TOML a number of seconds, or text such as `30s`; so are all durations.
    #[serde(deserialize_with = "span")]
    pub ttl: Option<Duration>,
    /// [`LockOptions::wait`]. In TOML a duration, `forever` or `none`; zero is `none`.
    #[serde(deserialize_with = "patience")]
    pub wait: Option<Patience>,
    /// [`LockOptions::renew`].
    pub renew: Option<bool>,
    /// [`LockOptions::max_hold`].
    #[serde(deserialize_with = "span")]
    pub max_hold: Option<Duration>,
    /// [`LockOptions::priority`].
    pub priority: Option<i32>,
    /// [`LockOptions::deadlock_priority`].
    pub deadlock_priority: Option<i32>,
    /// [`LockOptions::max_queue`].
    pub max_queue: Option<u32>,
    /// [`LockOptions::order`]. In TOML `fifo` or `throughput`.
    #[serde(deserialize_with = "order")]
    pub order: Option<Order>,
    /// [`LockOptions::note`].
    pub note: Option<String>,
}

impl Settings {
    /// What is said here, and where it isn't what `defaults` say.
    pub(super) fn or(&self, defaults: &Self) -> Self {
        let text = |own: &Option<String>, default: &Option<String>| {
            own.as_ref().or(default.as_ref()).cloned()
        };
        Self {
            store: text(&self.store, &defaults.store),
            kind: self.kind.or(defaults.kind),
            capacity: self.capacity.or(defaults.capacity),
            ttl: self.ttl.or(defaults.ttl),
            wait: self.wait.or(defaults.wait),
            renew: self.renew.or(defaults.renew),
            max_hold: self.max_hold.or(defaults.max_hold),
            priority: self.priority.or(defaults.priority),
            deadlock_priority: self.deadlock_priority.or(defaults.deadlock_priority),
            max_queue: self.max_queue.or(defaults.max_queue),
            order: self.order.or(defaults.order),
            note: text(&self.note, &defaults.note),
        }
    }

    /// The options of a lock that these settings are for.
    pub(super) fn options(&self, base: &LockOptions) -> LockOptions {
        LockOptions {
            ttl: self.ttl.unwrap_or(base.ttl),
            wait: self.wait.unwrap_or(base.wait),
            renew: self.renew.unwrap_or(base.renew),
            max_hold: self.max_hold.or(base.max_hold),
            owner: base.owner,
            note: self.note.clone().unwrap_or_else(|| base.note.clone()),
            priority: self.priority.unwrap_or(base.priority),
            deadlock_priority: self.deadlock_priority.or(base.deadlock_priority),
            max_queue: self.max_queue.unwrap_or(base.max_queue),
            order: self.order.unwrap_or(base.order),
        }
    }
}

impl LockKind {
    /// The word for it in a configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::RwLock => "rwlock",
            Self::Semaphore => "semaphore",
        }
    }
}

fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    match from.deserialize_any(Spelled)? {
        Spelling::Span(span) => Ok(Some(span)),
        Spelling::Word(text) => duration("it", &text).map(Some).map_err(D::Error::custom),
    }
}

fn patience<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Patience>, D::Error> {
    let span = match from.deserialize_any(Spelled)? {
        Spelling::Word(word) if word == "forever" => return Ok(Some(Patience::Forever)),
        Spelling::Word(word) if word == "none" => return Ok(Some(Patience::None)),
        Spelling::Word(text) => duration("it", &text).map_err(D::Error::custom)?,
        Spelling::Span(span) => span,
    };
    Ok(Some(if span.is_zero() { Patience::None } else { Patience::AtMost(span) }))
}

fn order<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Order>, D::Error> {
    let word = String::deserialize(from)?;
    Order::named(&word).map(Some).map_err(D::Error::custom)
}

/// A number of seconds, or text.
struct Spelled;

enum Spelling {
    Span(Duration),
    Word(String),
}

impl Visitor<'_> for Spelled {
    type Value = Spelling;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds, or text such as \"30s\"")
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Spelling, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Spelling, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Spelling, E> {
        seconds("it", value).map(Spelling::Span).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Spelling, E> {
        Ok(Spelling::Word(text.to_owned()))
    }
}
