//! The same without a table of its own.

use super::{Dialect, bounds, identifier};
use crate::Result;

/// For a row that has a column of its own for the fence: parts of the statements that change it. An update
/// that changes no row was refused, or there is no such row.
///
/// ```
/// use leasehold::guard::sql::{Column, Dialect};
/// let fence = Column::new(Dialect::Postgres, "fence", "$3").unwrap();
/// let update = format!(
///     "UPDATE account SET balance = $1, {} WHERE id = $2 AND {}", fence.set, fence.and_where
/// );
/// assert_eq!(update, "UPDATE account SET balance = $1, fence = $3 WHERE id = $2 AND fence <= $3");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Column {
    /// For `CREATE TABLE account (id …, {define})`. On MySQL that is two columns, of which the second
    /// counts writes: without it a holder that writes the same values twice would look refused to a
    /// driver that has changed rows counted.
    pub define: String,
    /// For `UPDATE account SET …, {set}`.
    pub set: String,
    /// For `… WHERE … AND {and_where}`.
    pub and_where: String,
}

impl Column {
    /// The column of this name, where `marker` stands for the fence in a statement: what the driver
    /// wants there. Where markers are `?`, the fence is a parameter twice.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for what is no name of a column.
    pub fn new(dialect: Dialect, name: &str, marker: &str) -> Result<Self> {
        let name = identifier("column", name)?;
        let mut define = format!("{name} BIGINT NOT NULL DEFAULT 0 {}", bounds(name));
        let mut set = format!("{name} = {marker}");
        if dialect == Dialect::Mysql {
            let writes = format!("{name}_writes");
            identifier("column", &writes)?;
            define += &format!(", {writes} BIGINT NOT NULL DEFAULT 0");
            set += &format!(", {writes} = {writes} + 1");
        }
        Ok(Self { define, set, and_where: format!("{name} <= {marker}") })
    }
}
