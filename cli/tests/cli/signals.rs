//! Signals: to the program while there is one, else they end the wait.

use std::process::Command;

use rustix::process::Signal;

use crate::support::{Place, Running};

const PASSED_ON: [(Signal, &str); 6] = [
    (Signal::TERM, "TERM"),
    (Signal::INT, "INT"),
    (Signal::HUP, "HUP"),
    (Signal::QUIT, "QUIT"),
    (Signal::USR1, "USR1"),
    (Signal::USR2, "USR2"),
];

#[test]
fn each_is_passed_on_to_the_program() {
    let place = Place::new();
    for (signal, name) in PASSED_ON {
        let script = format!("trap 'echo got; exit 7' {name}; echo ready; read x; read x");
        let mut running = place.under("x", &[], &script);
        assert_eq!(running.line(), "ready");
        running.send(signal);
        assert_eq!(running.line(), "got", "{name}");
        assert_eq!(running.finish().code(), Some(7), "{name}");
    }
}

#[test]
fn they_reach_the_programs_children_too() {
    let place = Place::new();
    let script = r#"
        exec 3<&0
        trap : TERM
        sh -c 'trap "echo got; exit 0" TERM; echo ready; read x <&3; read x <&3' &
        wait; wait; exit 9"#;
    let mut running = place.under("x", &[], script);
    assert_eq!(running.line(), "ready");
    running.send(Signal::TERM);
    assert_eq!(running.line(), "got");
    assert_eq!(running.finish().code(), Some(9));
}

#[test]
fn a_run_that_is_told_to_end_keeps_the_lock_until_its_program_has_ended() {
    let place = Place::new();
    let script = "trap 'echo ending; read x; exit 5' TERM; echo ready; read x; read x";
    let mut running = place.under("x", &[], script);
    assert_eq!(running.line(), "ready");
    running.send(Signal::TERM);
    assert_eq!(running.line(), "ending");
    assert!(!place.free("x"));
    running.say("");
    running.say("");
    assert_eq!(running.finish().code(), Some(5));
    assert!(place.free("x"));
}

#[test]
fn one_that_ends_the_program_gives_the_lock_back() {
    let place = Place::new();
    let mut running = place.under("x", &["--ttl", "1h"], "echo ready; read x; read x");
    assert_eq!(running.line(), "ready");
    running.send(Signal::TERM);
    assert_eq!(running.line(), "", "its stdin is open: it ends by the signal");
    let ended = running.finish();
    assert_eq!((ended.code(), ended.signal()), (Some(143), None));
    assert!(place.free("x"));
}

#[test]
fn one_that_comes_during_the_wait_leaves_nothing_in_the_queue() {
    let place = Place::new();
    let mut holder = place.under("x", &[], "echo held; read x");
    assert_eq!(holder.line(), "held");
    for (signal, name) in PASSED_ON {
        let waiter = place.under("x", &["--wait", "1h"], "echo ran");
        place.until_waiting("x", 1);
        waiter.send(signal);
        let ended = waiter.finish();
        assert_eq!((ended.code(), ended.text()), (Some(128 + signal.as_raw()), ""), "{name}");
        let view = place.show("x");
        assert_eq!((&view["waiting"], &view["held"]), (&0.into(), &true.into()), "{name}");
    }
    holder.say("");
    assert_eq!(holder.finish().code(), Some(0));
    assert!(place.free("x"));
}

#[test]
fn those_that_were_ignored_stay_ignored() {
    let place = Place::new();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        r#"trap '' HUP; exec "$LEASEHOLD" run x -- sh -c 'kill -HUP $$; echo ready; read x; exit 6'"#,
    ]);
    place.settle(&mut command);
    let mut running = Running::start(command);
    assert_eq!(running.line(), "ready");
    running.send(Signal::HUP);
    running.say("");
    assert_eq!(running.finish().code(), Some(6));
}
