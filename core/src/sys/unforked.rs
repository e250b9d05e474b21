//! The same names as `fork.rs` for a host that can't fork: each is the plain thing.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Always 0: there is one process.
#[must_use]
pub fn generation() -> u64 {
    0
}

/// A value of this process.
#[derive(Debug)]
pub struct Inherited<T>(T);

impl<T> Inherited<T> {
    /// Keeps `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Never.
    #[must_use]
    pub fn forked(&self) -> bool {
        false
    }
}

impl<T> Deref for Inherited<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A slot filled once.
#[derive(Debug, Default)]
pub struct PerProcess<T>(OnceLock<Arc<T>>);

impl<T> PerProcess<T> {
    /// An empty slot.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The value, if there is one.
    #[must_use]
    pub fn get(&self) -> Option<Arc<T>> {
        self.0.get().cloned()
    }

    /// The value, made by `make` if there is none.
    ///
    /// # Errors
    /// As `make` fails.
    #[allow(clippy::arc_with_non_send_sync, reason = "single-threaded host")]
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        Ok(Arc::clone(self.0.get_or_init(|| value)))
    }
}
