//! A guard in a SQL database: one row per resource with the largest fence seen. Text, for any driver;
//! shown on SQLite, PostgreSQL and MariaDB.
//!
//! The trap is the transaction: [`admit`](Table::admit) must be its first statement and the writes must
//! be in it too. The row that it changed then keeps other holders out until the commit, so that a newer
//! one can't come between the comparison and the writes. Where each statement is committed by itself
//! (autocommit), it keeps nobody out.
//!
//! Any isolation level will do. From `REPEATABLE READ` on PostgreSQL refuses who had to wait for another
//! holder's commit, and MySQL may choose a victim of a deadlock at any level: errors 40001 and 1213, as
//! everywhere in those databases. Nothing was admitted then; repeat the transaction.
//!
//! Where there is no table yet, make it at one place: two that make it at the same moment may both fail
//! on PostgreSQL, and on MySQL every change of a table commits what is open.

mod column;
mod dialect;
mod table;

pub use column::Column;
pub use dialect::{Dialect, Style};
pub use table::Table;

use crate::lock::MAX_FENCE;
use crate::{Error, Result};

/// The longest name of a table or column: PostgreSQL cuts longer ones off, silently.
const MOST: usize = 63;

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

/// What `column` may hold. A larger number than any lock has would shut all holders out for ever, and a
/// cast that went wrong makes a negative one.
fn bounds(column: &str) -> String {
    format!("CHECK ({column} BETWEEN 0 AND {MAX_FENCE})")
}
