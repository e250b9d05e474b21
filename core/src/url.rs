//! The URL of a store: parsed once, strictly, and never shown with its password.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::name::shown;
use crate::store::redis::RedisUrl;
use crate::{Error, ErrorKind, Result};

/// Where the locks live.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum StoreUrl {
    /// `memory://`: private to the client; `memory://name`: shared within the process.
    Memory {
        /// The shared store's name.
        name: Option<String>,
    },
    /// `sqlite:///absolute/path` or `sqlite:relative/path`: one database file on this host.
    Sqlite {
        /// The path as given.
        path: String,
    },
    /// `redis://[user:password@]host[:port][/database]`, `rediss://` for TLS: one server.
    Redis(RedisUrl),
}

/// Schemes that the design has and this version has not.
const PLANNED: [&str; 7] =
    ["redis+sentinel", "redis+cluster", "redlock", "etcd", "postgres", "mysql", "zookeeper"];

/// What a path may not show as it is.
const SPECIAL: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');

impl StoreUrl {
    /// Parses `text`.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for what is no URL of a store, naming the part
    /// that is wrong; [`Unsupported`](ErrorKind::Unsupported) for a store this version lacks.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(Error::invalid(format!(
                "{} is not a store URL: it has no scheme, such as sqlite:///path or memory://",
                shown(&redacted(text))
            )));
        };
        match scheme {
            "memory" => memory(text, rest),
            "sqlite" => sqlite(text, rest),
            "redis" | "rediss" => RedisUrl::read(&authority(text)?).map(StoreUrl::Redis),
            _ if PLANNED.contains(&scheme) => Err(planned(text, scheme)),
            _ => Err(Error::invalid(format!(
                "unknown scheme {} in the store URL {}: this version has memory, sqlite and redis",
                shown(&redacted(scheme)),
                shown(&redacted(text))
            ))),
        }
    }
}

fn memory(text: &str, rest: &str) -> Result<StoreUrl> {
    let Some(name) = rest.strip_prefix("//") else {
        return Err(Error::invalid(format!(
            "{}: write memory:// or memory://name",
            shown(&redacted(text))
        )));
    };
    let odd = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
    if name.contains(odd) {
        return Err(Error::invalid(format!(
            "the memory store's name in {} may have letters, digits, '-', '_' and '.' only",
            shown(&redacted(text))
        )));
    }
    Ok(StoreUrl::Memory { name: (!name.is_empty()).then(|| name.to_owned()) })
}

/// The path is taken after percent-decoding, so that any file name can be written.
fn sqlite(text: &str, rest: &str) -> Result<StoreUrl> {
    let wrong = |what: &str| Error::invalid(format!("{}: {what}", shown(&redacted(text))));
    let path = match rest.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some("") => return Err(wrong("the database path is missing")),
        Some(_) => {
            return Err(wrong(
                "a host has no place in a sqlite URL: write sqlite:///absolute/path or sqlite:relative/path",
            ));
        }
        None => rest,
    };
    if path.contains(['?', '#']) {
        return Err(wrong("a sqlite URL takes no parameters (write %3F for a '?' in the path)"));
    }
    let path = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| wrong("the path is not UTF-8 after percent-decoding"))?;
    if path.is_empty() {
        return Err(wrong("the database path is missing"));
    }
    if path.contains('\0') {
        return Err(wrong("the database path has a NUL character"));
    }
    Ok(StoreUrl::Sqlite { path })
}

fn planned(text: &str, scheme: &str) -> Error {
    match authority(text) {
        Err(error) => error,
        Ok(_) => Error::new(
            ErrorKind::Unsupported,
            format!("the {scheme} store is not in this version: it has memory, sqlite and redis"),
        ),
    }
}

/// A URL with a host.
fn authority(text: &str) -> Result<url::Url> {
    match url::Url::parse(text) {
        Err(cause) => {
            Err(Error::invalid(format!("{} is not a URL", shown(&redacted(text)))).caused_by(cause))
        }
        Ok(url) if url.host_str().is_none_or(str::is_empty) => {
            Err(Error::invalid(format!("the store URL {} has no host", shown(&redacted(text)))))
        }
        Ok(url) => Ok(url),
    }
}

/// `text` without what stands before its last `@`, but for the scheme, and without the query: both
/// may hold secrets. Not by the grammar of URLs: a password that should have been percent-encoded
/// and was not may hold anything.
pub(crate) fn redacted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, _)) if scheme.chars().all(plain) => text.split_at(scheme.len() + 3),
        _ => ("", text),
    };
    let rest = rest.rsplit_once('@').map_or(rest.to_owned(), |(_, host)| format!("***@{host}"));
    format!("{scheme}{}", rest.split(['?', '#']).next().unwrap_or_default())
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { name } => write!(f, "memory://{}", name.as_deref().unwrap_or_default()),
            Self::Sqlite { path } => {
                let root = if path.starts_with('/') { "//" } else { "" };
                write!(f, "sqlite:{root}{}", utf8_percent_encode(path, SPECIAL))
            }
            Self::Redis(url) => fmt::Display::fmt(url, f),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StoreUrl {
    /// The URL of the database file at `path`.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a path that is not UTF-8.
    pub fn of_path(path: &std::path::Path) -> Result<Self> {
        let text = path.to_str().ok_or_else(|| {
            Error::invalid(format!("the database path {} is not UTF-8", path.display()))
        })?;
        Ok(Self::Sqlite { path: text.to_owned() })
    }

    /// With a relative path made absolute: the store is opened later, and the process may have
    /// changed its folder by then.
    pub(crate) fn anchored(self) -> Result<Self> {
        match self {
            Self::Sqlite { path } => {
                let absolute = std::path::absolute(&path).map_err(|cause| {
                    Error::invalid(format!("the database path {}", shown(&path))).caused_by(cause)
                })?;
                Self::of_path(&absolute)
            }
            other => Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls() {
        let sqlite = |path: &str| StoreUrl::Sqlite { path: path.to_owned() };
        for (text, url) in [
            ("memory://", StoreUrl::Memory { name: None }),
            ("memory://a-b_c.1", StoreUrl::Memory { name: Some("a-b_c.1".to_owned()) }),
            ("sqlite:///var/lib/locks.db", sqlite("/var/lib/locks.db")),
            ("sqlite:locks.db", sqlite("locks.db")),
            ("sqlite:///a%20b%3Fc", sqlite("/a b?c")),
        ] {
            assert_eq!(StoreUrl::parse(text).unwrap(), url, "{text}");
        }
    }

    /// The shown URL must lead back to the same file, whatever its name.
    #[test]
    fn a_shown_url_parses_to_itself() {
        for path in ["/a b", "/a?b#c", "/100%", "/%41", "/ä/日本", "rel/x.db"] {
            let url = StoreUrl::Sqlite { path: path.to_owned() };
            assert_eq!(StoreUrl::parse(&url.to_string()).unwrap(), url, "{url}");
        }
    }

    #[test]
    fn bad_urls_are_named_with_their_reason() {
        for (text, kind, words) in [
            ("", ErrorKind::InvalidInput, "no scheme"),
            ("locks.db", ErrorKind::InvalidInput, "no scheme"),
            ("carrier-pigeon://x", ErrorKind::InvalidInput, "unknown scheme \"carrier-pigeon\""),
            ("redis://", ErrorKind::InvalidInput, "no host"),
            ("redis:///0", ErrorKind::InvalidInput, "no host"),
            ("redis://h/database", ErrorKind::InvalidInput, "database"),
            ("etcd://localhost", ErrorKind::Unsupported, "etcd store is not in this version"),
            ("memory://a/b", ErrorKind::InvalidInput, "name"),
            ("sqlite://host/path", ErrorKind::InvalidInput, "host has no place"),
            ("sqlite://", ErrorKind::InvalidInput, "path is missing"),
            ("sqlite:", ErrorKind::InvalidInput, "path is missing"),
            ("sqlite:///a?timeout=1", ErrorKind::InvalidInput, "no parameters"),
            ("sqlite:///a%00b", ErrorKind::InvalidInput, "NUL"),
            ("sqlite:///a%FF", ErrorKind::InvalidInput, "not UTF-8"),
        ] {
            let error = StoreUrl::parse(text).expect_err(text);
            assert_eq!(error.kind(), kind, "{text}: {error:?}");
            assert!(error.message().contains(words), "{text}: {error:?}");
        }
    }

    #[test]
    fn no_error_shows_a_password() {
        for text in [
            "redis://user:canary@",
            "redis://user:canary@host:bad/0",
            "redis://user:can%40ary@host",
            "pigeon://user:canary@host?password=canary",
            "canary",
        ] {
            let Err(error) = StoreUrl::parse(text) else { continue };
            let shown = format!("{error:?} {error}");
            assert!(text == "canary" || !shown.contains("canary"), "{shown}");
        }
    }
}
