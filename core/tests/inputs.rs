//! Bad input gives a typed error that names the input, and does nothing.

use std::time::Duration;

use leasehold::{Client, ClientOptions, ErrorKind, LockOptions, Patience, block_on};

fn client() -> Client {
    Client::connect("memory://").expect("a client")
}

#[test]
fn wrong_urls_are_refused_by_the_part_that_is_wrong() {
    use ErrorKind::{InvalidInput, Unsupported};
    let table: &[(&str, ErrorKind, &str)] = &[
        ("", InvalidInput, "scheme"),
        ("locks.db", InvalidInput, "locks.db"),
        ("/tmp/locks.db", InvalidInput, "scheme"),
        ("://", InvalidInput, "scheme"),
        ("nonsense://x", InvalidInput, "nonsense"),
        ("SQLITE:///x", InvalidInput, "SQLITE"),
        ("sqlite", InvalidInput, "sqlite"),
        ("sqlite:", InvalidInput, "path"),
        ("sqlite://", InvalidInput, "path"),
        ("sqlite://host/path", InvalidInput, "host"),
        ("sqlite:///x?mode=ro", InvalidInput, "parameters"),
        ("sqlite:///x%00y", InvalidInput, "NUL"),
        ("sqlite:///x%FF", InvalidInput, "UTF-8"),
        ("memory:", InvalidInput, "memory:"),
        ("memory://a/b", InvalidInput, "a/b"),
        ("memory://a b", InvalidInput, "a b"),
        ("redis://", InvalidInput, "host"),
        ("redis:///0", InvalidInput, "host"),
        ("etcd://", InvalidInput, "host"),
        ("redis://localhost/db", InvalidInput, "database"),
        ("etcd://localhost", Unsupported, "etcd"),
        ("rediss://localhost?timeout=1", InvalidInput, "timeout"),
        ("postgres://localhost/db", Unsupported, "postgres"),
        ("mysql://localhost/db", Unsupported, "mysql"),
        ("zookeeper://localhost", Unsupported, "zookeeper"),
        ("etcd://localhost:2379", Unsupported, "etcd"),
    ];
    for (url, kind, names) in table {
        let error = Client::connect(url).expect_err(url);
        assert_eq!(error.kind(), *kind, "{url:?}: {error:?}");
        assert!(error.message().contains(names), "{url:?}: {error} should name {names:?}");
    }
}

/// No password in any error.
#[test]
fn secrets_in_a_url_are_never_shown() {
    let urls = [
        "nonsense://user:canary@host/x",
        "redis://user:canary@host:notaport/0",
        "redis://user:canary@host/0",
        "redis://:canary@",
        "canary@host",
        "redis://host/0?password=canary",
        "etcd://user:canary@/x",
        "memory://user:canary@x",
        "sqlite://user:canary@host/x",
        "sqlite:///x?key=canary",
    ];
    for url in urls {
        let all = match Client::connect(url) {
            Ok(client) => format!("{client:?}"),
            Err(error) => {
                format!("{error} {error:?} {:?} {}", error.causes(), error.message())
            }
        };
        assert!(!all.contains("canary"), "{url} is shown as {all}");
    }
}

#[test]
fn wrong_names_are_refused() {
    let client = client();
    let long = "x".repeat(64 * 1024);
    let just_too_long = format!("{}é", "x".repeat(1023));
    for name in ["", &long, &just_too_long] {
        for error in [
            block_on(client.lock(name).acquire()).expect_err("a wrong name"),
            block_on(client.lock(name).try_acquire()).expect_err("a wrong name"),
            client.lock(name).acquire_blocking().expect_err("a wrong name"),
            block_on(client.inspect(name)).expect_err("a wrong name"),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
            assert!(error.message().contains("1 to 1,024 bytes"), "{error}");
            assert!(error.message().len() < 400, "the error doesn't repeat 64 KiB");
        }
    }
    let error = client.lock("x".repeat(2000)).acquire_blocking().expect_err("too long");
    assert!(error.message().contains("2000 bytes"), "{error}");
}

#[test]
fn odd_names_are_allowed() {
    let client = client();
    let longest = "x".repeat(1024);
    for name in ["\0", "\n", "\u{1b}[2J", "🔒", " ", "a/b", "\u{202e}", longest.as_str()] {
        let lease = client.lock(name).acquire_blocking().expect("any code points");
        assert_eq!(lease.name().as_str(), name);
    }
    // A terminal must not obey a lock's name.
    let lease = client.lock("\u{1b}[2J").acquire_blocking().expect("free");
    assert!(!format!("{lease:?} {}", lease.name()).contains('\u{1b}'));
}

#[test]
fn wrong_options_are_refused_by_name_and_value() {
    let client = client();
    let year = Duration::from_secs(365 * 24 * 3600);
    let options = LockOptions::default;
    let table = [
        (LockOptions { ttl: Duration::ZERO, ..options() }, "ttl is 0ns"),
        (LockOptions { ttl: Duration::from_millis(9), ..options() }, "ttl is 9ms"),
        (LockOptions { ttl: year + Duration::from_nanos(1), ..options() }, "ttl is"),
        (LockOptions { ttl: Duration::from_secs(1 << 63), ..options() }, "ttl is"),
        (LockOptions { ttl: Duration::MAX, ..options() }, "ttl is"),
        (LockOptions { wait: Patience::AtMost(Duration::MAX), ..options() }, "wait is"),
        (LockOptions { wait: Patience::AtMost(2 * year), ..options() }, "wait is"),
        (LockOptions { max_hold: Some(Duration::ZERO), ..options() }, "max_hold is 0ns"),
        (LockOptions { max_hold: Some(Duration::MAX), ..options() }, "max_hold is"),
        (LockOptions { note: "n".repeat(257), ..options() }, "257 bytes"),
    ];
    for (wrong, names) in table {
        let lock = client.lock("options").options(wrong.clone());
        let error = lock.acquire_blocking().expect_err("a wrong option");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong:?}: {error:?}");
        assert!(error.message().contains(names), "{error} should say {names:?}");
        let with = ClientOptions { defaults: wrong, ..ClientOptions::default() };
        let error = Client::with("memory://", with).expect_err("a wrong default");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    }
    let view = block_on(client.inspect("options")).expect("a view");
    assert!(view.holder.is_none() && view.waiting == 0, "a refusal does nothing");
}

#[test]
fn the_bounds_themselves_are_allowed() {
    let client = client();
    let year = Duration::from_secs(365 * 24 * 3600);
    let options = LockOptions {
        ttl: year,
        wait: Patience::AtMost(year),
        max_hold: Some(year),
        note: "n".repeat(256),
        ..LockOptions::default()
    };
    let lease = client.lock("bounds").options(options).acquire_blocking().expect("allowed");
    assert!(lease.is_held());
    let short = client.lock("short").ttl(Duration::from_millis(10)).fixed_term();
    short.acquire_blocking().expect("allowed");
}

#[test]
fn seconds_of_other_languages_are_checked() {
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.001, 1e300, 2_f64.powi(64)] {
        let error = leasehold::options::seconds("ttl", wrong).expect_err("no duration");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}: {error:?}");
        assert!(error.message().starts_with("ttl is"), "{error}");
    }
    let half = leasehold::options::seconds("ttl", 0.5).expect("half a second");
    assert_eq!(half, Duration::from_millis(500));
    assert_eq!(leasehold::options::seconds("wait", 0.0).expect("zero"), Duration::ZERO);
}
