//! Fences enforced where a write takes effect, as text and plain calls for any language's drivers.

use leasehold::Name;
use leasehold::guard::http;
pub use leasehold::guard::http::{HEADER, STALE_STATUS};
pub use leasehold::guard::redis::{SCRIPT, STALE};
use leasehold::guard::sql;

use crate::ErrorInfo;

/// The statements of a table of fences, with the markers for parameters that a driver wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fences {
    /// Makes the table, if it isn't there.
    pub create: String,
    /// Admits a write: to be run in this order, each with the resource and the fence. The last changes
    /// one row, or none where a larger fence was seen.
    pub admit: Vec<String>,
    /// Forgets a resource.
    pub forget: String,
}

/// The statements of the table `name` in the dialect `sqlite`, `postgresql` or `mysql` (`mariadb` is the
/// same), for drivers of this style: `qmark` (`?`), `dollar` (`$1`), `numeric` (`:1`), `named`
/// (`:resource`, `:fence`), `format` (`%s`) or `pyformat` (`%(resource)s`, `%(fence)s`).
///
/// # Errors
/// `INVALID_INPUT` for what is no name of a table, another dialect or another style.
pub fn fences(dialect: &str, name: &str, style: &str) -> Result<Fences, ErrorInfo> {
    let table = sql::Table::new(dialect.parse()?, name)?.style(style.parse()?);
    Ok(Fences { create: table.create(), admit: table.admit(), forget: table.forget() })
}

/// The parts of the statements of a row that has a column of its own for the fence: its definition, and
/// what goes behind `SET` and `WHERE`, where `marker` stands for the fence.
///
/// # Errors
/// `INVALID_INPUT` for what is no name of a column, and another dialect.
pub fn column(dialect: &str, name: &str, marker: &str) -> Result<[String; 3], ErrorInfo> {
    let column = sql::Column::new(dialect.parse()?, name, marker)?;
    Ok([column.define, column.set, column.and_where])
}

/// The value of the header for what is done under the lock `name` with this fence.
///
/// # Errors
/// `INVALID_INPUT` for what is no name.
pub fn header(name: &str, fence: u64) -> Result<String, ErrorInfo> {
    Ok(http::write(&Name::new(name)?, fence))
}

/// The lock and the fence of the header's value.
///
/// # Errors
/// `INVALID_INPUT` for what is no such value.
pub fn read_header(value: &str) -> Result<(String, u64), ErrorInfo> {
    let (name, fence) = http::read(value)?;
    Ok((name.as_str().to_owned(), fence))
}

/// The largest fence seen of each of many resources, in this process.
#[derive(Debug, Default)]
pub struct Gate(leasehold::guard::Gate);

impl Gate {
    /// Succeeds unless a larger fence of `resource` was admitted before.
    ///
    /// # Errors
    /// `LOCK_LOST`, superseded.
    pub fn admit(&self, resource: &str, fence: u64) -> Result<(), ErrorInfo> {
        Ok(self.0.admit(resource, fence)?)
    }

    /// Forgets `resource`, which is gone.
    pub fn forget(&self, resource: &str) {
        self.0.forget(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_style_has_its_markers() {
        let update = "ON CONFLICT (resource) DO UPDATE SET fence = excluded.fence \
                      WHERE f.fence <= excluded.fence";
        for (style, resource, fence) in [
            ("qmark", "?", "?"),
            ("dollar", "$1", "$2"),
            ("numeric", ":1", ":2"),
            ("named", ":resource", ":fence"),
            ("format", "%s", "%s"),
            ("pyformat", "%(resource)s", "%(fence)s"),
        ] {
            for dialect in ["sqlite", "postgresql"] {
                let made = fences(dialect, "f", style).expect("a style");
                let insert =
                    format!("INSERT INTO f (resource, fence) VALUES ({resource}, {fence}) ");
                assert_eq!(made.admit, [insert + update]);
                assert_eq!(made.forget, format!("DELETE FROM f WHERE resource = {resource}"));
                assert!(!made.create.contains(resource));
            }
            let made = fences("mariadb", "f", style).expect("a style");
            assert_eq!(made, fences("mysql", "f", style).expect("the same"));
            // What a driver takes by its place comes in this order, in both.
            for statement in &made.admit {
                let (before, after) = statement.split_once(resource).expect("the resource");
                assert!(!before.contains(fence) && after.contains(fence), "{statement}");
            }
            assert_eq!(made.admit.len(), 2);
            assert!(made.forget.contains(resource), "{}", made.forget);
        }
        for (dialect, name, style) in [
            ("sqlite", "f", "QMARK"),
            ("sqlite", "f", ""),
            ("sqlite", "f;", "qmark"),
            ("oracle", "f", "qmark"),
        ] {
            assert_eq!(fences(dialect, name, style).expect_err("refused").code, "INVALID_INPUT");
        }
        let [define, set, and_where] = column("postgresql", "fence", "$3").expect("a name");
        assert_eq!((set.as_str(), and_where.as_str()), ("fence = $3", "fence <= $3"));
        assert!(define.starts_with("fence BIGINT NOT NULL DEFAULT 0"), "{define}");
        assert_eq!(column("db2", "fence", "?").expect_err("refused").code, "INVALID_INPUT");
    }
}
