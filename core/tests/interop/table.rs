//! What a run saw, as a table for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use leasehold_testkit::peer::ALL;

use super::cases::CASES;

#[derive(Debug, Default)]
pub(super) struct Table(Mutex<BTreeMap<(&'static str, &'static str), Vec<String>>>);

impl Table {
    pub(super) fn enter(&self, place: (&'static str, &'static str), seen: &str) {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = cells.entry(place).or_default();
        cell.retain(|said| said != "FAILED");
        cell.push(seen.to_owned());
    }

    /// Writes target/interop.md; nothing where no case ran.
    pub(super) fn write(&self) {
        let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.is_empty() {
            return;
        }
        let cell = |row: &'static str, column: &'static str| {
            cells.get(&(row, column)).map_or_else(|| "–".to_owned(), |seen| seen.join("; "))
        };
        let mut text = String::from("| library |");
        for case in CASES {
            let _ = write!(text, " {} |", case.title);
        }
        text.push_str("\n|---|");
        text.push_str(&"---|".repeat(CASES.len()));
        for library in ALL {
            let _ = write!(text, "\n| {} {} |", library.name, library.version);
            for case in CASES {
                let _ = write!(text, " {} |", cell(library.name, case.title));
            }
        }
        text.push_str("\n\n");
        for ((row, column), seen) in cells.iter() {
            if CASES.iter().all(|case| case.title != *column) {
                for line in seen {
                    let _ = writeln!(text, "* {row} ({column}): {line}");
                }
            }
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder");
        std::fs::write(target.join("interop.md"), text).expect("the table is written");
    }
}
