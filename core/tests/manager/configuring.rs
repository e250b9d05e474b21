//! A configuration is right as a whole, or refused with the place that is wrong; and no secret is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold::manager::{Config, LockKind, Manager, Permissions, Settings};
use leasehold::{ErrorKind, Order, Patience};
use leasehold_testkit::{folder, property};

pub(super) const PLAIN: &[super::Plain] = super::plain![
    everything_can_be_said_in_toml,
    the_same_can_be_said_in_json,
    what_is_wrong_is_named_with_its_place,
    what_is_wrong_in_code_is_named_too,
    no_secret_is_shown,
    a_file_is_named_in_its_errors,
    the_longest_prefix_counts,
];

fn everything_can_be_said_in_toml() {
    let read = Config::from_toml(
        r#"
        [stores]
        main = { url = "redis://localhost" }
        local.url = "sqlite:///tmp/locks.db"

        [defaults]
        store = "main"
        ttl = 20
        wait = "forever"

        [name."nightly report"]
        ttl = "1h 5m"
        wait = "none"
        renew = false
        max_hold = "2h"
        priority = -3
        max_queue = 7
        order = "throughput"
        deadlock_priority = 2
        note = "the report"

        [prefix."slots:"]
        store = "local"
        kind = "semaphore"
        capacity = 10
        wait = 2.5

        [prefix."prices:"]
        kind = "rwlock"
        wait = 0

        [permissions]
        evict = true
        "#,
    );
    let made = Config::new()
        .store("main", "redis://localhost")
        .and_then(|config| config.store("local", "sqlite:///tmp/locks.db"))
        .map(|config| {
            config
                .defaults(Settings {
                    store: Some("main".to_owned()),
                    ttl: Some(Duration::from_secs(20)),
                    wait: Some(Patience::Forever),
                    ..Settings::default()
                })
                .permissions(Permissions { evict: true })
        })
        .and_then(|config| {
            config.name(
                "nightly report",
                Settings {
                    ttl: Some(Duration::from_secs(3900)),
                    wait: Some(Patience::None),
                    renew: Some(false),
                    max_hold: Some(Duration::from_secs(7200)),
                    priority: Some(-3),
                    max_queue: Some(7),
                    order: Some(Order::Throughput),
                    deadlock_priority: Some(2),
                    note: Some("the report".to_owned()),
                    ..Settings::default()
                },
            )
        })
        .and_then(|config| {
            config.prefix(
                "slots:",
                Settings {
                    store: Some("local".to_owned()),
                    kind: Some(LockKind::Semaphore),
                    capacity: Some(10),
                    wait: Some(Patience::AtMost(Duration::from_millis(2500))),
                    ..Settings::default()
                },
            )
        })
        .and_then(|config| {
            config.prefix(
                "prices:",
                Settings {
                    kind: Some(LockKind::RwLock),
                    wait: Some(Patience::None),
                    ..Settings::default()
                },
            )
        });
    let read = read.expect("it is right");
    assert_eq!(read, made.expect("it is right"));
    Manager::new(read).expect("it is right, and no store is opened");
}

fn what_is_wrong_is_named_with_its_place() {
    const STORE: &str = "stores.main.url = \"memory://\"\n";
    const TWO: &str = "stores.a.url = \"memory://\"\nstores.b.url = \"memory://\"\n";
    use ErrorKind::{InvalidInput, Unsupported};
    let table: &[(&str, &str, ErrorKind, &[&str])] = &[
        ("", "", InvalidInput, &["no store"]),
        ("", "stores = 5", InvalidInput, &["line 1, column 10", "expected a map"]),
        ("", "stores.main.url = ", InvalidInput, &["line 1, column 19"]),
        ("", "stores.main.url = 5", InvalidInput, &["line 1", "integer `5`", "expected a string"]),
        ("", "stores.main.uri = \"memory://\"", InvalidInput, &["unknown field `uri`", "`url`"]),
        ("", "stores.main.url = \"nonsense://x\"", InvalidInput, &["store \"main\"", "nonsense"]),
        ("", "stores.main.url = \"etcd://x\"", Unsupported, &["store \"main\"", "etcd"]),
        (STORE, "sotres = 1", InvalidInput, &["line 2, column 1", "unknown field `sotres`"]),
        (STORE, "[defaults]\nttl = \"1 parsec\"", InvalidInput, &["line 3", "1 parsec", "30s"]),
        (STORE, "[defaults]\nttl = -1", InvalidInput, &["line 3", "-1"]),
        (STORE, "[defaults]\nttl = nan", InvalidInput, &["line 3", "NaN"]),
        (STORE, "[defaults]\nttl = true", InvalidInput, &["line 3", "boolean", "seconds"]),
        (STORE, "[defaults]\nttl = \"1ms\"", InvalidInput, &["defaults: ttl is 1ms"]),
        (
            STORE,
            "[defaults]\nstore = \"b\"",
            InvalidInput,
            &["defaults: there is no store \"b\"", "\"main\""],
        ),
        (STORE, "[name.x]\nstore = \"b\"", InvalidInput, &["name \"x\": there is no store \"b\""]),
        (
            STORE,
            "[prefix.x]\nstore = \"b\"",
            InvalidInput,
            &["prefix \"x\": there is no store \"b\""],
        ),
        (
            TWO,
            "[name.x]\nttl = 5",
            InvalidInput,
            &["name \"x\": it names no store", "\"a\", \"b\""],
        ),
        (STORE, "[name.x]\nttl = 5\n[name.x]\nttl = 6", InvalidInput, &["line 4", "duplicate key"]),
        (STORE, "[prefix.\"\"]\nttl = 5", InvalidInput, &["prefix \"\"", "the defaults"]),
        (STORE, "[name.\"\"]\nttl = 5", InvalidInput, &["name \"\"", "empty"]),
        (STORE, "[name.x]\nkind = \"mutex\"", InvalidInput, &["line 3", "`mutex`", "`rwlock`"]),
        (STORE, "[name.x]\nkind = \"semaphore\"", InvalidInput, &["name \"x\"", "a capacity"]),
        (
            STORE,
            "[name.x]\nkind = \"semaphore\"\ncapacity = 0",
            InvalidInput,
            &["name \"x\"", "from 1"],
        ),
        (STORE, "[name.x]\ncapacity = -1", InvalidInput, &["line 3", "-1"]),
        (STORE, "[name.x]\ncapacity = 3", InvalidInput, &["name \"x\"", "exclusive"]),
        (STORE, "[name.x]\nmax_hold = 0", InvalidInput, &["name \"x\": max_hold is 0ns"]),
        (STORE, "[permissions]\nevict = \"yes\"", InvalidInput, &["line 3", "expected a boolean"]),
        (STORE, "[name.x]\norder = \"random\"", InvalidInput, &["line 3", "throughput"]),
        (STORE, "[permissions]\nexvict = true", InvalidInput, &["line 3", "`exvict`", "`evict`"]),
    ];
    for (before, text, kind, words) in table {
        let text = format!("{before}{text}");
        let error = Manager::from_toml(&text).expect_err(&text);
        assert_eq!(error.kind(), *kind, "{text}\n{error:?}");
        for word in *words {
            assert!(error.message().contains(word), "{text}\n{error}\nshould name {word}");
        }
    }
}

fn the_same_can_be_said_in_json() {
    let toml = r#"
        stores.main.url = "redis://localhost"
        defaults = { ttl = 2.5, wait = "forever", order = "throughput" }
        prefix."slots:" = { kind = "semaphore", capacity = 10, wait = 0, renew = false }
        name."a\"b" = { ttl = "1h 5m" }
        permissions.evict = true
    "#;
    let json = r#"{
        "stores": {"main": {"url": "redis://localhost"}},
        "defaults": {"ttl": 2.5, "wait": "forever", "order": "throughput"},
        "prefix": {"slots:": {"kind": "semaphore", "capacity": 10, "wait": 0, "renew": false}},
        "name": {"a\"b": {"ttl": "1h 5m"}},
        "permissions": {"evict": true}
    }"#;
    let read = Config::from_json(json).expect("it is right");
    assert_eq!(read, Config::from_toml(toml).expect("it is right"));
    for (text, message) in [
        ("{\n  \"stroes\": {}}", "the configuration, line 2, column 10: unknown field `stroes`"),
        ("", "the configuration, line 1, column 0: EOF while parsing a value"),
        (
            r#"{"stores": "redis://user:canary@host"}"#,
            "the configuration, line 1, column 37: invalid type: text, expected a map",
        ),
        (
            r#"{"defaults": {"ttl": "redis://user:canary@host"}}"#,
            "the configuration, line 1, column 48: ",
        ),
    ] {
        let error = Config::from_json(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().starts_with(message), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

fn what_is_wrong_in_code_is_named_too() {
    let config = || Config::new().store("main", "memory://").expect("the first");
    let wrong = |config: leasehold::Result<Config>, words: &str| {
        let error = config.expect_err(words);
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidInput, words));
    };
    wrong(config().store("main", "memory://"), "store \"main\" is there twice");
    let named = config().name("x", Settings::default()).expect("the first");
    wrong(named.name("x", Settings::default()), "name \"x\" is there twice");
    let prefixed = config().prefix("x", Settings::default()).expect("the first");
    wrong(prefixed.prefix("x", Settings::default()), "prefix \"x\" is there twice");

    let manager = Manager::new(
        config()
            .store("other", "memory://")
            .and_then(|config| {
                let store = Some("other".to_owned());
                config.name("x", Settings { store, ..Settings::default() })
            })
            .expect("it is right"),
    )
    .expect("it is right");
    assert!(manager.lock("x").is_ok(), "it is named");
    let error = manager.lock("y").expect_err("nothing names it");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("lock \"y\": no rule"), "{error}");
}

/// Wherever a URL stands, and whatever is wrong with it or beside it.
fn no_secret_is_shown() {
    let wrong = [
        "stores.main = \"redis://user:canary@host\"",
        "stores = \"redis://user:canary@host\"",
        "stores.main.url = [\"redis://user:canary@host\"]",
        "stores.main.url = \"redis://user:canary@host",
        "stores.main.url = \"redis://user:canary@host\" x",
        "stores.main.url = redis://user:canary@host",
        "stores.main.url = \"redis://user:canary@host:port\"",
        "stores.main.url = \"nonsense://user:canary@host\"",
        "stores.main.url = \"redis://user:can\\\"canary\\\"@host:port\"",
        "stores.main.url = \"redis://host/0?password=canary\"",
        "stores.\"redis://user:canary@host\" = 5",
        "\"redis://user:canary@host\" = 5",
        "stores.main.url = \"memory://\"\ndefaults.ttl = \"redis://user:canary@host\"",
        "stores.main.url = \"memory://\"\ndefaults.kind = \"redis://user:canary@host\"",
        "stores.main.url = \"memory://\"\ndefaults.store = \"redis://user:canary@host\"",
        "stores.main.url = \"memory://\"\ndefaults.ttl = [\"a\\\"b\", \"redis://user:canary@host\"]",
    ];
    for text in wrong {
        let error = Manager::from_toml(text).expect_err(text);
        for shown in [format!("{error}"), format!("{error:?}"), error.causes().join("\n")] {
            assert!(!shown.contains("canary"), "{text}\n{shown}");
        }
        assert!(error.message().len() > 20, "{text}: {error}");
    }
    let text = "stores.main.url = \"redis://user:canary@host\"";
    let config = Config::from_toml(text).expect("it is right");
    let manager = Manager::new(config.clone()).expect("it is right");
    for shown in [format!("{config:?}"), format!("{manager:?}"), format!("{:#?}", config.stores)] {
        assert!(!shown.contains("canary") && shown.contains("host"), "{shown}");
    }
}

fn a_file_is_named_in_its_errors() {
    let folder = folder("configuration").expect("a folder");
    let path = folder.path().join("locks.toml");
    let error = Manager::from_file(&path).expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::StoreFailed);
    assert!(error.message().contains("locks.toml"), "{error}");
    std::fs::write(&path, "stores.main.url = \"memory://\"\nx = 1\n").expect("a file");
    let error = Manager::from_file(&path).expect_err("an unknown key");
    assert!(
        error.message().contains("locks.toml") && error.message().contains("line 2"),
        "{error}"
    );
    std::fs::write(&path, "stores.main.url = \"memory://\"\n").expect("a file");
    let manager = Manager::from_file(&path).expect("it is right");
    leasehold::block_on(manager.lock("x").expect("a lock").acquire()).expect("granted");
}

/// Against the obvious way: all prefixes are looked at, and the longest that fits is taken.
fn the_longest_prefix_counts() {
    let text = || proptest::string::string_regex("[aäb:]{1,6}").expect("a pattern");
    let inputs = (
        proptest::collection::btree_map(text(), 10_u32..20, 0..8),
        proptest::collection::btree_map(text(), 20_u32..30, 0..4),
        proptest::collection::vec(text(), 1..20),
    );
    property(300, &inputs, |(prefixes, names, asked)| {
        let settings = |ttl: &u32| Settings {
            ttl: Some(Duration::from_secs(u64::from(*ttl))),
            ..Settings::default()
        };
        let all = |rules: &BTreeMap<String, u32>| {
            rules.iter().map(|(rule, ttl)| (rule.clone(), settings(ttl))).collect()
        };
        let config = Config {
            name: all(names),
            prefix: all(prefixes),
            ..Config::new().store("main", "memory://").expect("the first")
        };
        let manager = Manager::new(config).map_err(|error| error.to_string())?;
        for name in asked {
            let longest = prefixes
                .iter()
                .filter(|(prefix, _)| name.starts_with(prefix.as_str()))
                .max_by_key(|(prefix, _)| prefix.len());
            let expected = names.get(name).or(longest.map(|(_, ttl)| ttl)).copied();
            let lease = manager.lock(name).and_then(|lock| lock.acquire_blocking());
            let lease = lease.map_err(|error| error.to_string())?;
            let left = lease.remaining();
            let expected = u64::from(expected.unwrap_or(30));
            let range = Duration::from_secs(expected - 1)..Duration::from_secs(expected);
            if !range.contains(&left) {
                return Err(format!("{name} has {left:?} instead of {expected} s"));
            }
            leasehold::block_on(lease.release());
        }
        Ok(())
    });
}
