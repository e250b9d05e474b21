//! Input that is wrong: a documented code, and an error that names it and shows no password.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::support::{Ended, Place};

const CANARY: &str = "hunter2canary";

fn refused(ended: &Ended, code: i32, named: &str) {
    assert_eq!(ended.code(), Some(code), "{ended:?}");
    assert!(ended.err.contains(named), "{named:?} is not in {ended:?}");
    assert_eq!(ended.text(), "", "{ended:?}");
    assert!(!ended.err.contains(CANARY), "{ended:?}");
    assert!(!ended.err.contains(|c: char| c.is_control() && c != '\n'), "{ended:?}");
}

#[test]
fn wrong_store_urls() {
    let place = Place::new();
    for (url, named) in [
        ("nonsense", "nonsense"),
        ("", "URL"),
        ("redsi://host", "redsi"),
        ("redis:///0", "no host"),
        ("redis://:hunter2canary@/0", "redis://***@/0"),
        ("redis://:hunter2canary@host/x", "database"),
        ("foo://user:hunter2canary@host/x?password=hunter2canary", "foo"),
        ("sqlite://host/path", "host"),
        ("sqlite://", "missing"),
        ("sqlite://user:hunter2canary@host/path", "host"),
        ("memory://user:hunter2canary@host", "memory"),
        ("sqlite:///a%00b", "NUL"),
        ("sqlite:///a?mode=hunter2canary", "parameters"),
        ("memory://", "memory://"),
        ("memory://shared", "memory://shared"),
        ("\u{1b}[2J://x", "\\u{1b}"),
    ] {
        for command in [&["ls"][..], &["show", "x"], &["run", "x", "--", "echo", "ran"]] {
            let (name, rest) = command.split_first().unwrap();
            let ended = place.run([&[*name, "--store", url], rest].concat());
            refused(&ended, 64, named);
        }
        let mut command = place.command(["ls"]);
        command.env("LEASEHOLD_URL", url);
        if !url.is_empty() {
            refused(&crate::support::Running::start(command).finish(), 64, named);
        }
    }
    let url = OsStr::from_bytes(b"redis://:hunter2canary\xff@host");
    refused(&place.run([OsStr::new("ls"), OsStr::new("--store"), url]), 64, "--store");
}

#[test]
fn wrong_durations() {
    let place = Place::new();
    for (option, value) in [
        ("--ttl", "0"),
        ("--ttl", "-5"),
        ("--ttl", "-5s"),
        ("--ttl", "NaN"),
        ("--ttl", "inf"),
        ("--ttl", "9223372036854775808"),
        ("--ttl", "1e30"),
        ("--ttl", "ten"),
        ("--ttl", "5 parsecs"),
        ("--ttl", ""),
        ("--ttl", "1\u{1b}[2J"),
        ("--ttl", "9ms"),
        ("--ttl", "366d"),
        ("--wait", "-1"),
        ("--wait", "NaN"),
        ("--wait", "400days"),
        ("--wait", "never"),
        ("--grace", "16s"),
        ("--grace", "-1"),
        ("--max-hold", "0"),
        ("--max-hold", "1ms"),
        ("--max-hold", "9223372036854775808"),
    ] {
        let ended = place.run(["run", "x", option, value, "--", "echo", "ran"]);
        // The library speaks of `max_hold`, the command line of `--max-hold`.
        let named = option.trim_start_matches('-').replace('-', "_");
        let text = ended.err.replace("max-hold", "max_hold");
        assert!(text.contains(&named), "{option} {value}: {ended:?}");
        refused(&ended, 64, "");
    }
    let both = place.run(["run", "x", "--max-hold", "1s", "--grace", "600ms", "--", "echo", "ran"]);
    refused(&both, 64, "600ms");
}

#[test]
fn wrong_names_and_notes() {
    let place = Place::new();
    let long = "n".repeat(65_536);
    for (name, named) in [("", "empty"), (long.as_str(), "65536 bytes"), (&long[..1025], "1025")] {
        refused(&place.run(["run", name, "--", "echo", "ran"]), 64, named);
        refused(&place.run(["show", name]), 64, named);
    }
    assert_eq!(place.run(["show", &long[..1024]]).code(), Some(0));
    let note = "n".repeat(257);
    refused(&place.run(["run", "x", "--note", &note, "--", "echo", "ran"]), 64, "note");

    let odd = OsStr::from_bytes(b"a\xffb");
    for words in [&["show"][..], &["ls"], &["run"], &["run", "x", "--note"], &["run", "x", "--ttl"]]
    {
        let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
        words.push(odd.to_owned());
        words.extend(
            ["--", "echo", "ran"].map(OsString::from).into_iter().take(if words[0] == "run" {
                3
            } else {
                0
            }),
        );
        refused(&place.run(words), 64, "a\\xFFb");
    }
}

#[test]
fn wrong_usage() {
    let place = Place::new();
    for (words, named) in [
        (&["run"][..], "NAME"),
        (&["run", "x"], "CMD"),
        (&["run", "x", "--"], "CMD"),
        (&["run", "x", "true"], "true"),
        (&["run", "x", "--tll", "5s", "--", "true"], "--tll"),
        (&["run", "--\u{9b}2J", "x", "--", "true"], "--\\u{9b}2J"),
        (&["nonsense"], "nonsense"),
        (&["show"], "NAME"),
        (&["completions", "cmd.exe"], "cmd.exe"),
        (&["man", "nonsense"], "nonsense"),
    ] {
        refused(&place.run(words), 64, named);
    }
    assert_eq!(place.run([] as [&str; 0]).code(), Some(64));
    for flag in ["--help", "--version"] {
        let ended = place.run([flag]);
        assert_eq!(ended.code(), Some(0));
        assert!(ended.text().contains("leasehold"));
    }
}

#[test]
fn databases_that_are_none() {
    let place = Place::new();
    fs::create_dir(place.path("folder")).unwrap();
    fs::write(place.path("text"), "This is no database. ".repeat(1000)).unwrap();
    fs::write(place.path("file"), "").unwrap();
    for (path, named) in [
        ("folder", "folder"),
        ("text", "text"),
        ("file/below.db", "below.db"),
        ("/dev/null", "null"),
    ] {
        let url = format!("sqlite://{}", place.path(path).display());
        for command in [&["ls"][..], &["show", "x"], &["run", "x", "--", "echo", "ran"]] {
            let (name, rest) = command.split_first().unwrap();
            let ended = place.run([&[*name, "--store", &url], rest].concat());
            refused(&ended, 74, named);
        }
    }
    assert_eq!(fs::read(place.path("text")).unwrap().len(), 21_000, "and is left alone");
}

/// Root may write anything, so that for root the file must be one that nobody may write.
#[test]
fn a_database_that_may_not_be_written() {
    let place = Place::new();
    assert!(place.free("x"));
    let url = if rustix::process::geteuid().is_root() {
        "sqlite:///proc/version".to_owned()
    } else {
        let mut rights = fs::metadata(place.path("locks.db")).unwrap().permissions();
        rights.set_readonly(true);
        fs::set_permissions(place.path("locks.db"), rights).unwrap();
        place.url()
    };
    let ended = place.run(["run", "x", "--store", &url, "--", "echo", "ran"]);
    refused(&ended, 74, url.trim_start_matches("sqlite://"));
}
