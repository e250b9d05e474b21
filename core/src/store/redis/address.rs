//! The URL of a Redis server: `redis://[user:password@]host[:port][/database]`, `rediss` for TLS, and
//! `?prefix=…&dialect=…&dual=…` for whose keys and layout the locks have, `?lua=no` for a server that runs
//! no scripts.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use super::{Dialect, Settings};
use crate::name::shown;
use crate::url::redacted;
use crate::{Error, Result};

/// A parsed URL. Never shown with its password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RedisUrl {
    /// Whether to speak TLS.
    pub tls: bool,
    /// The host's name or address.
    pub host: String,
    /// The port; 6379 where the URL names none.
    pub port: u16,
    /// The ACL user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The database's number.
    pub database: u32,
    /// What comes before each lock's name in its key: `?prefix=`.
    pub prefix: String,
    /// Whose layout the locks have: `?dialect=`.
    pub dialect: Dialect,
    /// Whose locks are held together with them: `?dual=`.
    pub dual: Option<Dialect>,
    /// Whether scripts may run in the server: `?lua=no`.
    pub lua: bool,
    /// A PEM file with the authorities to trust instead of the system's: `?ca=`.
    pub ca: Option<String>,
}

impl RedisUrl {
    /// Reads what `url` says.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the part that is wrong and never
    /// the password.
    pub(crate) fn read(url: &Url) -> Result<Self> {
        let host = match url.host() {
            Some(url::Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => String::new(),
        };
        if host.is_empty() {
            return Err(Error::invalid("the Redis URL has no host"));
        }
        let decoded = |what: &str, text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(|text| text.into_owned()).map_err(|_| {
                Error::invalid(format!("the {what} in the Redis URL is not UTF-8 when decoded"))
            })
        };
        let username = decoded("user", url.username())?;
        let password = url.password().map(|text| decoded("password", text)).transpose()?;
        if password.is_none() && !username.is_empty() {
            return Err(Error::invalid(
                "the Redis URL has a user without a password: write redis://:password@host for a \
                 password alone",
            ));
        }
        let mut this = Self {
            tls: url.scheme() == "rediss",
            host,
            port: url.port().unwrap_or(6379),
            username: (!username.is_empty()).then_some(username),
            password,
            database: database(url.path())?,
            prefix: String::new(),
            dialect: Dialect::Plain,
            dual: None,
            lua: true,
            ca: None,
        };
        if url.fragment().is_some() {
            return Err(Error::invalid("a Redis URL has no part after a '#'"));
        }
        for (key, value) in url.query_pairs() {
            match &*key {
                "prefix" if value.len() <= 256 => this.prefix = value.into_owned(),
                "prefix" => {
                    return Err(Error::invalid("the prefix in the Redis URL is over 256 bytes"));
                }
                "dialect" => this.dialect = Dialect::named(&value)?,
                "dual" => this.dual = Some(Dialect::named(&value)?),
                "lua" => {
                    this.lua = match &*value {
                        "yes" => true,
                        "no" => false,
                        _ => return Err(Error::invalid("lua in the Redis URL: yes or no")),
                    }
                }
                "ca" if this.tls && !value.is_empty() => this.ca = Some(value.into_owned()),
                "ca" => {
                    return Err(Error::invalid("ca in the Redis URL: a file, and only for rediss"));
                }
                _ => {
                    return Err(Error::invalid(format!(
                        "unknown parameter {} in the Redis URL: there are prefix, dialect, dual, \
                         lua and ca",
                        shown(&redacted(&key))
                    )));
                }
            }
        }
        if let Some(second) = this.dual {
            this.dialect.check_second(&this.prefix, second)?;
        }
        if !this.lua && (this.dialect != Dialect::Plain || this.dual.is_some()) {
            return Err(Error::invalid(
                "the Redis URL has lua=no, and a dialect or dual, which needs scripts",
            ));
        }
        Ok(this)
    }

    /// How the server is spoken to.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            username: self.username.clone(),
            password: self.password.clone(),
            database: self.database,
            prefix: self.prefix.clone(),
            dialect: self.dialect,
            dual: self.dual,
            lua: self.lua,
            shown: self.to_string(),
            clock: None,
        }
    }
}

fn database(path: &str) -> Result<u32> {
    match path.strip_prefix('/').unwrap_or(path) {
        "" => Ok(0),
        digits => digits.parse().map_err(|cause| {
            Error::invalid(format!(
                "the database in the Redis URL is {}: a number is needed",
                shown(&redacted(digits))
            ))
            .caused_by(cause)
        }),
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss://" } else { "redis://" })?;
        if self.password.is_some() {
            f.write_str("***@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port)?,
            false => write!(f, "{}:{}", self.host, self.port)?,
        }
        if self.database > 0 {
            write!(f, "/{}", self.database)?;
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if !self.prefix.is_empty() {
            query.append_pair("prefix", &self.prefix);
        }
        if self.dialect != Dialect::Plain {
            query.append_pair("dialect", self.dialect.name());
        }
        if let Some(second) = self.dual {
            query.append_pair("dual", second.name());
        }
        if !self.lua {
            query.append_pair("lua", "no");
        }
        if let Some(ca) = &self.ca {
            query.append_pair("ca", ca);
        }
        match query.finish() {
            query if query.is_empty() => Ok(()),
            query => write!(f, "?{query}"),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RedisUrl> {
        RedisUrl::read(&Url::parse(text).unwrap())
    }

    #[test]
    fn every_part_is_read() {
        let url = read("rediss://us%40er:p%3Aw@[::1]:7000/3?prefix=a%20b:&ca=/etc/ca.pem").unwrap();
        let expected = RedisUrl {
            tls: true,
            host: "::1".to_owned(),
            port: 7000,
            username: Some("us@er".to_owned()),
            password: Some("p:w".to_owned()),
            database: 3,
            prefix: "a b:".to_owned(),
            dialect: Dialect::Plain,
            dual: None,
            lua: true,
            ca: Some("/etc/ca.pem".to_owned()),
        };
        assert_eq!(url, expected);
        assert_eq!(url.to_string(), "rediss://***@[::1]:7000/3?prefix=a+b%3A&ca=%2Fetc%2Fca.pem");
        let plain = read("redis://localhost").unwrap();
        assert_eq!((plain.port, plain.database, plain.password), (6379, 0, None));
        let (without, with) =
            (read("redis://h:1?lua=no").unwrap(), read("redis://h?lua=yes").unwrap());
        assert_eq!((without.lua, with.lua, plain.lua), (false, true, true));
        assert_eq!(without.to_string(), "redis://h:1?lua=no");
        assert_eq!(read("redis://:pw@h").unwrap().password.as_deref(), Some("pw"));
    }

    #[test]
    fn dialects_are_read_and_shown() {
        for (text, dialect, dual) in [
            ("redis://h:1", Dialect::Plain, None),
            ("redis://h:1?dialect=redisson", Dialect::Redisson, None),
            ("redis://h:1?dual=python-redis-lock", Dialect::Plain, Some(Dialect::PythonRedisLock)),
            ("redis://h:1?dialect=pottery&dual=plain", Dialect::Pottery, Some(Dialect::Plain)),
            ("redis://h:1?prefix=new%3A&dual=redisson", Dialect::Plain, Some(Dialect::Redisson)),
        ] {
            let url = read(text).unwrap();
            assert_eq!((url.dialect, url.dual), (dialect, dual), "{text}");
            assert_eq!(url.to_string(), text);
        }
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::named(dialect.name()).unwrap(), dialect);
        }
    }

    #[test]
    fn two_layouts_on_one_key_are_refused() {
        for text in [
            "redis://h?dual=plain",
            "redis://h?dual=redisson",
            "redis://h?dialect=redisson&dual=plain",
            "redis://h?dual=pottery&dialect=pottery",
            "redis://h?prefix=mutex%3A&dual=redis-semaphore",
        ] {
            let error = read(text).expect_err(text);
            assert!(error.message().contains("the same key"), "{text}: {error}");
        }
        read("redis://h?dialect=redisson&prefix=x&dual=redisson").unwrap();
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("redis://h/x", "database"),
            ("redis://h/-1", "database"),
            ("redis://h?timeout=1", "timeout"),
            ("redis://h?dialect=redison", "plain, python-redis-lock, pottery, redis-semaphore"),
            ("redis://h?dual=", "unknown dialect"),
            ("redis://h?ca=/x", "rediss"),
            ("redis://h?lua=off", "yes or no"),
            ("redis://h?lua=no&dialect=pottery", "needs scripts"),
            ("redis://h?prefix=x&dual=pottery&lua=no", "needs scripts"),
            ("redis://h#x", "'#'"),
            ("redis://user@h", "without a password"),
            ("redis://:%FF@h", "password"),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
            assert!(error.message().contains(words), "{text}: {error}");
        }
    }
}
