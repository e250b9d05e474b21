//! What `run` promises while nothing goes wrong.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::support::{Fifo, Place};

#[test]
fn the_programs_exit_code_is_passed_on() {
    let place = Place::new();
    for code in [0, 1, 2, 64, 70, 75, 127, 128, 255] {
        let ended = place.under("x", &[], &format!("exit {code}")).finish();
        assert_eq!(ended.code(), Some(code), "{ended:?}");
        assert_eq!(ended.err, "");
    }
}

#[test]
fn a_program_that_a_signal_ended_is_told_as_128_and_the_signal() {
    let place = Place::new();
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("INT", 130), ("USR1", 138)] {
        let ended = place.under("x", &[], &format!("kill -{signal} $$")).finish();
        assert_eq!((ended.code(), ended.signal()), (Some(code), None), "{ended:?}");
    }
}

#[test]
fn the_program_learns_the_lock_and_its_fence() {
    let place = Place::new();
    let name = "a\nb \u{1b}[2J \u{202e}ü";
    let script = r#"printf '%s\n%s\n' "$LEASEHOLD_FENCE" "$LEASEHOLD_NAME"; read x"#;
    let mut holder = place.under(name, &["--note", "n"], script);
    let fence: u64 = holder.line().parse().unwrap();
    let view = place.show(name);
    assert_eq!(view["holder"]["fence"], fence);
    assert_eq!(view["name"], name);
    holder.say("");
    let ended = holder.finish();
    assert_eq!((ended.code(), ended.text()), (Some(0), name));

    let again = place.under(name, &[], "echo $LEASEHOLD_FENCE").finish();
    assert!(again.text().parse::<u64>().unwrap() > fence);
}

#[test]
fn the_programs_arguments_and_streams_are_its_own() {
    let place = Place::new();
    let odd = OsStr::from_bytes(b"\xff\xfe -- --ttl \n\x1b");
    let mut running = place.start([
        OsStr::new("run"),
        OsStr::new("x"),
        OsStr::new("--"),
        OsStr::new("sh"),
        OsStr::new("-c"),
        OsStr::new(r#"printf %s "$1"; printf err >&2; cat"#),
        OsStr::new("sh"),
        odd,
    ]);
    running.say("from stdin");
    let ended = running.finish();
    assert_eq!(ended.out, [odd.as_bytes(), b"from stdin\n"].concat());
    assert_eq!(ended.err, "err");
}

#[test]
fn a_program_that_cant_be_run_gives_the_lock_back_at_once() {
    let place = Place::new();
    fs::write(place.path("plain"), "no program").unwrap();
    let plain = place.path("plain").display().to_string();
    for (program, code) in [("/no/such/program", 127), (plain.as_str(), 126), ("/", 126)] {
        let ended = place.run(["run", "x", "--ttl", "1h", "--", program]);
        assert_eq!(ended.code(), Some(code), "{ended:?}");
        assert!(ended.err.contains(program), "{ended:?}");
        assert!(place.free("x"));
    }
}

#[test]
fn two_runs_exclude_each_other() {
    let place = Place::new();
    let mut holder = place.under("x", &[], "echo held; read x");
    assert_eq!(holder.line(), "held");
    for wait in ["0", "0s", "150ms"] {
        let ended = place.under("x", &["--wait", wait], "echo ran").finish();
        assert_eq!((ended.code(), ended.text()), (Some(75), ""), "{ended:?}");
        assert!(ended.err.contains("\"x\""), "{ended:?}");
    }
    assert_eq!(place.under("y", &["--wait", "0"], "exit 0").finish().code(), Some(0));

    let mut waiter = place.under("x", &["--wait", "1h"], "echo mine");
    place.until_waiting("x", 1);
    holder.say("");
    assert_eq!(holder.finish().code(), Some(0));
    assert_eq!(waiter.line(), "mine");
    assert_eq!(waiter.finish().code(), Some(0));
    assert!(place.free("x"));
}

/// The oracle is outside the library: an unlocked read-modify-write on a file, and the fences in
/// the order in which the holders wrote them.
#[test]
fn many_runs_have_one_holder_at_a_time() {
    let place = Place::new();
    fs::write(place.path("count"), "0").unwrap();
    let script = r#"
        for i in 1 2 3 4; do
            "$LEASEHOLD" run x --ttl 30s -- sh -c '
                n=$(cat "$HERE/count")
                echo "$LEASEHOLD_FENCE" >>"$HERE/fences"
                echo $((n + 1)) >"$HERE/count"' || exit 1
        done"#;
    let racers: Vec<_> =
        (0..6).map(|racer| place.under(&format!("racer {racer}"), &[], script)).collect();
    for racer in racers {
        let ended = racer.finish();
        assert_eq!(ended.code(), Some(0), "{ended:?}");
    }
    assert_eq!(fs::read_to_string(place.path("count")).unwrap().trim(), "24");
    let fences = fs::read_to_string(place.path("fences")).unwrap();
    let fences: Vec<u64> = fences.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(fences.len(), 24);
    assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
}

#[test]
fn a_lease_is_renewed_for_as_long_as_the_program_runs() {
    let place = Place::new();
    let mut holder = place.under("x", &["--ttl", "2s"], "echo held; read x");
    assert_eq!(holder.line(), "held");
    // The waiter's own limit is the time that passes: twice what the store keeps.
    let ended = place.under("x", &["--wait", "6s"], "echo ran").finish();
    assert_eq!((ended.code(), ended.text()), (Some(75), ""));
    holder.say("");
    assert_eq!(holder.finish().code(), Some(0));
}

#[test]
fn what_the_program_leaves_running_is_not_under_the_lock() {
    let place = Place::new();
    let fifo = Fifo::new(place.path("fifo"));
    // The one left behind has none of the pipes, or `finish` would wait for it too.
    let script = r#"(echo left; read x; echo "$x") <"$HERE/in" >"$HERE/fifo" 2>&1 & exit 4"#;
    Fifo::new(place.path("in"));
    let running = place.under("x", &[], script);
    let mut writer = fs::File::options().write(true).open(place.path("in")).unwrap();
    let mut left = fifo.reader();
    assert_eq!(running.finish().code(), Some(4));
    assert!(place.free("x"));
    std::io::Write::write_all(&mut writer, b"alive\n").unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut left, &mut text).unwrap();
    assert_eq!(text, "left\nalive\n");
}

#[test]
fn it_tells_what_happens_when_asked_to() {
    let place = Place::new();
    let ended = place.run(["run", "-v", "a\u{1b}b", "--", "echo", "ran"]);
    assert_eq!((ended.code(), ended.text()), (Some(0), "ran"));
    assert!(ended.err.contains("running") && ended.err.contains("fence="), "{ended:?}");
    assert!(!ended.err.contains('\u{1b}'), "{ended:?}");
}
