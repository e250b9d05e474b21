//! The token of an attempt: who knows it can release the lock, so it comes from the operating
//! system's generator and is never printed whole.

use std::fmt;

/// 128 random bits that name one attempt to take a lock. A capability: never shown, never logged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token([u8; 16]);

impl Token {
    /// The token with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The secret bytes, for a store to keep and compare.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Shows 32 of the 128 bits: enough to follow one attempt through a log, useless to release with.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "token {a:02x}{b:02x}{c:02x}{d:02x}…")
    }
}
