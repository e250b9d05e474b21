//! What must be so on every database.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use leasehold::Name;
use leasehold::guard::sql::{Column, Dialect, Table};

use crate::session::{Failure, Place, Session, Value};

pub(crate) type Case = fn(&Place);

pub(crate) const CASES: &[(&str, Case)] = &[
    ("admits_what_is_not_older", admits),
    ("tells_resources_apart", resources),
    ("forgets_a_write_that_was_rolled_back", rolled_back),
    ("keeps_an_older_one_out_and_then_refuses_it", keeps_out),
    ("lets_a_newer_one_wait", newer_waits),
    ("keeps_nobody_from_another_resource", beside),
    ("writes_in_the_order_of_fences", crowd),
    ("has_one_first_writer", first_writers),
    ("takes_no_fence_that_no_lock_has", bounds),
    ("guards_a_row_by_a_column", column),
];

/// One table of fences and a log of the writes that it guards.
struct Data<'a> {
    place: &'a Place,
    fences: Table,
    log: String,
}

impl<'a> Data<'a> {
    fn new(place: &'a Place) -> Self {
        let (fences, log) = (name("fences"), name("log"));
        let data =
            Self { place, fences: Table::new(place.dialect(), &fences).expect("a name"), log };
        let mut session = place.open();
        for _ in 0..2 {
            session.must(&data.fences.create());
        }
        let at = match place.dialect() {
            Dialect::Postgres => "BIGSERIAL PRIMARY KEY",
            Dialect::Mysql => "BIGINT AUTO_INCREMENT PRIMARY KEY",
            _ => "INTEGER PRIMARY KEY",
        };
        session.must(&format!("CREATE TABLE {} (at {at}, fence BIGINT)", data.log));
        data
    }

    fn admit(&self, on: &mut dyn Session, resource: &str, fence: u64) -> Result<bool, Failure> {
        let mut changed = 0;
        for statement in self.fences.admit() {
            changed = on.run(&statement, &[Value::Text(resource), Value::Fence(fence)])?;
        }
        Ok(changed > 0)
    }

    /// A whole write; false where it was refused.
    fn write(&self, on: &mut dyn Session, resource: &str, fence: u64) -> Result<bool, Failure> {
        on.must("BEGIN");
        let written = self.admit(on, resource, fence).and_then(|admitted| {
            if admitted {
                // A holder may stand still here: the row keeps others out until the commit.
                std::thread::yield_now();
                on.run(&format!("INSERT INTO {} (fence) VALUES ({fence})", self.log), &[])?;
                on.run("COMMIT", &[])?;
            }
            Ok(admitted)
        });
        if !matches!(written, Ok(true)) {
            on.must("ROLLBACK");
        }
        written
    }

    /// The same, again where the database asks for that.
    fn write_in_the_end(&self, on: &mut dyn Session, resource: &str, fence: u64) -> bool {
        loop {
            match self.write(on, resource, fence) {
                Ok(written) => return written,
                Err(Failure::Repeat(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    fn logged(&self) -> Vec<i64> {
        self.place.open().numbers(&format!("SELECT fence FROM {} ORDER BY at", self.log))
    }
}

/// A name that no other case has in this database.
fn name(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn admits(place: &Place) {
    let (data, mut on) = (Data::new(place), place.open());
    let mut write = |fence| data.write(&mut *on, "account:42", fence).expect("nobody else writes");
    let newest = (1 << 53) - 1;
    let fences = [7, 7, 7, 6, 7, 8, 7, 0, 8, 1_795_487_746_175_228, 9, newest, newest, newest - 1];
    let written = fences.map(&mut write);
    let wanted =
        [true, true, true, false, true, true, false, false, true, true, false, true, true, false];
    assert_eq!(written, wanted);
    let forget = |session: &mut dyn Session, resource| {
        session.run(&data.fences.forget(), &[Value::Text(resource)]).expect("a statement")
    };
    let mut other = place.open();
    assert_eq!(forget(&mut *other, "account:4"), 0);
    assert_eq!(forget(&mut *other, "account:42"), 1);
    assert!(write(0), "nothing is known of it");
    assert!(write(1));
    assert!(!write(0));
    // What was refused has left nothing, also where somebody commits it.
    let mut careless = place.open();
    for _ in 0..2 {
        careless.must("BEGIN");
        assert!(!data.admit(&mut *careless, "account:42", 0).expect("a statement"));
        careless.must("COMMIT");
    }
    assert!(write(1), "the holder writes on");
    if let [_, second] = &data.fences.admit()[..] {
        let alone = careless.run(second, &[Value::Text("account:42"), Value::Fence(5)]);
        assert_eq!(alone.expect("a statement"), 0, "one without the other admits nothing");
    }
}

fn resources(place: &Place) {
    let (data, mut on) = (Data::new(place), place.open());
    let long = "x".repeat(Name::MAX_BYTES);
    let wide = "é".repeat(Name::MAX_BYTES / 2);
    let mine = ["a", "A", "a ", " a", "á", "a\u{301}", "ß", "ss", "", "日本", "🦀", &long, &wide];
    for (at, resource) in mine.into_iter().enumerate() {
        assert!(data.write(&mut *on, resource, 9).expect("a write"));
        let older = data.write(&mut *on, resource, 8).expect("a write");
        assert!(!older, "{resource:?} is guarded");
        // One that is not there yet is no other.
        for next in mine.iter().skip(at + 1) {
            on.must("BEGIN");
            let admitted = data.admit(&mut *on, next, 1).expect("a statement");
            assert!(admitted, "{next:?} is taken for {resource:?}");
            on.must("ROLLBACK");
        }
    }
    assert_eq!(data.logged().len(), mine.len());
}

fn rolled_back(place: &Place) {
    let (data, mut on) = (Data::new(place), place.open());
    for _ in 0..2 {
        on.must("BEGIN");
        assert!(data.admit(&mut *on, "a", 9).expect("a statement"));
        on.must("ROLLBACK");
        assert!(data.write(&mut *on, "a", 7).expect("a write"));
        assert!(data.write(&mut *on, "a", 8).expect("a write"));
        assert!(!data.write(&mut *on, "a", 7).expect("a write"));
        on.run(&data.fences.forget(), &[Value::Text("a")]).expect("a statement");
    }
}

/// The newer one has the row, written or not yet there; the older one comes while it does.
fn keeps_out(place: &Place) {
    let data = Data::new(place);
    for known in [false, true] {
        let (mut newer, mut older, resource) = (place.open(), place.open(), name("resource"));
        if known {
            assert!(data.write(&mut *newer, &resource, 1).expect("a write"));
        }
        newer.must("BEGIN");
        assert!(data.admit(&mut *newer, &resource, 9).expect("a statement"));
        let mut impatient = place.open_impatient();
        for fence in [8, 9, 10] {
            let error = data.write(&mut *impatient, &resource, fence).expect_err("it is held out");
            assert!(matches!(error, Failure::Busy), "{error:?}");
        }
        let number = place.number(&mut *older);
        std::thread::scope(|scope| {
            let late = scope.spawn(|| data.write_in_the_end(&mut *older, &resource, 8));
            place.until_it_waits(number);
            newer.must(&format!("INSERT INTO {} (fence) VALUES (9)", data.log));
            newer.must("COMMIT");
            assert!(!late.join().expect("no panic"), "an older one was admitted");
        });
        assert!(!data.write(&mut *older, &resource, 8).expect("a write"));
        assert_eq!(data.logged().pop(), Some(9));
    }
}

/// Of one that has the row while a newer one comes, both are written, the newer one last; and one that
/// gives up lets the next one in.
fn newer_waits(place: &Place) {
    let data = Data::new(place);
    for (end, wanted) in [("COMMIT", &[8, 9][..]), ("ROLLBACK", &[9][..])] {
        let (mut older, mut newer, resource) = (place.open(), place.open(), name("resource"));
        let before = data.logged().len();
        older.must("BEGIN");
        assert!(data.admit(&mut *older, &resource, 8).expect("a statement"));
        let number = place.number(&mut *newer);
        std::thread::scope(|scope| {
            let next = scope.spawn(|| data.write_in_the_end(&mut *newer, &resource, 9));
            place.until_it_waits(number);
            older.must(&format!("INSERT INTO {} (fence) VALUES (8)", data.log));
            older.must(end);
            assert!(next.join().expect("no panic"), "the newer one was refused");
        });
        assert_eq!(data.logged()[before..], *wanted);
    }
}

fn beside(place: &Place) {
    if place.dialect() == Dialect::Sqlite {
        // One writer at a time.
        return;
    }
    let data = Data::new(place);
    let (mut one, mut other) = (place.open(), place.open_impatient());
    for round in 0..2 {
        // The second time both rows are there.
        one.must("BEGIN");
        assert!(data.admit(&mut *one, "a", 9).expect("a statement"));
        for resource in ["0", "b", "aa"] {
            let written = data.write(&mut *other, resource, 7).expect("it waits for nobody");
            assert!(written, "in round {round}");
        }
        one.must("COMMIT");
    }
}

/// Many at once on one resource: no write comes after a newer one's.
fn crowd(place: &Place) {
    const THREADS: u64 = 4;
    const WRITES: u64 = 25;
    let data = Data::new(place);
    let (begin, refused) = (Barrier::new(THREADS as usize), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 1..=THREADS {
            let (data, begin, refused) = (&data, &begin, &refused);
            scope.spawn(move || {
                let mut on = place.open();
                begin.wait();
                // Each thread's own fences grow, and are behind or ahead of the others'.
                for write in 0..WRITES {
                    if !data.write_in_the_end(&mut *on, "the log", write * thread) {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let written = data.logged();
    assert!(written.is_sorted(), "an old fence after a newer one: {written:?}");
    let refused = refused.into_inner();
    assert_eq!(written.len() as u64 + refused, THREADS * WRITES);
    assert!(refused > 0, "nobody was late");
}

/// Two that write to a resource of which nothing is known yet, at the same moment, again and again.
fn first_writers(place: &Place) {
    const ROUNDS: u64 = 40;
    let (data, begin) = (Data::new(place), Barrier::new(2));
    let counts = std::thread::scope(|scope| {
        let threads = [0, 1].map(|thread| {
            let (data, begin) = (&data, &begin);
            scope.spawn(move || {
                let mut on = place.open();
                let write = |round: u64| {
                    begin.wait();
                    let resource = format!("resource {round}");
                    // The newer one is now this, now that; each round's fences are above the last's.
                    let fence = round * 2 + (round + thread) % 2;
                    data.write_in_the_end(&mut *on, &resource, fence) as u64
                };
                (0..ROUNDS).map(write).sum::<u64>()
            })
        });
        threads.map(|it| it.join().expect("no panic")).into_iter().sum::<u64>()
    });
    let written = data.logged();
    assert!(written.is_sorted(), "an old fence after a newer one: {written:?}");
    assert_eq!(written.len() as u64, counts);
    for round in 0..ROUNDS as i64 {
        assert!(written.contains(&(round * 2 + 1)), "the newer one of round {round} was refused");
    }
}

/// Whatever became of such a number on its way, it is refused with an error, and shuts nobody out.
fn bounds(place: &Place) {
    let (data, mut on) = (Data::new(place), place.open());
    let mut column = place.open();
    let (rows, fence) = (name("account"), Column::new(place.dialect(), "fence", marker(place)));
    let fence = fence.expect("a name");
    column.must(&format!("CREATE TABLE {rows} (id BIGINT, {})", fence.define));
    column.must(&format!("INSERT INTO {rows} (id) VALUES (42)"));
    let update = format!("UPDATE {rows} SET {} WHERE id = 42", fence.set);
    for known in [false, true] {
        for wrong in [1 << 53, (1 << 53) + 1, i64::MAX as u64, 1 << 63, u64::MAX] {
            let error = data.write(&mut *on, "a", wrong).expect_err("no lock has it");
            assert!(matches!(error, Failure::Other(_)), "{error:?}");
            column.run(&update, &[Value::Fence(wrong)]).expect_err("no lock has it");
        }
        let written = data.write(&mut *on, "a", 7).expect("a write");
        assert!(written, "known: {known}");
    }
}

fn column(place: &Place) {
    let mut on = place.open();
    let rows = name("account");
    let fence = Column::new(place.dialect(), "fence", marker(place)).expect("a name");
    on.must(&format!("CREATE TABLE {rows} (id BIGINT, balance BIGINT)"));
    on.must(&format!("INSERT INTO {rows} VALUES (42, 100)"));
    // As somebody does who has the rows already.
    let columns = fence.define.split(", ").map(|it| format!("ADD COLUMN {it}"));
    for added in columns {
        on.must(&format!("ALTER TABLE {rows} {added}"));
    }
    let set = |id: u32, balance: u32| {
        let Column { set, and_where, .. } = &fence;
        format!("UPDATE {rows} SET balance = {balance}, {set} WHERE id = {id} AND {and_where}")
    };
    let values = |fence| match place.dialect() {
        Dialect::Postgres => vec![Value::Fence(fence)],
        _ => vec![Value::Fence(fence); 2],
    };
    let mut changed =
        |id, balance, fence| on.run(&set(id, balance), &values(fence)).expect("a statement");
    // The same values twice are admitted twice.
    let found = [
        changed(42, 70, 7),
        changed(42, 70, 7),
        changed(42, 0, 6),
        changed(42, 40, 8),
        changed(42, 70, 7),
        changed(43, 70, 9),
    ];
    assert_eq!(found, [1, 1, 0, 1, 0, 0]);
    assert_eq!(on.numbers(&format!("SELECT balance FROM {rows}")), [40]);
}

fn marker(place: &Place) -> &'static str {
    if place.dialect() == Dialect::Postgres { "$1" } else { "?" }
}
