//! The name of a lock: UTF-8, any code points, 1 to 1,024 bytes, taken as it is.
//!
//! No normalisation: two names that look alike but differ in bytes are two locks, and no encoding
//! may ever map two names to one.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Error, Result};

/// A valid lock name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 1024;

    /// Checks `name`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) where it is empty or longer than
    /// [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        match name.len() {
            0 => {
                Err(Error::invalid("the lock name is empty: 1 to 1,024 bytes of UTF-8 are needed"))
            }
            1..=Self::MAX_BYTES => Ok(Self(name.into())),
            long => Err(Error::invalid(format!(
                "the lock name {} has {long} bytes: 1 to 1,024 bytes of UTF-8 are allowed",
                shown(name)
            ))),
        }
    }

    /// The name, exactly as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `text` in quotes, with control characters escaped (a terminal must not obey a lock's name) and
/// the middle of a long one left out.
#[must_use]
pub(crate) fn shown(text: &str) -> String {
    const KEEP: usize = 60;
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(KEEP).collect();
    let more = if chars.next().is_some() { "…" } else { "" };
    format!("{start:?}{more}")
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Name {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}
