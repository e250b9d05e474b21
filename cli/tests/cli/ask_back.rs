//! `ask-back`: the holder is asked, and what came of it is said and kept.

use std::time::Duration;

use leasehold::block_on;
use serde_json::Value;

use crate::support::Place;

#[test]
fn a_holder_that_listens_gives_back() {
    let place = Place::new();
    let client = place.client();
    let lease = block_on(client.lock("asked").acquire()).unwrap();
    let log = place.path("audit.jsonl");
    let asking = place.start([
        "ask-back",
        "asked",
        "--grace",
        "1m",
        "--why",
        "a newer one",
        "--audit",
        log.to_str().unwrap(),
    ]);
    let request = block_on(lease.asked_back()).unwrap().unwrap();
    assert_eq!((request.why.as_str(), request.by.language.as_str()), ("a newer one", "cli"));
    assert_eq!(request.by.pid, asking.pid().as_raw_pid().cast_unsigned());
    assert!(request.grace <= Duration::from_secs(60));
    block_on(lease.release());
    let ended = asking.finish();
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(ended.text().starts_with(&format!("fence {}", lease.fence())), "{ended:?}");

    let events: Vec<Value> = std::fs::read_to_string(&log)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let outcomes: Vec<&Value> = events.iter().map(|event| &event["outcome"]).collect();
    assert_eq!(outcomes, ["begun", "given_back"]);
    for event in &events {
        assert_eq!((&event["action"], &event["lock"]), (&"ask_back".into(), &"asked".into()));
        assert_eq!((&event["why"], &event["store"]), (&"a newer one".into(), &place.url().into()));
    }
    assert_eq!(events[1]["fence"], lease.fence());
}

#[test]
fn who_does_not_listen_holds_on() {
    let place = Place::new();
    let mut holder = place.under("deaf", &[], "echo held; read x");
    assert_eq!(holder.line(), "held");
    let ended = place.run(["ask-back", "deaf", "--grace", "100ms", "--why", "a test"]);
    assert_eq!(ended.code(), Some(75), "{ended:?}");
    let pid = holder.pid().as_raw_pid();
    assert!(ended.err.contains("still held") && ended.err.contains(&pid.to_string()), "{ended:?}");
    assert!(!place.free("deaf"));
    holder.say("done");
    assert_eq!(holder.finish().code(), Some(0));
    let nobody = place.run(["ask-back", "deaf", "--why", "a test"]);
    assert_eq!(nobody.code(), Some(1), "{nobody:?}");
    assert_eq!(place.run(["ask-back", "deaf"]).code(), Some(64), "a reason is needed");
    let never = place.run(["ask-back", "deaf", "--grace", "0", "--why", "a test"]);
    assert_eq!(never.code(), Some(64), "{never:?}");
}

#[test]
fn what_cant_be_audited_is_not_done() {
    let place = Place::new();
    let mut holder = place.under("kept", &[], "echo held; read x");
    assert_eq!(holder.line(), "held");
    let folder = place.path("");
    let ended =
        place.run(["evict", "kept", "--why", "a test", "--audit", folder.to_str().unwrap()]);
    assert_eq!(ended.code(), Some(74), "{ended:?}");
    assert!(ended.err.contains("audit file"), "{ended:?}");
    assert!(!place.free("kept"));
    holder.say("done");
    assert_eq!(holder.finish().code(), Some(0));
}
