//! What must stay secret, whatever fails: the password and the tokens. Not in an error, its causes or
//! its debug output, not in a log of any level, not on a wire with TLS.

use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, PoisonError};

use leasehold::{Client, Error, ErrorKind, StoreUrl, block_on};
use leasehold_testkit::proxy::{Action, Direction, Fault, Proxy};
use leasehold_testkit::server::{RedisServer, RedisSetup};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use super::scene::{LONG, SHORT, Scene, Test, eventually, now, report, told};

pub(super) const TESTS: &[Test] = &[
    Test { name: "passwords_are_in_no_error", setup: with_canary, body: passwords },
    Test { name: "a_server_that_repeats_the_password", setup: echoing, body: repeated },
    Test { name: "tokens_are_in_no_log", setup: std::convert::identity, body: tokens },
    Test { name: "nothing_readable_with_tls", setup: over_tls, body: wire },
    Test { name: "a_certificate_for_another_name", setup: for_another, body: another_name },
    Test {
        name: "a_certificate_of_an_unknown_authority",
        setup: over_tls,
        body: unknown_authority,
    },
];

/// With all that has a meaning in a URL.
const PASSWORD: &str = "c4n4ry/p@ss:w%rd?#";
/// The same in a URL, with one letter more encoded than need be.
const ENCODED: &str = "c%34n4ry%2Fp%40ss%3Aw%25rd%3F%23";
/// Where either shows.
const TRACES: [&str; 4] = ["n4ry", "p@ss", "p%40ss", "w%rd"];

fn with_canary(setup: RedisSetup) -> RedisSetup {
    setup
        .line(&format!("user locks on >{PASSWORD} ~* &* +@all"))
        .line(&format!("user nobody on >{PASSWORD} ~* &* +hello +auth +client +subscribe +ping"))
}

fn echoing(setup: RedisSetup) -> RedisSetup {
    with_canary(setup).line("rename-command HELLO \"\"")
}

fn over_tls(setup: RedisSetup) -> RedisSetup {
    setup.tls().password("n4ry")
}

fn for_another(setup: RedisSetup) -> RedisSetup {
    setup.tls_for(&["elsewhere.example"]).password("n4ry")
}

fn assert_clean(what: &str, text: &str) {
    for trace in TRACES {
        assert!(!text.contains(trace), "{what} tells the password: {text}");
    }
}

fn assert_discreet(what: &str, error: &Error) {
    let causes = error.causes().join("\n");
    let mut sources = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let _ = write!(sources, "{cause} {cause:?}");
        source = cause.source();
    }
    assert_clean(what, &format!("{error} {error:?} {error:#?} {causes} {sources}"));
}

fn assert_shows_nothing(what: &str, thing: &impl Debug) {
    assert_clean(what, &format!("{thing:?} {thing:#?}"));
}

fn passwords(scene: &Scene<'_>) {
    let port = scene.proxy.port();
    let url = |user: &str| format!("redis://{user}:{ENCODED}@127.0.0.1:{port}");
    let parsed = StoreUrl::parse(&url("locks")).expect("a URL");
    assert_clean("the URL", &format!("{parsed} {parsed:?}"));

    let client = Client::connect(&url("locks")).expect("a client");
    block_on(client.ping()).expect("the password is right");
    assert_shows_nothing("the client", &client);
    assert_shows_nothing("the lock", &client.lock("secret"));
    let lease = client.lock("secret").acquire_blocking().expect("free");
    assert_shows_nothing("the lease", &lease);
    block_on(lease.release());

    let fails = |what: &str, client: &Client, kind: ErrorKind| {
        for asked in [
            block_on(client.ping()),
            client.lock("secret").ttl(SHORT).acquire_blocking().map(drop),
            block_on(client.inspect("secret")).map(drop),
        ] {
            let error = asked.expect_err(what);
            report(&format!("{what}: {error}"));
            assert_eq!(error.kind(), kind, "{what}: {error}");
            assert_discreet(what, &error);
        }
    };
    let nobody = Client::connect(&url("nobody")).expect("a client");
    block_on(nobody.ping()).expect("it may do that");
    let error = block_on(nobody.inspect("secret")).expect_err("no rights");
    assert!(
        error.kind() == ErrorKind::StoreFailed && error.message().contains("NOPERM"),
        "{error}"
    );
    assert_discreet("no rights", &error);
    let stranger = Client::connect(&url("stranger")).expect("a client");
    fails("a wrong password", &stranger, ErrorKind::StoreFailed);
    scene.proxy.refuse();
    let refused = Client::connect(&url("locks")).expect("a client");
    fails("nobody listens", &refused, ErrorKind::StoreUnavailable);
    scene.proxy.admit();
    scene.proxy.set_all(Fault::BlackHole);
    let silent = Client::connect(&url("locks")).expect("a client");
    let error = block_on(silent.ping()).expect_err("silence");
    assert_discreet("silence", &error);
    fails_to_parse();
    assert_clean("the log", &log());
}

fn fails_to_parse() {
    for url in [
        format!("redis://locks:{PASSWORD}@127.0.0.1"),
        format!("redis://locks:{ENCODED}@127.0.0.1:port"),
        format!("redis://locks:{ENCODED}@[::1"),
        format!("redis://locks:{ENCODED}@"),
        format!("redis://locks:{ENCODED}@host/database"),
        format!("redis://locks:{ENCODED}@host?password={ENCODED}"),
        format!("redis://locks:{ENCODED}@host#{ENCODED}"),
        format!("redis://locks:{ENCODED}%FF@host"),
        format!("rediss://locks:{ENCODED}@host?ca="),
        format!("redis+sentinel://locks:{ENCODED}@host"),
        format!("radis://locks:{ENCODED}@host"),
        format!("redis:/locks:{ENCODED}@host"),
        format!("redis:locks:{ENCODED}@host"),
        format!("redis//locks:{ENCODED}@host"),
        format!("://locks:{ENCODED}@host"),
        format!("{PASSWORD}@host:6379"),
        "redis://locks:12/c4n4ry@host".to_owned(),
        "redis://locks:12?c4n4ry@host".to_owned(),
        "redis://locks:12#c4n4ry@host".to_owned(),
        "locks:x//c4n4ry@host".to_owned(),
    ] {
        let error = Client::connect(&url).expect_err(&url);
        assert_discreet(&url.replace("n4ry", "…"), &error);
    }
    // A file of authorities that isn't there, found out when it is needed.
    let url = format!("rediss://locks:{ENCODED}@127.0.0.1:1?ca=/nowhere");
    let error = block_on(Client::connect(&url).expect("a client").ping()).expect_err("no file");
    assert!(error.message().contains("/nowhere"), "{error}");
    assert_discreet("a missing file", &error);
}

/// A server that doesn't know the greeting answers with the words of it.
fn repeated(scene: &Scene<'_>) {
    let mut plain = scene.server.connect(LONG).expect("a connection");
    let echo = plain.ask(&["HELLO", "3", "AUTH", "locks", PASSWORD]).expect("an answer").text();
    assert!(echo.contains("n4ry"), "this server doesn't: {echo}");
    let url = format!("redis://locks:{ENCODED}@127.0.0.1:{}", scene.server.port());
    let client = Client::connect(&url).expect("a client");
    for asked in [block_on(client.ping()), client.lock("secret").acquire_blocking().map(drop)] {
        let error = asked.expect_err("no greeting");
        report(&error.to_string());
        assert!(error.message().contains("HELLO"), "{error}");
        assert_discreet("the answer to the greeting", &error);
    }
    assert_clean("the log", &log());
}

/// Whoever has a token can end or prolong the tenure.
fn tokens(scene: &Scene<'_>) {
    let lease = scene.client.lock("token").ttl(SHORT).acquire_blocking().expect("free");
    let told = told(&lease);
    let token = scene.token("token");
    assert_eq!(token.len(), 32);
    let shown = format!("{lease:?} {lease:#?}");
    scene.proxy.refuse();
    scene.proxy.reset(leasehold_testkit::proxy::Which::All);
    super::scene::hear(&told);
    block_on(lease.release());
    scene.proxy.heal();
    let lease = scene.client.lock("token").ttl(LONG).acquire_blocking().expect("in the end");
    let newer = scene.token("token");
    scene.proxy.set_all(Fault::BlackHole);
    block_on(lease.release());
    let views = format!("{:?}", block_on(scene.other.inspect("token")).expect("a view"));
    let log = log();
    for token in [token, newer] {
        for (what, text) in [("the lease", &shown), ("the view", &views), ("the log", &log)] {
            assert!(!text.contains(&token), "{what} tells the token: {text}");
        }
    }
    assert!(log.contains("lease lost"), "the log is looked at");
}

/// A lock is taken, waited for, handed over and given back.
fn talk(client: &Client) -> String {
    let lease = client.lock("wiretapped").ttl(SHORT).acquire_blocking().expect("free");
    let until = now() + SHORT;
    eventually("it was renewed", || {
        assert!(lease.is_held(), "{:?}", lease.lost_reason());
        now() > until
    });
    std::thread::scope(|scope| {
        let next = scope.spawn(|| client.lock("wiretapped").acquire_blocking().expect("a lease"));
        eventually("one waits", || {
            block_on(client.inspect("wiretapped")).expect("a view").waiting == 1
        });
        block_on(lease.release());
        block_on(next.join().expect("granted").release());
    });
    "wiretapped".to_owned()
}

fn wire(scene: &Scene<'_>) {
    let (_, port) = scene
        .server
        .tls_url()
        .rsplit_once(':')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("a port");
    let port: u16 = port.parse().expect("a port");
    let tls = Proxy::start((std::net::Ipv4Addr::LOCALHOST, port).into());
    let ca = scene.server.ca_path();
    let secure = format!("{}?ca={}", tls.url(&scene.server.tls_url()), ca.display());
    for (proxy, url, readable) in
        [(&scene.proxy, scene.proxy.url(&scene.server.url()), true), (&tls, secure, false)]
    {
        let mut traps = Vec::new();
        for direction in Direction::BOTH {
            for word in ["n4ry", "wiretapped", "EVALSHA", "leasehold"] {
                traps.push((direction, word, proxy.trap(direction, word, Action::Note, 1)));
            }
        }
        talk(&Client::connect(&url).expect("a client"));
        let stats = proxy.stats();
        assert!(stats.to_server.delivered > 1000, "{stats:?}");
        let seen: Vec<_> =
            traps.iter().filter(|trap| stats.sprung(trap.2) > 0).map(|trap| trap.1).collect();
        report(&format!("{url}: seen on the wire: {seen:?}").replace("n4ry", "…"));
        if readable {
            assert!(seen.contains(&"n4ry") && seen.contains(&"wiretapped"));
        } else {
            assert!(seen.is_empty(), "{seen:?}");
        }
    }
}

fn another_name(scene: &Scene<'_>) {
    let url = format!("{}?ca={}", scene.server.tls_url(), scene.server.ca_path().display());
    assert_refused(scene, &url);
}

fn unknown_authority(scene: &Scene<'_>) {
    let other =
        RedisServer::start(&over_tls(RedisSetup::new(scene.server.flavour()))).expect("a server");
    let url = format!("{}?ca={}", scene.server.tls_url(), other.ca_path().display());
    assert_refused(scene, &url);
    // Those of the system don't vouch for it either.
    let error = block_on(Client::connect(&scene.server.tls_url()).expect("a client").ping());
    assert_discreet("the system's authorities", &error.expect_err("refused"));
}

/// The server is not who it must be: it is told nothing.
fn assert_refused(scene: &Scene<'_>, url: &str) {
    let client = Client::connect(url).expect("a client");
    for asked in [block_on(client.ping()), client.lock("refused").acquire_blocking().map(drop)] {
        let error = asked.expect_err("refused");
        report(&error.to_string());
        assert!(format!("{error:?}").contains("certificate"), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::StoreFailed, "trying again doesn't help: {error:?}");
        assert_discreet("a certificate", &error);
    }
    assert!(!scene.server.commandstats().contains_key("hello"), "it was greeted");
}

static LOG: Mutex<String> = Mutex::new(String::new());

/// All that was logged in this process so far, at any level.
fn log() -> String {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Keeps every event of the process.
pub(super) fn keep_log() {
    tracing::subscriber::set_global_default(Keep).expect("the first subscriber");
}

struct Keep;

struct Line<'l>(&'l mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Keep {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut Line(&mut LOG.lock().unwrap_or_else(PoisonError::into_inner)));
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Line(&mut LOG.lock().unwrap_or_else(PoisonError::into_inner)));
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        let metadata = event.metadata();
        let _ = write!(log, "{} {}", metadata.level(), metadata.target());
        event.record(&mut Line(&mut log));
        log.push('\n');
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
