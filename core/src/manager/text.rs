//! A configuration as TOML text, or as JSON.
//!
//! The trap is the error. That of the parser shows the line in which it is, or the text that stood where
//! something else should: and either may be a URL with its password. So it says line and column and what
//! was expected, and never what was found.

use super::Config;
use crate::{Error, Result};

impl Config {
    /// Reads `text`. What the words mean together is checked by [`check`](Self::check), which
    /// [`Manager::new`](super::Manager::new) does.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) with line and column, for what is no TOML,
    /// for unknown keys, and for values of the wrong type.
    pub fn from_toml(text: &str) -> Result<Self> {
        ::toml::from_str(text).map_err(|error| {
            let place = error.span().map_or(String::new(), |span| place(text, span.start));
            Error::invalid(format!("the configuration{place}: {}", without_text(error.message())))
        })
    }

    /// Reads `text`, which says the same as JSON: the form in which a program of another language has its
    /// configuration.
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml).
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            let place = format!(", line {}, column {}", error.line(), error.column());
            let message = error.to_string();
            // It ends with the place in words of its own.
            let message = message.rsplit_once(" at line ").map_or(&*message, |(before, _)| before);
            Error::invalid(format!("the configuration{place}: {}", without_text(message)))
        })
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`StoreFailed`](crate::ErrorKind::StoreFailed) for a file that can't be read; else as
    /// [`from_toml`](Self::from_toml).
    #[cfg(feature = "native")]
    pub fn from_file(path: impl AsRef<std::path::Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|cause| {
            let what = format!("the configuration {} can't be read", path.display());
            Error::new(crate::ErrorKind::StoreFailed, what).caused_by(cause)
        })?;
        Self::from_toml(&text)
            .map_err(|error| Error::invalid(format!("{}: {}", path.display(), error.message())))
    }
}

/// `, line 3, column 7`.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(", line {line}, column {column}")
}

/// `message` without the text that was found: serde quotes it as `string "…"`, with each quote in it
/// escaped. Whatever else looks like a URL goes too.
fn without_text(message: &str) -> String {
    let mut rest = message;
    let mut plain = String::new();
    while let Some((before, found)) = rest.split_once("string \"") {
        plain.push_str(before);
        plain.push_str("text");
        let mut escaped = false;
        let end = found.find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = end.map_or("", |end| &found[end + 1..]);
    }
    plain.push_str(rest);
    let shown: Vec<&str> = plain
        .lines()
        .flat_map(|line| line.split(' '))
        .map(|word| if word.contains("://") || word.contains('@') { "***" } else { word })
        .collect();
    shown.join(" ")
}
