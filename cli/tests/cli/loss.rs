//! What `run` promises when the lease is lost, or we are.
//!
//! "Has it ended?" is asked outside the library: every process of a program's group has a named
//! pipe open for writing, so the pipe's end is theirs; and has a `flock`, so another can't have it.

use std::io::{BufRead, Read};
use std::sync::mpsc::Sender;

use leasehold::store::Evict;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::{Fifo, Place, limit};

/// A program that heeds no SIGTERM, and a child of it; both hold the pipe and the flock. dash and
/// bash both start the next `read` when a trap has run.
const STUBBORN: &str = r#"
    echo $$ >"$HERE/group"
    exec 3>"$HERE/alive" 9>"$HERE/flock" 8<"$HERE/block"
    flock 9
    trap 'echo term >&3' TERM
    sh -c 'trap "" TERM; read x <&8' &
    echo ready >&3
    while :; do read x <&8; done"#;

/// What the next holder runs: it finds the flock free, or not.
const NEXT: &str = r#"flock -n "$HERE/flock" true && echo alone || echo overlap"#;

struct Stubborn {
    place: Place,
    alive: Fifo,
    /// Nobody writes to it: who reads it, waits.
    _block: std::fs::File,
    /// Ends the program where the command did not.
    _limit: Sender<()>,
}

impl Stubborn {
    fn new() -> Self {
        let place = Place::new();
        let alive = Fifo::new(place.path("alive"));
        let block = Fifo::new(place.path("block"));
        let both = std::fs::File::options().read(true).write(true).open(block.path()).unwrap();
        let group = place.path("group");
        let end = move || {
            let group = std::fs::read_to_string(group).ok();
            if let Some(group) = group.and_then(|text| Pid::from_raw(text.trim().parse().ok()?)) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        };
        Self { place, alive, _block: both, _limit: limit(end) }
    }
}

#[test]
fn max_hold_ends_a_program_that_heeds_nothing() {
    let test = Stubborn::new();
    let options = ["--ttl", "1h", "--max-hold", "3s", "--grace", "1500ms"];
    let running = test.place.under("x", &options, STUBBORN);
    let mut alive = test.alive.reader();
    let next = test.place.under("x", &["--wait", "1m"], NEXT);
    let mut told = String::new();
    alive.read_to_string(&mut told).unwrap();
    assert_eq!(told, "ready\nterm\n");
    let ended = running.finish();
    assert_eq!(ended.code(), Some(70), "{ended:?}");
    assert!(ended.err.contains("\"x\"") && ended.err.contains("max_hold"), "{ended:?}");
    assert_eq!(next.finish().text(), "alone");
}

#[test]
fn a_program_may_end_itself_within_the_grace() {
    let place = Place::new();
    let options = ["--ttl", "1h", "--max-hold", "2s", "--grace", "1s"];
    let script = "trap 'echo term; exit 0' TERM; echo ready; while :; do read x; done";
    let mut running = place.under("x", &options, script);
    assert_eq!(running.line(), "ready");
    assert_eq!(running.line(), "term");
    assert_eq!(running.finish().code(), Some(70));
    assert!(place.free("x"));
}

#[test]
fn what_the_program_leaves_running_at_a_loss_ends_too() {
    let test = Stubborn::new();
    let options = ["--ttl", "1h", "--max-hold", "3s", "--grace", "1500ms"];
    let script = STUBBORN.replace("echo term >&3", "echo end >&3; exit 0");
    let running = test.place.under("x", &options, &script);
    let mut alive = test.alive.reader();
    let next = test.place.under("x", &["--wait", "1m"], NEXT);
    assert_eq!(next.finish().text(), "alone");
    let mut told = String::new();
    alive.read_to_string(&mut told).unwrap();
    assert_eq!(told, "ready\nend\n");
    assert_eq!(running.finish().code(), Some(70));
}

#[test]
fn a_tenure_ended_from_outside_ends_the_program() {
    let place = Place::new();
    let mut running = place.under("x", &["--ttl", "1s"], "echo ready; read x; read x");
    assert_eq!(running.line(), "ready");
    let why = Evict { why: "a test".to_owned(), fence: None };
    leasehold::block_on(place.client().evict("x", &why)).unwrap();
    assert_eq!(running.line(), "", "its stdin is open: it ends by being killed");
    let ended = running.finish();
    assert_eq!(ended.code(), Some(70), "{ended:?}");
    assert!(ended.err.contains("revoked"), "{ended:?}");
}

#[test]
fn a_store_that_falls_silent_ends_the_program() {
    let test = Stubborn::new();
    let running = test.place.under("x", &["--ttl", "1500ms"], STUBBORN);
    let mut alive = test.alive.reader();
    let mut line = String::new();
    alive.read_line(&mut line).unwrap();
    let side = std::fs::File::open(test.place.path("locks.db-flock")).unwrap();
    flock(&side, FlockOperation::LockExclusive).unwrap();
    alive.read_to_string(&mut line).unwrap();
    assert_eq!(line, "ready\nterm\n");
    flock(&side, FlockOperation::Unlock).unwrap();
    let ended = running.finish();
    assert_eq!(ended.code(), Some(70), "{ended:?}");
    assert!(ended.err.contains("store_unreachable"), "{ended:?}");
    assert_eq!(test.place.under("x", &[], NEXT).finish().text(), "alone");
}

#[test]
fn the_program_ends_with_a_run_that_is_killed() {
    let test = Stubborn::new();
    let running = test.place.under("x", &["--ttl", "2s"], STUBBORN);
    let mut alive = test.alive.reader();
    let mut line = String::new();
    alive.read_line(&mut line).unwrap();
    let next = test.place.under("x", &["--wait", "1m"], NEXT);
    running.send(Signal::KILL);
    alive.read_to_string(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    assert_eq!(running.finish().signal(), Some(9));
    assert_eq!(next.finish().text(), "alone");
}

#[test]
fn the_program_ends_by_the_deadline_of_a_run_that_is_stopped() {
    let test = Stubborn::new();
    let running = test.place.under("x", &["--ttl", "2s"], STUBBORN);
    let mut alive = test.alive.reader();
    let mut line = String::new();
    alive.read_line(&mut line).unwrap();
    let next = test.place.under("x", &["--wait", "1m"], NEXT);
    running.send(Signal::STOP);
    // Both happen while it is stopped.
    assert_eq!(next.finish().text(), "alone");
    alive.read_to_string(&mut line).unwrap();
    running.send(Signal::CONT);
    let ended = running.finish();
    assert_eq!(ended.code(), Some(70), "{ended:?}");
    assert!(ended.err.contains("expired"), "{ended:?}");
}

#[test]
fn a_short_stop_loses_nothing() {
    let place = Place::new();
    let mut running = place.under("x", &["--ttl", "1h"], "echo ready; read x; exit 3");
    assert_eq!(running.line(), "ready");
    running.send(Signal::STOP);
    assert!(!place.free("x"));
    running.send(Signal::CONT);
    running.say("");
    assert_eq!(running.finish().code(), Some(3));
    assert!(place.free("x"));
}
