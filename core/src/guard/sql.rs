//! A guard in a SQL database: one row per resource with the largest fence seen. Text, for any driver;
//! shown on SQLite.
//!
//! The trap is the transaction: [`admit`](Table::admit) must be its first statement and the writes must
//! be in it too. The row that it changed then keeps other holders out until the commit, so that a newer
//! one can't come between the comparison and the writes.

use crate::{Error, Result};

/// The longest name of a table or column: PostgreSQL cuts longer ones off, silently.
const MOST: usize = 63;

/// The table of fences.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use rusqlite::{Connection, params};
/// let fences = leasehold::guard::sql::Table::new("fences")?;
/// let mut database = Connection::open_in_memory()?;
/// database.execute_batch("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER)")?;
/// database.execute_batch(&fences.create())?;
///
/// let mut pay = |fence: u64| -> Result<bool, rusqlite::Error> {
///     let transaction = database.transaction()?;
///     if transaction.execute(&fences.admit(), params!["account:42", fence as i64])? == 0 {
///         return Ok(false); // Rolled back: a newer holder has written.
///     }
///     transaction.execute("UPDATE account SET balance = balance - 30 WHERE id = 42", [])?;
///     transaction.commit().map(|()| true)
/// };
/// assert!(pay(7)? && pay(7)? && !pay(6)? && pay(8)?);
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table(String);

impl Table {
    /// The table of this name: letters, digits and `_`, not a digit first, at most 63.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for another name: it becomes a part of the
    /// statements.
    pub fn new(name: &str) -> Result<Self> {
        identifier("table", name).map(|name| Self(name.to_owned()))
    }

    /// Makes the table, if it isn't there.
    #[must_use]
    pub fn create(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (resource TEXT PRIMARY KEY, fence BIGINT NOT NULL)",
            self.0
        )
    }

    /// Admits a write, with the resource and the fence as its two parameters: changes one row, or none
    /// where a larger fence was seen. Then roll back.
    #[must_use]
    pub fn admit(&self) -> String {
        let table = &self.0;
        format!(
            "INSERT INTO {table} (resource, fence) VALUES (?, ?) \
             ON CONFLICT (resource) DO UPDATE SET fence = excluded.fence \
             WHERE {table}.fence <= excluded.fence"
        )
    }

    /// Forgets a resource that is gone, with it as the parameter.
    #[must_use]
    pub fn forget(&self) -> String {
        format!("DELETE FROM {} WHERE resource = ?", self.0)
    }
}

/// The same without a table, for a row that has a column of its own for the fence: `SET …` with the fence
/// as its parameter, and `… WHERE …` with the fence once more. An update that changes no row was refused,
/// or there is no such row.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for what is no name of a column.
///
/// ```
/// let (set, and_where) = leasehold::guard::sql::column("fence").unwrap();
/// let update = format!("UPDATE account SET balance = ?, {set} WHERE id = ? AND {and_where}");
/// assert_eq!(update, "UPDATE account SET balance = ?, fence = ? WHERE id = ? AND fence <= ?");
/// ```
pub fn column(name: &str) -> Result<(String, String)> {
    let name = identifier("column", name)?;
    Ok((format!("{name} = ?"), format!("{name} <= ?")))
}

fn identifier<'a>(what: &str, name: &'a str) -> Result<&'a str> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if begins && name.len() <= MOST && name.bytes().all(word) {
        return Ok(name);
    }
    Err(Error::invalid(format!(
        "{name:?} is no name of a {what}: letters, digits and _ are, at most {MOST}, not a digit first"
    )))
}
