//! The table of fences.

use super::{Dialect, Style, bounds, identifier};
use crate::{Name, Result};

/// A table with the largest fence seen of each resource.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use leasehold::guard::sql::{Dialect, Table};
/// use rusqlite::{Connection, params};
///
/// let fences = Table::new(Dialect::Sqlite, "fences")?;
/// let mut database = Connection::open_in_memory()?;
/// database.execute_batch("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER)")?;
/// database.execute_batch(&fences.create())?;
///
/// let mut pay = |fence: u64| -> Result<bool, rusqlite::Error> {
///     let transaction = database.transaction()?;
///     let mut changed = 0;
///     for statement in fences.admit() {
///         changed = transaction.execute(&statement, params!["account:42", fence as i64])?;
///     }
///     if changed == 0 {
///         return Ok(false); // Rolled back: a newer holder has written.
///     }
///     transaction.execute("UPDATE account SET balance = balance - 30 WHERE id = 42", [])?;
///     transaction.commit().map(|()| true)
/// };
/// assert!(pay(7)? && pay(7)? && !pay(6)? && pay(8)?);
/// # Ok(()) }
/// ```
///
/// PostgreSQL, with the crate `postgres`:
///
/// ```no_run
/// # use leasehold::guard::sql::{Dialect, Table};
/// # fn pay(client: &mut postgres::Client, fence: u64) -> Result<bool, Box<dyn std::error::Error>> {
/// let fences = Table::new(Dialect::Postgres, "fences")?;
/// let mut transaction = client.transaction()?;
/// let mut changed = 0;
/// for statement in fences.admit() {
///     changed = transaction.execute(&statement, &[&"account:42", &(fence as i64)])?;
/// }
/// # Ok(changed > 0) }
/// ```
///
/// MySQL and MariaDB, with the crate `mysql`. Here it takes two statements, for the number of rows that
/// `INSERT … ON DUPLICATE KEY UPDATE` reports is the same for "refused" and for "admitted", depending on
/// how the driver has it counted:
///
/// ```no_run
/// # use leasehold::guard::sql::{Dialect, Table};
/// # use mysql::{TxOpts, prelude::Queryable};
/// # fn pay(client: &mut mysql::Conn, fence: u64) -> Result<bool, Box<dyn std::error::Error>> {
/// let fences = Table::new(Dialect::Mysql, "fences")?;
/// let mut transaction = client.start_transaction(TxOpts::default())?;
/// for statement in fences.admit() {
///     transaction.exec_drop(&statement, ("account:42", fence))?;
/// }
/// let changed = transaction.affected_rows(); // Of the last one.
/// # Ok(changed > 0) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    dialect: Dialect,
    style: Style,
    name: String,
}

impl Table {
    /// The table of this name: letters, digits and `_`, not a digit first, at most 63.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for another name: it becomes a part of the
    /// statements.
    pub fn new(dialect: Dialect, name: &str) -> Result<Self> {
        let name = identifier("table", name)?.to_owned();
        Ok(Self { dialect, style: dialect.style(), name })
    }

    /// For a driver that marks parameters otherwise than those of Rust do.
    #[must_use]
    pub fn style(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// Makes the table, if it isn't there.
    #[must_use]
    pub fn create(&self) -> String {
        let (table, bounds) = (&self.name, bounds("fence"));
        match self.dialect {
            Dialect::Sqlite | Dialect::Postgres => format!(
                "CREATE TABLE IF NOT EXISTS {table} \
                 (resource TEXT NOT NULL PRIMARY KEY, fence BIGINT NOT NULL {bounds})"
            ),
            // Bytes: text would be compared by a collation that takes some names for the same. Only
            // this engine has transactions and locks of rows.
            Dialect::Mysql => format!(
                "CREATE TABLE IF NOT EXISTS {table} \
                 (resource VARBINARY({}) NOT NULL PRIMARY KEY, fence BIGINT NOT NULL {bounds}, \
                 asked BIGINT {}) ENGINE = InnoDB",
                Name::MAX_BYTES,
                super::bounds("asked"),
            ),
        }
    }

    /// Admits a write: one statement, or on MySQL two, to be run in this order, each with the resource
    /// and the fence as its parameters. The last one changes one row, or none where a larger fence was
    /// seen: then roll back. (Until it is rolled back, that transaction too keeps others out.)
    ///
    /// A fence that no lock can have is the database's error, whatever a cast made of it.
    #[must_use]
    pub fn admit(&self) -> Vec<String> {
        let (table, [resource, fence]) = (&self.name, self.style.markers());
        match self.dialect {
            Dialect::Sqlite | Dialect::Postgres => vec![format!(
                "INSERT INTO {table} (resource, fence) VALUES ({resource}, {fence}) \
                 ON CONFLICT (resource) DO UPDATE SET fence = excluded.fence \
                 WHERE {table}.fence <= excluded.fence"
            )],
            // The first makes the row and locks it; the second compares. That one always changes the
            // row that it finds, so it makes no difference whether a driver has rows counted that were
            // found or those that were changed; and without the first it refuses.
            Dialect::Mysql => {
                let resource = bytes(resource);
                vec![
                    format!(
                        "INSERT INTO {table} (resource, fence, asked) VALUES ({resource}, 0, {fence}) \
                         ON DUPLICATE KEY UPDATE asked = VALUES(asked)"
                    ),
                    format!(
                        "UPDATE {table} SET fence = asked, asked = NULL \
                         WHERE resource = {resource} AND asked = {fence} AND fence <= asked"
                    ),
                ]
            }
        }
    }

    /// Forgets a resource that is gone, with it as the parameter. After that an old holder of it would be
    /// admitted: so no sooner than the last one can be alive.
    #[must_use]
    pub fn forget(&self) -> String {
        let [resource, _] = self.style.markers();
        let resource = match self.dialect {
            Dialect::Sqlite | Dialect::Postgres => resource.to_owned(),
            Dialect::Mysql => bytes(resource),
        };
        format!("DELETE FROM {} WHERE resource = {resource}", self.name)
    }
}

/// The same bytes whatever the connection's character set is.
fn bytes(marker: &str) -> String {
    format!("CONVERT({marker} USING utf8mb4)")
}
