//! Which database, and which driver: the first decides what a statement has to be, the second how its
//! parameters are marked.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A database's own SQL.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Dialect {
    /// SQLite, 3.24 or later.
    Sqlite,
    /// PostgreSQL, and what speaks its SQL.
    Postgres,
    /// MySQL (8.0.16 or later) and MariaDB (10.2.1 or later), with InnoDB. Older ones ignore the check that
    /// keeps impossible numbers out.
    Mysql,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Mysql];

    /// `sqlite`, `postgresql` or `mysql`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
            Self::Mysql => "mysql",
        }
    }

    /// What the drivers of Rust want: `$1` on PostgreSQL, `?` elsewhere.
    #[must_use]
    pub const fn style(self) -> Style {
        match self {
            Self::Sqlite | Self::Mysql => Style::Question,
            Self::Postgres => Style::Dollar,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dialect {
    type Err = Error;

    /// Takes a [`name`](Self::name), or `mariadb`.
    fn from_str(name: &str) -> Result<Self> {
        let name = if name == "mariadb" { "mysql" } else { name };
        known("a dialect", name, Self::ALL, Self::name)
    }
}

/// How a driver marks the parameters of a statement, by the names of Python's DB-API where that has one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Style {
    /// `?`, named `qmark`.
    Question,
    /// `$1`, named `dollar`.
    Dollar,
    /// `:1`, named `numeric`.
    Numeric,
    /// `:resource`, named `named`.
    Named,
    /// `%s`, named `format`.
    Format,
    /// `%(resource)s`, named `pyformat`.
    Pyformat,
}

impl Style {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Question, Self::Dollar, Self::Numeric, Self::Named, Self::Format, Self::Pyformat];

    /// `qmark`, `dollar`, `numeric`, `named`, `format` or `pyformat`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Question => "qmark",
            Self::Dollar => "dollar",
            Self::Numeric => "numeric",
            Self::Named => "named",
            Self::Format => "format",
            Self::Pyformat => "pyformat",
        }
    }

    /// The marker of the resource and that of the fence.
    pub(super) const fn markers(self) -> [&'static str; 2] {
        match self {
            Self::Question => ["?", "?"],
            Self::Dollar => ["$1", "$2"],
            Self::Numeric => [":1", ":2"],
            Self::Named => [":resource", ":fence"],
            Self::Format => ["%s", "%s"],
            Self::Pyformat => ["%(resource)s", "%(fence)s"],
        }
    }
}

impl FromStr for Style {
    type Err = Error;

    /// Takes a [`name`](Self::name).
    fn from_str(name: &str) -> Result<Self> {
        known("a style of parameters", name, Self::ALL, Self::name)
    }
}

/// The one of `all` that is called so.
fn known<T: Copy, const N: usize>(
    what: &str,
    name: &str,
    all: [T; N],
    called: impl Fn(T) -> &'static str,
) -> Result<T> {
    all.into_iter().find(|it| called(*it) == name).ok_or_else(|| {
        let names = all.map(called).join(", ");
        Error::invalid(format!("{name:?} is not {what}: {names} are"))
    })
}
