//! A program that runs where the leader is, and those who watch who that is.

use leasehold::store::Evict;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Place, Running};

const WAITS: &str = "echo $LEASEHOLD_FENCE; read x";

fn elect(place: &Place, options: &[&str], script: &str) -> Running {
    let tail = ["--", "sh", "-c", script];
    place.start(["elect", "x"].iter().chain(options).chain(&tail))
}

/// The next line of an observer.
fn seen(observer: &mut Running) -> Value {
    let line = observer.line();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn evict(place: &Place) {
    let why = Evict { why: "a test".to_owned(), fence: None };
    leasehold::block_on(place.client().evict("x", &why)).unwrap();
}

#[test]
fn the_program_runs_while_it_leads_and_its_status_is_passed_on() {
    let place = Place::new();
    let mut observer = place.start(["elect", "x", "--observe"]);
    assert_eq!(seen(&mut observer)["leader"], Value::Null);
    let mut first =
        elect(&place, &["--value", "here", "--note", "n"], "echo $LEASEHOLD_FENCE; read x; exit 9");
    let fence: u64 = first.line().parse().unwrap();
    let led = seen(&mut observer);
    let leader = &led["leader"];
    assert_eq!((&led["name"], &leader["fence"]), (&Value::from("x"), &Value::from(fence)));
    assert_eq!((&leader["value"], &leader["note"]), (&Value::from("here"), &Value::from("n")));
    assert_eq!((&leader["value_hex"], &leader["language"]), (&Value::Null, &Value::from("cli")));
    let mut second = elect(&place, &[], WAITS);
    place.until_waiting("x", 1);
    first.say("");
    assert_eq!(first.finish().code(), Some(9));
    let next: u64 = second.line().parse().unwrap();
    assert!(next > fence, "{next} after {fence}");
    // Between the two nobody may have led, or it was too short to be seen.
    let mut led = seen(&mut observer);
    if led["leader"].is_null() {
        led = seen(&mut observer);
    }
    assert_eq!(led["leader"]["fence"], Value::from(next));
    second.say("");
    assert_eq!(second.finish().code(), Some(0));
    assert_eq!(seen(&mut observer)["leader"], Value::Null, "told at once, not after 30 s");
    observer.send(Signal::INT);
    assert_eq!(observer.finish().signal(), Some(2));
}

#[test]
fn a_lost_lead_is_campaigned_for_again() {
    let place = Place::new();
    let mut running = elect(&place, &["--ttl", "600ms"], WAITS);
    let first: u64 = running.line().parse().unwrap();
    evict(&place);
    let second: u64 = running.line().parse().unwrap();
    assert!(second > first, "{second} after {first}");
    running.say("");
    let ended = running.finish();
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(ended.err.contains("revoked"), "it says why the first run ended: {ended:?}");
    assert!(place.free("x"));
}

#[test]
fn a_signal_ends_the_second_wait_as_it_does_the_first() {
    let place = Place::new();
    let mut running = elect(&place, &["--ttl", "600ms"], WAITS);
    running.line();
    let mut other = place.under("x", &[], "echo in; read x");
    place.until_waiting("x", 1);
    evict(&place);
    assert_eq!(other.line(), "in");
    place.until_waiting("x", 1);
    running.send(Signal::TERM);
    assert_eq!(running.finish().code(), Some(128 + 15));
    place.until_waiting("x", 0);
    other.say("");
    assert_eq!(other.finish().code(), Some(0));
}

#[test]
fn an_observer_that_nobody_reads_ends() {
    let place = Place::new();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", r#""$LEASEHOLD" elect x --observe | head -n 1; echo over"#]);
    place.settle(&mut command);
    let mut pipeline = Running::start(command);
    assert_eq!(pipeline.line(), r#"{"name":"x","leader":null}"#);
    // `head` is gone after that line, and the observer sees so when it has another.
    assert_eq!(elect(&place, &[], "true").finish().code(), Some(0));
    assert_eq!(elect(&place, &[], "true").finish().code(), Some(0));
    assert_eq!(pipeline.line(), "over");
}

#[test]
fn what_does_not_fit_is_refused() {
    let place = Place::new();
    let both = ["elect", "x", "--observe", "--", "true"];
    let none = ["elect", "x"];
    let value = ["elect", "x", "--observe", "--value", "v"];
    for words in [&both[..], &none, &value] {
        let ended = place.run(words);
        assert_eq!(ended.code(), Some(64), "{ended:?}");
    }
    leasehold::block_on(place.client().latch("x", 2).count_down(1)).unwrap();
    let ended = elect(&place, &[], "true").finish();
    assert_eq!(ended.code(), Some(64), "{ended:?}");
    assert!(ended.err.contains("latch"), "{ended:?}");
    let late = elect(&place, &["--grace", "20s"], "true").finish();
    assert_eq!(late.code(), Some(64), "{late:?}");
}

#[test]
fn a_lead_that_is_taken_is_not_waited_for() {
    let place = Place::new();
    let mut first = elect(&place, &[], WAITS);
    first.line();
    let second = elect(&place, &["--wait", "0"], "true").finish();
    assert_eq!(second.code(), Some(75), "{second:?}");
    first.say("");
    assert_eq!(first.finish().code(), Some(0));
}
