//! A resource that enforces fences: the table that the `holder` program writes to.

use std::path::Path;

use rusqlite::Connection;

/// A database with one guarded row: a write with a lower fence than the last is refused.
#[derive(Debug)]
pub struct Guarded(Connection);

impl Guarded {
    /// Makes it at `path`.
    ///
    /// # Panics
    /// Where that can't be done.
    #[must_use]
    pub fn create(path: &Path) -> Self {
        let connection = Connection::open(path).expect("a database");
        connection
            .execute_batch(
                "CREATE TABLE guarded (fence INTEGER NOT NULL, writes INTEGER NOT NULL);
                 INSERT INTO guarded VALUES (0, 0);",
            )
            .expect("a table");
        Self(connection)
    }

    /// The fence of the last write that took place, and how many did.
    ///
    /// # Panics
    /// Where the database can't be read.
    #[must_use]
    pub fn row(&self) -> (u64, u64) {
        let number = |column: &str| {
            let query = format!("SELECT {column} FROM guarded");
            let value: i64 =
                self.0.query_row(&query, [], |row| row.get(0)).expect("the guarded row");
            value.unsigned_abs()
        };
        (number("fence"), number("writes"))
    }
}
