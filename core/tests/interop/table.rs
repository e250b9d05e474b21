//! What a run saw, as a table for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use leasehold_testkit::peer::{ALL, Library};

use super::cases::CASES;
use super::scene::Way;

#[derive(Debug, Default)]
pub(super) struct Table(Mutex<BTreeMap<Place, Vec<String>>>);

/// Row and column.
pub(super) type Place = (String, &'static str);

/// The row of a library.
pub(super) fn row(library: &Library, way: Way) -> String {
    let how = match way {
        Way::Plain => ", to a client of no dialect".to_owned(),
        Way::Dialect => format!(", `dialect={}`", library.dialect),
        Way::Dual => format!(", `dual={}`", library.dialect),
    };
    format!("{} {}{how}", library.name, library.version)
}

impl Table {
    pub(super) fn enter(&self, place: &Place, seen: &str) {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = cells.entry(place.clone()).or_default();
        cell.retain(|said| said != "FAILED");
        cell.push(seen.to_owned());
    }

    /// Writes target/interop.md; nothing where no case ran.
    pub(super) fn write(&self) {
        let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.is_empty() {
            return;
        }
        let cell = |row: &str, column: &'static str| {
            cells
                .get(&(row.to_owned(), column))
                .map_or_else(|| "–".to_owned(), |seen| seen.join("; "))
        };
        let mut text = String::from("| library |");
        for case in CASES {
            let _ = write!(text, " {} |", case.title);
        }
        text.push_str("\n|---|");
        text.push_str(&"---|".repeat(CASES.len()));
        for (library, way) in ALL.iter().flat_map(|one| Way::ALL.map(|way| (one, way))) {
            let row = row(library, way);
            if !cells.keys().any(|(known, _)| *known == row) {
                continue;
            }
            let _ = write!(text, "\n| {row} |");
            for case in CASES {
                let _ = write!(text, " {} |", cell(&row, case.title));
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
