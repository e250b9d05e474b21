//! Cells change only by whoever saw the latest, one at a time, and their watchers are told.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use leasehold::ErrorKind;
use leasehold::lock::MAX_FENCE;
use leasehold::store::{Cell, Cells, Watched};

use crate::contract::case::cases;
use crate::contract::scene::named;
use crate::contract::{Case, Scene, Seat};

pub(super) const CASES: &[Case] = cases![
    now:
        a_cell_is_absent_until_it_is_written,
        a_cell_is_written_at_its_version_only,
        a_cell_that_is_not_kept_is_gone_at_once,
        versions_grow_across_deletions,
        versions_grow_across_a_restart_of_the_store,
        any_value_up_to_64_kib_is_kept_as_it_is,
        a_longer_value_is_refused,
        cells_whose_names_look_alike_are_apart,
        a_cell_and_a_lock_of_one_name_are_apart,
        a_watcher_is_told_of_the_next_write,
        a_watch_of_another_version_is_answered_at_once,
        a_refused_write_is_told_to_nobody,
        an_absent_cell_can_be_watched,
        of_64_writers_at_once_none_is_lost;
    later:
        a_cell_ends_by_the_stores_clock,
        versions_grow_across_the_end_of_a_cell,
        versions_grow_while_the_wall_clock_steps_back,
        a_version_beyond_the_largest_is_refused,
        a_write_may_change_how_long_a_cell_is_kept,
        a_watch_ends_by_time_and_leaves_no_row;
];

const HOUR: Duration = Duration::from_secs(3600);
const WATCHED: Duration = Duration::from_secs(2);

/// Writes the cell, which must succeed; its version.
fn write(scene: &Scene<'_>, name: &str, version: u64, value: &[u8]) -> u64 {
    let (written, cell) = scene.set_cell(name, version, value, None).expect("a valid write");
    assert!(written, "{name} is at version {version}");
    let cell = cell.expect("it was written");
    assert_eq!((&cell.value[..], cell.left), (value, None));
    assert!(cell.version > version && cell.version <= MAX_FENCE);
    cell.version
}

fn delete(scene: &Scene<'_>, name: &str, version: u64) {
    let done = scene.set_cell(name, version, b"", Some(Duration::ZERO)).expect("a valid write");
    assert_eq!(done, (true, None));
}

fn a_cell_is_absent_until_it_is_written(scene: &mut Scene<'_>) {
    assert_eq!(scene.cell("new"), None);
    let version = write(scene, "new", 0, b"one");
    let cell = scene.cell("new").expect("it was written");
    assert_eq!(cell, Cell { value: b"one".to_vec(), version, left: None });
}

fn a_cell_is_written_at_its_version_only(scene: &mut Scene<'_>) {
    for version in [1, MAX_FENCE] {
        let refused = scene.set_cell("compared", version, b"x", None).expect("a valid write");
        assert_eq!(refused, (false, None), "an absent cell is at version 0");
    }
    let first = write(scene, "compared", 0, b"one");
    let second = write(scene, "compared", first, b"two");
    for version in [0, first, first + 1, second - 1, second + 1, MAX_FENCE] {
        if version == second {
            continue;
        }
        let (written, cell) = scene.set_cell("compared", version, b"x", None).expect("valid");
        assert!(!written, "version {version} was passed by {second}");
        assert_eq!(cell, scene.cell("compared"), "the refusal shows what there is");
        assert_eq!(cell.map(|cell| (cell.value, cell.version)), Some((b"two".to_vec(), second)));
    }
}

fn a_cell_that_is_not_kept_is_gone_at_once(scene: &mut Scene<'_>) {
    let version = write(scene, "deleted", 0, b"one");
    delete(scene, "deleted", version);
    assert_eq!(scene.cell("deleted"), None);
    if let Some(kept) = scene.rig().kept() {
        assert_eq!(kept, 0, "it leaves no row");
    }
}

fn versions_grow_across_deletions(scene: &mut Scene<'_>) {
    let mut last = 0;
    for _ in 0..20 {
        let version = write(scene, "again", 0, b"x");
        assert!(version > last, "version {version} after {last}");
        delete(scene, "again", version);
        last = version;
    }
}

fn versions_grow_across_a_restart_of_the_store(scene: &mut Scene<'_>) {
    if !scene.capabilities().survives.store_restart {
        return;
    }
    let mut last = write(scene, "restart", 0, b"0");
    for round in 0..4 {
        scene.rig().step_wall(-24 * 3600);
        assert!(scene.rig().reopen(), "a store that survives restarts can be opened again");
        let found = scene.cell("restart").expect("it outlives the restart");
        assert_eq!(found.version, last);
        if round % 2 == 0 {
            last = write(scene, "restart", last, b"1");
        } else {
            delete(scene, "restart", last);
            let next = write(scene, "restart", 0, b"2");
            assert!(next > last);
            last = next;
        }
    }
}

fn any_value_up_to_64_kib_is_kept_as_it_is(scene: &mut Scene<'_>) {
    let all: Vec<u8> = (0..=255).collect();
    let long: Vec<u8> = all.iter().copied().cycle().take(Cell::MAX_VALUE).collect();
    let mut version = 0;
    for value in [&b""[..], b"\0", b"\r\n", b"\xff\xfe", &all, &long] {
        version = write(scene, "bytes", version, value);
        let found = scene.cell("bytes").expect("it was written");
        assert!(found.value == value, "{} bytes come back as they were", value.len());
    }
}

fn a_longer_value_is_refused(scene: &mut Scene<'_>) {
    let version = write(scene, "long", 0, b"short");
    let long = vec![b'x'; Cell::MAX_VALUE + 1];
    let error = scene.set_cell("long", version, &long, None).expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    assert!(error.message().contains("65537") && error.message().contains("65536"), "{error}");
    assert_eq!(scene.cell("long").map(|cell| cell.version), Some(version));
}

fn cells_whose_names_look_alike_are_apart(scene: &mut Scene<'_>) {
    let names =
        ["a", "A", "a ", " a", "a:b", "a:c:b", "{a}", "{a", "a}", "a\0", "\u{e9}", "e\u{301}"];
    for name in names {
        write(scene, name, 0, name.as_bytes());
    }
    for name in names {
        assert_eq!(scene.cell(name).map(|cell| cell.value), Some(name.as_bytes().to_vec()));
    }
}

fn a_cell_and_a_lock_of_one_name_are_apart(scene: &mut Scene<'_>) {
    let ask = scene.ask("both");
    let fence = scene.grant(&ask);
    let version = write(scene, "both", 0, b"value");
    assert_eq!(scene.holder("both"), Some(fence));
    scene.release(&ask);
    assert_eq!(scene.list("", None, 10), Vec::<String>::new(), "a cell is no lock");
    assert_eq!(scene.cell("both").map(|cell| cell.version), Some(version));
    delete(scene, "both", version);
    scene.grant(&ask);
}

fn a_watcher_is_told_of_the_next_write(scene: &mut Scene<'_>) {
    let version = write(scene, "watched", 0, b"one");
    for seat in [Seat::First, Seat::Second] {
        let found = scene.watch(seat, "watched", version, HOUR);
        assert_eq!(found, Watched::Same { left: None });
        // Twice is once.
        scene.watch(seat, "watched", version, HOUR);
    }
    let version = write(scene, "watched", version, b"two");
    // Nobody watches any more.
    write(scene, "watched", version, b"three");
    let last = write(scene, "last", 0, b"one");
    for seat in [Seat::First, Seat::Second] {
        scene.watch(seat, "last", last, HOUR);
    }
    write(scene, "last", last, b"two");
    if scene.capabilities().push {
        for seat in [Seat::First, Seat::Second] {
            let told = scene.inbox(seat).wait_for_changes(2);
            assert_eq!(told, [named("watched"), named("last")], "each once, to {seat:?}");
        }
    }
}

fn a_watch_of_another_version_is_answered_at_once(scene: &mut Scene<'_>) {
    assert_eq!(scene.watch(Seat::First, "other", 7, HOUR), Watched::Changed(None));
    let first = write(scene, "other", 0, b"one");
    let second = write(scene, "other", first, b"two");
    for version in [0, first, second + 1] {
        let found = scene.watch(Seat::First, "other", version, HOUR);
        assert_eq!(found, Watched::Changed(scene.cell("other")));
    }
    delete(scene, "other", second);
    assert_eq!(scene.watch(Seat::First, "other", second, HOUR), Watched::Changed(None));
    if let Some(kept) = scene.rig().kept() {
        assert_eq!(kept, 0, "nothing is to be told, so nothing is noted");
    }
}

fn a_refused_write_is_told_to_nobody(scene: &mut Scene<'_>) {
    let version = write(scene, "refused", 0, b"one");
    scene.watch(Seat::Second, "refused", version, HOUR);
    let (written, _) = scene.set_cell("refused", version - 1, b"x", None).expect("a valid write");
    assert!(!written);
    let other = write(scene, "accepted", 0, b"one");
    scene.watch(Seat::Second, "accepted", other, HOUR);
    write(scene, "accepted", other, b"two");
    if scene.capabilities().push {
        assert_eq!(scene.inbox(Seat::Second).wait_for_changes(1), [named("accepted")]);
    }
    // The watch goes on.
    write(scene, "refused", version, b"two");
    if scene.capabilities().push {
        let told = scene.inbox(Seat::Second).wait_for_changes(2);
        assert_eq!(told, [named("accepted"), named("refused")]);
    }
}

fn an_absent_cell_can_be_watched(scene: &mut Scene<'_>) {
    assert_eq!(scene.watch(Seat::Second, "coming", 0, HOUR), Watched::Same { left: None });
    write(scene, "coming", 0, b"one");
    if scene.capabilities().push {
        assert_eq!(scene.inbox(Seat::Second).wait_for_changes(1), [named("coming")]);
    }
}

/// Adds one to the number in the cell.
async fn increment(cells: &dyn Cells) {
    let name = named("counter");
    let mut found = cells.get(&name).await.expect("the store answers");
    loop {
        let (version, number) = found.as_ref().map_or((0, 0), |cell| (cell.version, number(cell)));
        let next = (number + 1).to_string();
        let done = cells.compare_and_set(&name, version, next.as_bytes(), None).await;
        match done.expect("the store answers") {
            (true, _) => return,
            (false, now) => found = now,
        }
    }
}

fn number(cell: &Cell) -> u32 {
    std::str::from_utf8(&cell.value).ok().and_then(|text| text.parse().ok()).expect("a number")
}

fn of_64_writers_at_once_none_is_lost(scene: &mut Scene<'_>) {
    let writer = |index: u32| {
        let seat = if index.is_multiple_of(2) { Seat::First } else { Seat::Second };
        increment(scene.cells(seat))
    };
    let mut writers: Vec<Pin<Box<dyn Future<Output = ()>>>> =
        (0..64).map(|index| Box::pin(writer(index)) as _).collect();
    scene.run(poll_fn(|context| {
        writers.retain_mut(|writer| writer.as_mut().poll(context).is_pending());
        if writers.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }));
    assert_eq!(scene.cell("counter").as_ref().map(number), Some(64));
}

fn a_cell_ends_by_the_stores_clock(scene: &mut Scene<'_>) {
    let keep = Duration::from_secs(10);
    let (written, cell) = scene.set_cell("short", 0, b"x", Some(keep)).expect("a valid write");
    assert!(written);
    let cell = cell.expect("it is kept");
    scene.assert_about(cell.left.expect("it ends"), keep, "just written");
    scene.pass_almost(keep);
    let left = scene.cell("short").expect("not yet").left.expect("it ends");
    assert!(left <= scene.rig().tick() && !left.is_zero(), "{left:?} left");
    let seen = scene.watch(Seat::First, "short", cell.version, HOUR);
    let Watched::Same { left: Some(left) } = seen else { panic!("{seen:?}") };
    assert!(left <= scene.rig().tick());
    scene.pass_tick();
    assert_eq!(scene.cell("short"), None);
    assert_eq!(scene.watch(Seat::First, "short", cell.version, HOUR), Watched::Changed(None));
    let refused = scene.set_cell("short", cell.version, b"y", None).expect("a valid write");
    assert_eq!(refused, (false, None));
}

fn versions_grow_across_the_end_of_a_cell(scene: &mut Scene<'_>) {
    let mut last = 0;
    for _ in 0..10 {
        let keep = Some(Duration::from_secs(1));
        let (written, cell) = scene.set_cell("ended", 0, b"x", keep).expect("a valid write");
        assert!(written, "the one before has ended");
        let version = cell.expect("it is kept").version;
        assert!(version > last, "version {version} after {last}");
        last = version;
        scene.pass(Duration::from_secs(1));
    }
}

fn versions_grow_while_the_wall_clock_steps_back(scene: &mut Scene<'_>) {
    let mut last = 0;
    for _ in 0..10 {
        let version = write(scene, "stepped", 0, b"x");
        assert!(version > last, "version {version} after {last}");
        delete(scene, "stepped", version);
        last = version;
        if !scene.rig().step_wall(-3600) {
            return;
        }
    }
}

fn a_version_beyond_the_largest_is_refused(scene: &mut Scene<'_>) {
    if !scene.rig().set_wall_us(MAX_FENCE) {
        return;
    }
    let last = write(scene, "largest", 0, b"x");
    assert_eq!(last, MAX_FENCE);
    let error = scene.set_cell("largest", last, b"y", None).expect_err("no larger version exists");
    assert_eq!(error.kind(), ErrorKind::StoreFailed, "{error:?}");
    assert_eq!(scene.cell("largest").map(|cell| cell.value), Some(b"x".to_vec()));
}

fn a_write_may_change_how_long_a_cell_is_kept(scene: &mut Scene<'_>) {
    let first = write(scene, "span", 0, b"x");
    let keep = |span| Some(Duration::from_secs(span));
    let (_, cell) = scene.set_cell("span", first, b"y", keep(1)).expect("a valid write");
    let (_, cell) = scene
        .set_cell("span", cell.expect("it is kept").version, b"z", keep(20))
        .expect("a valid write");
    scene.pass(Duration::from_secs(10));
    let version = cell.expect("it is kept").version;
    assert_eq!(scene.cell("span").map(|cell| cell.version), Some(version));
    let last = write(scene, "span", version, b"for ever");
    scene.pass(HOUR * 48);
    assert_eq!(scene.cell("span").map(|cell| cell.version), Some(last));
}

fn a_watch_ends_by_time_and_leaves_no_row(scene: &mut Scene<'_>) {
    for index in 0..10 {
        scene.watch(Seat::Second, &format!("left {index}"), 0, WATCHED);
    }
    scene.pass(WATCHED);
    // Any request may be what sweeps.
    scene.watch(Seat::Second, "swept", 0, WATCHED);
    if let Some(kept) = scene.rig().kept() {
        assert_eq!(kept, 1, "the last watch");
    }
    write(scene, "left 0", 0, b"x");
    write(scene, "swept", 0, b"x");
    if scene.capabilities().push {
        assert_eq!(scene.inbox(Seat::Second).wait_for_changes(1), [named("swept")]);
    }
}
