//! The keys of one server and their expiry.
//!
//! The trap: a key is gone one millisecond *after* its expiry, by the server's wall clock, which may
//! step; and an expired key is there until someone looks. Looking removes it, so reads take `&mut`.

use std::collections::BTreeMap;

use super::{Reply, Value};

/// Keys, values and expiries.
#[derive(Clone, Debug, Default)]
pub struct Db {
    keys: BTreeMap<Vec<u8>, Entry>,
}

/// One key.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it holds.
    pub value: Value,
    /// When it expires, in ms of the server's wall clock.
    pub expires_ms: Option<i64>,
}

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// The error of a command that meets a key of another type.
#[must_use]
pub(super) fn wrong_type() -> Reply {
    Reply::error(WRONG_TYPE)
}

macro_rules! typed {
    ($get:ident, $make:ident, $variant:ident, $type:ty) => {
        /// The value, where the key holds this type.
        ///
        /// # Errors
        /// WRONGTYPE.
        pub fn $get(&mut self, key: &[u8], now_ms: i64) -> Result<Option<&mut $type>, Reply> {
            match self.get(key, now_ms).map(|entry| &mut entry.value) {
                None => Ok(None),
                Some(Value::$variant(value)) => Ok(Some(value)),
                Some(_) => Err(wrong_type()),
            }
        }

        /// The value, made where the key is not there.
        ///
        /// # Errors
        /// WRONGTYPE.
        pub fn $make(&mut self, key: &[u8], now_ms: i64) -> Result<&mut $type, Reply> {
            self.purge(key, now_ms);
            let entry = self.keys.entry(key.to_vec()).or_insert_with(|| Entry {
                value: Value::$variant(<$type>::default()),
                expires_ms: None,
            });
            match &mut entry.value {
                Value::$variant(value) => Ok(value),
                _ => Err(wrong_type()),
            }
        }
    };
}

impl Db {
    /// The key, if it is there at `now_ms`.
    pub fn get(&mut self, key: &[u8], now_ms: i64) -> Option<&mut Entry> {
        self.purge(key, now_ms);
        self.keys.get_mut(key)
    }

    /// The key as it would be seen at `now_ms`, without removing it.
    #[must_use]
    pub fn peek(&self, key: &[u8], now_ms: i64) -> Option<&Entry> {
        self.keys.get(key).filter(|entry| !entry.expired(now_ms))
    }

    /// Sets a key whole.
    pub fn put(&mut self, key: &[u8], value: Value, expires_ms: Option<i64>) {
        self.keys.insert(key.to_vec(), Entry { value, expires_ms });
    }

    /// Removes a key; whether it was there.
    pub fn remove(&mut self, key: &[u8], now_ms: i64) -> bool {
        self.purge(key, now_ms);
        self.keys.remove(key).is_some()
    }

    /// Removes the key if nothing is left in it.
    pub fn tidy(&mut self, key: &[u8]) {
        if self.keys.get(key).is_some_and(|entry| entry.value.is_empty()) {
            self.keys.remove(key);
        }
    }

    /// The keys that are there, in order of bytes.
    pub fn live(&self, now_ms: i64) -> impl Iterator<Item = (&Vec<u8>, &Entry)> {
        self.keys.iter().filter(move |(_, entry)| !entry.expired(now_ms))
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.keys.clear();
    }

    fn purge(&mut self, key: &[u8], now_ms: i64) {
        if self.keys.get(key).is_some_and(|entry| entry.expired(now_ms)) {
            self.keys.remove(key);
        }
    }

    typed!(hash, hash_mut, Hash, super::value::Hash);
    typed!(sorted, sorted_mut, Sorted, super::value::Sorted);
    typed!(list, list_mut, List, std::collections::VecDeque<Vec<u8>>);
    typed!(set, set_mut, Set, std::collections::BTreeSet<Vec<u8>>);
    typed!(string, string_mut, String, Vec<u8>);
}

impl Entry {
    /// Whether its time is over.
    #[must_use]
    pub fn expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|at| now_ms > at)
    }
}
