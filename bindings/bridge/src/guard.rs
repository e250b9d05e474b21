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
    /// Admits a write to a resource with a fence: changes one row, or none where a larger fence was
    /// seen. SQLite and PostgreSQL have it.
    pub admit: String,
    /// Forgets a resource.
    pub forget: String,
}

/// How a driver marks parameters, by the names of Python's DB-API where that has one: the marker of
/// the resource and that of the fence.
const STYLES: [(&str, [&str; 2]); 6] = [
    ("qmark", ["?", "?"]),
    ("format", ["%s", "%s"]),
    ("numeric", [":1", ":2"]),
    ("dollar", ["$1", "$2"]),
    ("named", [":resource", ":fence"]),
    ("pyformat", ["%(resource)s", "%(fence)s"]),
];

/// The statements of the table `name`, for drivers of this style: `qmark` (`?`), `format` (`%s`),
/// `numeric` (`:1`), `dollar` (`$1`), `named` (`:resource`, `:fence`) or `pyformat`
/// (`%(resource)s`, `%(fence)s`).
///
/// # Errors
/// `INVALID_INPUT` for what is no name of a table, and for another style.
pub fn fences(name: &str, style: &str) -> Result<Fences, ErrorInfo> {
    let table = sql::Table::new(name)?;
    let Some((_, markers)) = STYLES.iter().find(|(known, _)| *known == style) else {
        let known = STYLES.map(|(known, _)| known).join(", ");
        let what = format!("{style:?} is no style of parameters: {known} are");
        return Err(leasehold::Error::invalid(what).into());
    };
    Ok(Fences {
        create: table.create(),
        admit: marked(&table.admit(), markers),
        forget: marked(&table.forget(), markers),
    })
}

/// The parts of an update of a row that has a column of its own for the fence, `SET …` and `WHERE …`,
/// where `marker` stands for the fence.
///
/// # Errors
/// `INVALID_INPUT` for what is no name of a column.
pub fn column(name: &str, marker: &str) -> Result<(String, String), ErrorInfo> {
    let (set, and_where) = sql::column(name)?;
    Ok((marked(&set, &[marker]), marked(&and_where, &[marker])))
}

/// `statement` with these markers in the place of its own, which are question marks.
fn marked(statement: &str, markers: &[&str]) -> String {
    let mut parts = statement.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (part, marker) in parts.zip(markers) {
        text.push_str(marker);
        text.push_str(part);
    }
    text
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
        for (style, [resource, fence]) in STYLES {
            let made = fences("f", style).expect("a style");
            let insert = format!("INSERT INTO f (resource, fence) VALUES ({resource}, {fence}) ");
            assert_eq!(made.admit, insert + update);
            assert_eq!(made.forget, format!("DELETE FROM f WHERE resource = {resource}"));
            assert!(!made.create.contains('?'));
        }
        for (name, style) in [("f", "QMARK"), ("f", ""), ("f;", "qmark")] {
            assert_eq!(fences(name, style).expect_err("refused").code, "INVALID_INPUT");
        }
        let (set, and_where) = column("fence", "$3").expect("a name");
        assert_eq!((set.as_str(), and_where.as_str()), ("fence = $3", "fence <= $3"));
        // What a marker is, is the driver's.
        assert_eq!(column("fence", "?").expect("a name").0, "fence = ?");
    }
}
