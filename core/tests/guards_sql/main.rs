//! The table of fences and the column on real databases, in every isolation level and with either way in
//! which a driver of MySQL has rows counted: the same is admitted, and the same kept out, everywhere.
#![allow(clippy::disallowed_methods, reason = "threads of a user's program, in real time")]

mod cases;
mod session;

use std::sync::Arc;

use leasehold_testkit::folder;
use leasehold_testkit::server::{OneServer, SqlFlavour};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use cases::{CASES, Case};
use session::Place;

const LEVELS: [&str; 4] = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

fn main() {
    let [postgres, mariadb] = SqlFlavour::ALL.map(|it| Arc::new(OneServer::new(it)));
    let mut trials = Vec::new();
    for (name, case) in CASES {
        trials.push(Trial::ignorable_test(format!("sqlite::{name}"), move || on_sqlite(*case)));
        for level in LEVELS {
            let called = level.to_lowercase().replace(' ', "_");
            let server = Arc::clone(&postgres);
            trials
                .push(Trial::ignorable_test(format!("postgresql::{called}::{name}"), move || {
                    server.run(|url| case(&Place::Postgres { url: url.to_owned(), level }))
                }));
            for found_rows in [false, true] {
                let server = Arc::clone(&mariadb);
                let counted = if found_rows { "found" } else { "changed" };
                let name = format!("mariadb::{called}::rows_{counted}::{name}");
                trials.push(Trial::ignorable_test(name, move || {
                    server.run(|url| case(&Place::Mysql { url: url.to_owned(), level, found_rows }))
                }));
            }
        }
    }
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    // Before the exit, which would leave their folders behind.
    drop((postgres, mariadb));
    conclusion.exit();
}

fn on_sqlite(case: Case) -> Result<Completion, Failed> {
    let folder = folder("guards").expect("a folder");
    let path = folder.path().join("data.db");
    let made = rusqlite::Connection::open(&path).expect("a database");
    made.pragma_update(None, "journal_mode", "WAL").expect("a setting");
    case(&Place::Sqlite(path));
    Ok(Completion::Completed)
}
