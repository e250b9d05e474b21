//! `ls` and `show`: for people and for programs, whatever the names.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::Value;

use crate::support::Place;

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_lock_that_nobody_has_is_shown_as_free() {
    let place = Place::new();
    let view = place.show("x");
    assert_eq!(keys(&view), ["name", "held", "holder", "waiting", "queue"].into());
    assert_eq!((&view["held"], &view["holder"]), (&false.into(), &Value::Null));
    let text = place.run(["show", "x"]);
    assert_eq!(text.text(), "lock     x\nheld     no\nwaiting  0");
    let none = place.run(["ls"]);
    assert_eq!((none.code(), none.text()), (Some(0), ""));
    assert!(none.err.contains("no lock"));
    assert_eq!(place.run(["ls", "--json"]).text(), r#"{"locks":[]}"#);
}

#[test]
fn the_holder_and_the_queue_are_shown() {
    let place = Place::new();
    let mut holder =
        place.under("job 1", &["--ttl", "1m", "--note", "by hand"], "echo held; read x");
    assert_eq!(holder.line(), "held");
    let first = place.under("job 1", &["--note", "next"], "true");
    place.until_waiting("job 1", 1);
    let second = place.under("job 1", &[], "true");
    place.until_waiting("job 1", 2);

    let view = place.show("job 1");
    let tenure = &view["holder"];
    let who = ["host", "pid", "language", "since", "note"];
    let more = ["fence", "confirmed", "told_ms", "stored_ms"];
    assert_eq!(keys(tenure), who.into_iter().chain(more).collect());
    assert_eq!(tenure["pid"], holder.pid().as_raw_pid());
    assert_eq!((&tenure["language"], &tenure["note"]), (&"cli".into(), &"by hand".into()));
    assert_eq!(tenure["confirmed"], true);
    let (told, stored) = (&tenure["told_ms"], &tenure["stored_ms"]);
    assert!(told.as_u64().unwrap() <= 60_000 && stored.as_u64() > told.as_u64(), "{view}");
    assert!(tenure["since"].as_str().unwrap().ends_with('Z'));
    assert_eq!(view["waiting"], 2);
    let queue = view["queue"].as_array().unwrap();
    assert_eq!(keys(&queue[0]), who.into_iter().chain(["alive_ms"]).collect());
    let pids: Vec<&Value> = queue.iter().map(|waiter| &waiter["pid"]).collect();
    assert_eq!(pids, [first.pid().as_raw_pid(), second.pid().as_raw_pid()]);

    let text = place.run(["show", "job 1"]);
    let host = tenure["host"].as_str().unwrap();
    let lines: Vec<&str> = text.text().lines().collect();
    assert_eq!(lines[0], "lock     \"job 1\"");
    assert_eq!(lines[1], format!("held by  cli@{host}:{}", holder.pid().as_raw_pid()));
    assert_eq!(lines[3], format!("fence    {}", tenure["fence"]));
    assert_eq!(lines[5..7], ["note     \"by hand\"", "waiting  2"]);
    assert!(lines[7].contains(&format!("1. cli@{host}:{}", first.pid().as_raw_pid())), "{lines:?}");
    assert!(lines[7].ends_with(", next"), "{lines:?}");

    let table = place.run(["ls"]);
    let rows: Vec<&str> = table.text().lines().collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[0].starts_with("NAME") && rows[1].starts_with("\"job 1\""), "{rows:?}");
    let row: Vec<&str> = rows[1].split_whitespace().collect();
    assert_eq!(row[3], tenure["fence"].to_string());
    assert!(rows[1].ends_with("2        \"by hand\""), "{rows:?}");

    holder.say("");
    for run in [holder, first, second] {
        assert_eq!(run.finish().code(), Some(0));
    }
}

#[test]
fn odd_names_reach_the_terminal_escaped_and_programs_whole() {
    let place = Place::new();
    let names =
        ["a\nb", "a\\nb", "\u{1b}[2J\u{7}", "\u{9b}31m", "a\u{202e}b", "a  b", "größe", "-"];
    let holders: Vec<_> = names
        .iter()
        .map(|name| {
            let mut holder = place.under(name, &["--note", name], "echo held; read x");
            assert_eq!(holder.line(), "held");
            holder
        })
        .collect();
    let odd = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';

    let table = place.run(["ls"]);
    let rows: Vec<&str> = table.text().lines().skip(1).collect();
    assert_eq!(rows.len(), names.len(), "{rows:?}");
    assert!(!table.text().contains(odd), "{rows:?}");
    let shown: BTreeSet<&str> = rows.iter().map(|row| row.split("  ").next().unwrap()).collect();
    assert_eq!(shown.len(), names.len(), "no two names look alike: {rows:?}");

    let json = place.run(["ls", "--json"]);
    assert!(!json.text().contains(odd) && json.text().lines().count() == 1);
    let document: Value = serde_json::from_slice(&json.out).unwrap();
    let locks = document["locks"].as_array().unwrap();
    let listed: Vec<&str> = locks.iter().map(|lock| lock["name"].as_str().unwrap()).collect();
    let mut sorted = names;
    sorted.sort_unstable();
    assert_eq!(listed, sorted);

    for name in names {
        let text = place.run(["show", "--", name]);
        assert!(!text.text().contains(odd), "{text:?}");
        let busy = place.run(["run", "--wait", "0", name, "--", "true"]);
        assert_eq!(busy.code(), Some(75));
        assert!(!busy.err.contains(odd), "{busy:?}");
    }
    for holder in holders {
        assert_eq!(holder.finish().code(), Some(1), "read finds the end of its input");
    }
}

#[test]
fn ls_picks_by_prefix_and_reads_all_pages() {
    let place = Place::new();
    let client = place.client();
    let name = |number: u32| format!("page:{number:04}");
    let leases: Vec<_> = (0..1001)
        .map(|number| client.lock(name(number)).acquire_blocking().unwrap())
        .chain([client.lock("other").acquire_blocking().unwrap()])
        .collect();
    let json = place.run(["ls", "page:", "--json"]);
    let document: Value = serde_json::from_slice(&json.out).unwrap();
    let locks = document["locks"].as_array().unwrap();
    let listed: Vec<&str> = locks.iter().map(|lock| lock["name"].as_str().unwrap()).collect();
    assert_eq!(listed, (0..1001).map(name).collect::<Vec<_>>());
    assert_eq!(place.run(["ls", "oth"]).text().lines().count(), 2);
    assert_eq!(place.run(["ls"]).text().lines().count(), 1003);
    drop(leases);
    assert!(leasehold::block_on(client.shutdown(std::time::Duration::from_secs(60))));
    assert_eq!(place.run(["ls", "--json"]).text(), r#"{"locks":[]}"#);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child =
        place.command(["show", "x"]).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
}
