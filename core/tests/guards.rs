//! Guards refuse what a holder writes after its time, whatever it believes: hazard 1. On a real database
//! and in this process; on Redis in faults/guards.rs.
#![allow(clippy::disallowed_methods, reason = "threads of a user's program, in real time")]

mod common;

use std::sync::Barrier;
use std::time::Duration;

use common::millis;
use leasehold::guard::sql::{Column, Dialect, Style, Table};
use leasehold::guard::{Fenced, Gate, http};
use leasehold::{Client, ErrorKind, LostReason, Name, block_on};
use leasehold_testkit::{folder, property};
use proptest::prelude::*;
use rusqlite::{Connection, TransactionBehavior, params};

fn open(path: &std::path::Path) -> Connection {
    let connection = Connection::open(path).expect("a database");
    connection.busy_timeout(Duration::from_secs(60)).expect("a setting");
    connection
}

/// One guarded write; false where it was refused.
fn append(database: &mut Connection, fences: &Table, fence: u64) -> bool {
    let behaviour = TransactionBehavior::Immediate;
    let transaction = database.transaction_with_behavior(behaviour).expect("a transaction");
    let [admit] = &fences.admit()[..] else { panic!("one statement is enough here") };
    let admitted = transaction.execute(admit, params!["the log", fence as i64]);
    if admitted.expect("a statement") == 0 {
        return false;
    }
    // A holder may stand still here: the row keeps others out until the commit.
    std::thread::yield_now();
    transaction.execute("INSERT INTO log (fence) VALUES (?)", [fence as i64]).expect("a row");
    transaction.commit().expect("a commit");
    true
}

#[test]
fn a_table_of_fences_takes_no_write_after_a_newer_one() {
    const THREADS: u64 = 6;
    const WRITES: u64 = 60;
    let folder = folder("guards").expect("a folder");
    let (path, fences) =
        (folder.path().join("data.db"), Table::new(Dialect::Sqlite, "fences").expect("a name"));
    let made = open(&path);
    made.execute_batch(
        "PRAGMA journal_mode = WAL; CREATE TABLE log (at INTEGER PRIMARY KEY, fence)",
    )
    .expect("a table");
    for _ in 0..2 {
        made.execute_batch(&fences.create()).expect("a table, once");
    }
    let (begin, fences) = (Barrier::new(THREADS as usize), &fences);
    let refused: u64 = std::thread::scope(|scope| {
        let threads = (0..THREADS).map(|thread| {
            let (path, begin) = (&path, &begin);
            scope.spawn(move || {
                let mut database = open(path);
                begin.wait();
                // Each thread's own fences grow, and are behind or ahead of the others'.
                (0..WRITES).filter(|it| !append(&mut database, fences, it * (thread + 1))).count()
            })
        });
        threads.collect::<Vec<_>>().into_iter().map(|it| it.join().expect("no panic") as u64).sum()
    });
    let mut statement = made.prepare("SELECT fence FROM log ORDER BY at").expect("a query");
    let rows = statement.query_map([], |row| row.get::<_, i64>(0)).expect("rows");
    let written: Vec<i64> = rows.collect::<Result<_, _>>().expect("numbers");
    assert!(written.is_sorted(), "an old fence after a newer one: {written:?}");
    assert_eq!(written.len() as u64 + refused, THREADS * WRITES);
    assert!(refused > 0, "nobody was late");
    assert_eq!(made.execute(&fences.forget(), ["the log"]).expect("a statement"), 1);
}

/// The whole story: the lease of one ends while it is about to write, another takes the lock and writes.
#[test]
fn a_holder_that_slept_too_long_is_refused() {
    let folder = folder("guards").expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("locks.db").display());
    let (first, second) = [0, 1].map(|_| Client::connect(&url).expect("a client")).into();
    let fences = Table::new(Dialect::Sqlite, "fences").expect("a name");
    let mut data = open(&folder.path().join("data.db"));
    data.execute_batch("CREATE TABLE log (at INTEGER PRIMARY KEY, fence)").expect("a table");
    data.execute_batch(&fences.create()).expect("a table");
    let gate = Gate::new();
    let account = Fenced::new("account", 100);

    let late = first.lock("log").ttl(millis(50)).fixed_term().acquire_blocking().expect("free");
    assert!(append(&mut data, &fences, late.fence()));
    gate.admit("log", late.fence()).expect("the first");
    account.write(late.fence(), |balance| *balance -= 1).expect("the first");
    // It believed a moment ago; then it stood still.
    let next = second.lock("log").acquire_blocking().expect("the lease has ended");
    assert!(append(&mut data, &fences, next.fence()));
    assert!(!append(&mut data, &fences, late.fence()), "written after its time");
    assert!(append(&mut data, &fences, next.fence()), "the holder writes on");
    gate.admit("log", next.fence()).expect("newer");
    let refused = [
        gate.admit("log", late.fence()),
        account
            .write(next.fence(), |balance| *balance -= 1)
            .and_then(|()| account.write(late.fence(), |balance| *balance = 0)),
    ];
    for error in refused.map(|it| it.expect_err("out of date")) {
        assert_eq!(
            (error.kind(), error.lost_reason()),
            (ErrorKind::Lost, Some(LostReason::Superseded))
        );
        assert!(error.message().contains(&late.fence().to_string()), "{error}");
    }
    assert_eq!(account.read(|balance| *balance), 98);
    gate.forget("log");
    gate.admit("log", 1).expect("nothing is known of it");
    let (name, fence) = http::read(&http::value(&next)).expect("its own");
    assert_eq!((&name, fence), (next.name(), next.fence()));
    block_on(next.release());
}

#[test]
fn names_that_would_be_a_part_of_a_statement_are_refused() {
    for wrong in ["", "1st", "a b", "a;DROP TABLE b", "a\"b", "a.b", "é", &"a".repeat(64)] {
        for dialect in Dialect::ALL {
            let errors = [Table::new(dialect, wrong).err(), Column::new(dialect, wrong, "?").err()];
            for error in errors {
                let error = error.unwrap_or_else(|| panic!("{wrong:?} was taken"));
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(error.message().contains(&format!("{wrong:?}")), "{error}");
            }
        }
    }
    // Its second column is one too many letters.
    let long = "a".repeat(60);
    Column::new(Dialect::Sqlite, &long, "?").expect("a name");
    Column::new(Dialect::Mysql, &long, "?").expect_err("too long with what is added");
}

#[test]
fn a_dialect_and_a_style_are_found_by_their_names() {
    for dialect in Dialect::ALL {
        assert_eq!(dialect.to_string().parse::<Dialect>().expect("its name"), dialect);
    }
    assert_eq!("mariadb".parse::<Dialect>().expect("the same"), Dialect::Mysql);
    for style in Style::ALL {
        assert_eq!(style.name().parse::<Style>().expect("its name"), style);
    }
    for wrong in ["", "SQLite", "postgres ", "oracle"] {
        let error = wrong.parse::<Dialect>().expect_err(wrong);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains("sqlite, postgresql, mysql are"), "{error}");
        wrong.parse::<Style>().expect_err(wrong);
    }
}

#[test]
fn a_header_says_what_it_was_made_of() {
    property(512, &(any::<String>(), 0..1_u64 << 53), |(text, fence)| {
        let Ok(name) = Name::new(text) else { return Ok(()) };
        let value = http::write(&name, *fence);
        if !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(format!("not a header's value: {value:?}"));
        }
        match http::read(&value) {
            Ok(found) if found == (name, *fence) => Ok(()),
            other => Err(format!("{value}: {other:?}")),
        }
    });
    // Whatever comes, it is an answer.
    property(512, &any::<String>(), |text| {
        drop(http::read(text));
        Ok(())
    });
    for wrong in [
        "",
        "7",
        "7;",
        "7; lock=",
        "; lock=a",
        "-7; lock=a",
        "+7; lock=a",
        "7.0; lock=a",
        "7; name=a",
        "9007199254740992; lock=a",
        "99999999999999999999; lock=a",
        "7; lock=%ff",
        "x; lock=a",
    ] {
        let error = http::read(wrong).expect_err(wrong);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}");
    }
}
