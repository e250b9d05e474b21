//! The peers put to the test, against the bare commands that their locks come down to and against
//! each other: what the table says of each library is so, and they exclude who locks the same key.
//! Without that, a test of ours against them could pass for having locked another key.
//!
//! Each runs in a process of its own on a real server. Where a library can't be had its tests are
//! ignored, unless `REQUIRE` names `peers`.

use std::path::Path;
use std::time::Duration;

use leasehold_testkit::folder;
use leasehold_testkit::oracle::{Log, boot_nanos, judge};
use leasehold_testkit::peer::{
    ALL, Layout, Library, Outcome, Peer, Raw, Released, Wakes, Want, Watch, on_peers,
};
use leasehold_testkit::server::{Flavour, RedisServer, RedisSetup, Reply, on_redis};
use libtest_mimic::{Arguments, Trial};

/// A lock that nothing here outlives.
const LONG: Duration = Duration::from_secs(60);
/// One whose expiry is waited for: some libraries count in seconds, and a loaded machine must get
/// between grant and expiry what a test does there.
const SHORT: Duration = Duration::from_secs(2);
/// How much longer than its poll a peer may take to see that a lock is free.
const SLACK: Duration = Duration::from_secs(2);
/// Two clocks that count milliseconds, and a server that reads its own once per event.
const ROUNDING: Duration = Duration::from_millis(20);
const NAME: &str = "contended";
/// How often each contender of a mix holds the lock.
const SECTIONS: usize = 8;
/// For how long it looks each time whether it is alone: longer than it takes that another tries.
const HOLD: Duration = Duration::from_millis(30);

type Case = (&'static str, fn(&Library) -> bool, fn(&RedisServer, &'static Library));

const CASES: [Case; 9] = [
    ("locks_the_key_of_the_table", |_| true, locks_the_key),
    ("extends_only_its_own", |library| library.extends, extends),
    ("never_expires_when_told_so", |library| library.eternal, never_expires),
    ("waits_for_another", |_| true, waits),
    ("needs_its_bell", |library| library.poll().is_none(), needs_its_bell),
    ("keeps_another_waiting", |_| true, keeps_waiting),
    ("dies_with_the_lock", |_| true, dies),
    ("does_not_release_what_it_lost", |_| true, loses),
    ("renews_until_it_is_stopped", |library| library.renews, renews),
];

fn main() {
    let mut trials = Vec::new();
    for library in ALL {
        for (case, applies, body) in CASES {
            if applies(library) {
                let run = move |server: &RedisServer| body(server, library);
                trials.push(trial(&format!("{}::{case}", library.name), vec![library], run));
            }
        }
    }
    // Who locks the name itself can lock every other's key too.
    let mut prefixes: Vec<&str> = ALL.iter().map(|library| library.prefix).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    for prefix in prefixes {
        let text = ALL.iter().filter(|library| library.layout == Layout::Text);
        let who: Vec<_> = text.filter(|library| ["", prefix].contains(&library.prefix)).collect();
        let key = format!("{prefix}{NAME}");
        trials.push(trial(&format!("mix::{key}"), who.clone(), move |server| {
            mix(server, &who, &key);
        }));
    }
    let redisson = vec![Library::of("redisson"); 3];
    trials.push(trial("mix::redisson", redisson.clone(), move |server| {
        mix(server, &redisson, NAME);
    }));
    let layouts = vec![Library::of("redis-py"), Library::of("redisson")];
    trials.push(trial("layouts::refuse_each_other", layouts, layouts_refuse_each_other));
    let mut arguments = Arguments::from_args();
    // They wait most of the time, for expiries and for peers that poll.
    arguments.test_threads.get_or_insert(6);
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(
    name: &str,
    libraries: Vec<&'static Library>,
    body: impl FnOnce(&RedisServer) + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        on_peers(&libraries, || on_redis(&RedisSetup::new(Flavour::Redis), body))
    })
}

fn start(server: &RedisServer, library: &'static Library) -> Peer {
    library.start(&server.url()).expect("on_peers asked for it")
}

fn held(server: &RedisServer, library: &'static Library, ttl: Duration) -> Peer {
    let mut peer = start(server, library);
    assert_eq!(peer.acquire(Want::now(NAME, ttl)), Outcome::Held);
    peer
}

/// What a library says that has just given back a lock of its own.
fn done(library: &Library) -> Released {
    if library.tells { Released::Done } else { Released::Untold }
}

/// What it says where the lock was another's.
fn lost(library: &Library) -> Released {
    if library.tells { Released::NotHeld } else { Released::Untold }
}

fn time_to_live(server: &RedisServer, key: &str) -> Duration {
    let millis = server.admin(&["PTTL", key]).integer();
    Duration::from_millis(u64::try_from(millis).unwrap_or_else(|_| panic!("PTTL {millis}")))
}

fn locks_the_key(server: &RedisServer, library: &'static Library) {
    let mut peer = held(server, library, LONG);
    let key = library.key(NAME);
    let keys: Vec<String> =
        server.admin(&["KEYS", "*"]).list().iter().map(|key| key.text()).collect();
    assert_eq!(keys, std::slice::from_ref(&key));
    assert_eq!(library.name_of(&key), Some(NAME));
    let kind = match library.layout {
        Layout::Text => "string",
        Layout::Hash => "hash",
    };
    assert_eq!(server.admin(&["TYPE", &key]).text(), kind);
    let left = time_to_live(server, &key);
    assert!(left <= LONG && left > LONG / 2, "{left:?}");
    assert_eq!(peer.release(), done(library));
    assert_eq!(server.admin(&["EXISTS", &key]).integer(), 0);
}

fn extends(server: &RedisServer, library: &'static Library) {
    let mut peer = held(server, library, LONG);
    let key = library.key(NAME);
    assert_eq!(peer.extend(LONG * 2), Released::Done);
    let left = time_to_live(server, &key);
    assert!(left > LONG && left <= LONG * 2, "{left:?}");
    assert_eq!(server.admin(&["DEL", &key]).integer(), 1);
    let other = Raw::new(server, library, NAME, "other");
    assert!(other.take(LONG));
    assert_eq!(peer.extend(LONG * 2), Released::NotHeld);
    assert!(other.holds() && time_to_live(server, &key) <= LONG);
}

fn never_expires(server: &RedisServer, library: &'static Library) {
    let mut peer = held(server, library, Duration::ZERO);
    let key = library.key(NAME);
    assert_eq!(server.admin(&["PTTL", &key]).integer(), -1);
    assert_eq!(peer.release(), done(library));
    assert_eq!(server.admin(&["EXISTS", &key]).integer(), 0);
}

fn waits(server: &RedisServer, library: &'static Library) {
    let other = Raw::new(server, library, NAME, "other");
    let mut peer = start(server, library);
    assert!(other.take(LONG));
    assert_eq!(peer.acquire(Want::now(NAME, LONG)), Outcome::Busy);
    let mut watch = Watch::commands(server);
    peer.ask(Want::now(NAME, LONG).wait(LONG / 2));
    watch.waiter(library, NAME);
    assert!(other.holds());
    let released = boot_nanos();
    assert!(other.give_back());
    other.call();
    assert_eq!(peer.outcome(), Outcome::Held);
    let took = Duration::from_nanos(boot_nanos() - released);
    println!("{} took {took:.1?} to see that the lock was free", library.name);
    let bound = library.poll().unwrap_or_default() + SLACK;
    assert!(took <= bound, "{took:?}");
    assert!(!other.take(LONG));
}

/// Nothing but the bell wakes it: an exclusion test without it would take the library's own time.
fn needs_its_bell(server: &RedisServer, library: &'static Library) {
    let other = Raw::new(server, library, NAME, "other");
    let mut peer = start(server, library);
    assert!(other.take(LONG));
    let mut watch = Watch::commands(server);
    peer.ask(Want::now(NAME, LONG).wait(SHORT));
    watch.waiter(library, NAME);
    let released = boot_nanos();
    assert!(other.give_back());
    let outcome = peer.outcome();
    let took = Duration::from_nanos(boot_nanos() - released);
    println!("{} without its bell: {outcome:?} after {took:.1?}", library.name);
    assert!(took > SHORT / 2, "{took:?}: something else woke it");
}

fn keeps_waiting(server: &RedisServer, library: &'static Library) {
    let mut peer = held(server, library, LONG);
    let other = Raw::new(server, library, NAME, "other");
    assert!(!other.take(LONG) && !other.holds() && !other.give_back());
    assert_eq!(peer.release(), done(library));
    assert!(other.take(LONG) && other.holds());
}

fn dies(server: &RedisServer, library: &'static Library) {
    let mut expiries = Watch::expiries(server);
    let started = boot_nanos();
    let mut peer = held(server, library, SHORT);
    peer.kill();
    let other = Raw::new(server, library, NAME, "other");
    assert!(!other.take(LONG), "the lock died with its holder");
    expiries.expiry(&library.key(NAME));
    let after = Duration::from_nanos(boot_nanos() - started);
    assert!(after + ROUNDING >= SHORT, "expired after {after:?}");
    // A peer that was killed in its wait is in nobody's way either.
    let mut waiter = start(server, library);
    assert!(other.take(SHORT));
    let taken = boot_nanos();
    let mut watch = Watch::commands(server);
    waiter.ask(Want::now(NAME, LONG).wait(LONG));
    watch.waiter(library, NAME);
    waiter.kill();
    let mut next = start(server, library);
    assert_eq!(next.acquire(Want::now(NAME, LONG).wait(LONG)), Outcome::Held);
    let after = Duration::from_nanos(boot_nanos() - taken);
    assert!(after + ROUNDING >= SHORT, "it took over after {after:?}");
}

fn loses(server: &RedisServer, library: &'static Library) {
    let mut expiries = Watch::expiries(server);
    let mut peer = held(server, library, SHORT);
    expiries.expiry(&library.key(NAME));
    let other = Raw::new(server, library, NAME, "other");
    assert!(other.take(LONG));
    assert_eq!(peer.release(), lost(library));
    assert!(other.holds());
}

fn renews(server: &RedisServer, library: &'static Library) {
    let key = library.key(NAME);
    let mut expiries = Watch::expiries(server);
    let mut peer = start(server, library);
    let mut watch = Watch::commands(server);
    assert_eq!(peer.acquire(Want::now(NAME, SHORT).renewed()), Outcome::Held);
    // Its scripts tell what they do, as commands without a client.
    for _ in 0..3 {
        watch.command(|line| {
            let lower = line.to_ascii_lowercase();
            lower.contains(" lua] ") && lower.contains("expire\"") && line.contains(&key)
        });
    }
    peer.stop();
    expiries.expiry(&key);
    let other = Raw::new(server, library, NAME, "other");
    assert!(other.take(LONG));
    peer.wake();
    let released = peer.release();
    assert!([lost(library), Released::NotHeld].contains(&released), "{released:?}");
    assert!(other.holds());
}

/// All of `libraries` at once on `key`, by the word of an oracle outside all of them.
fn mix(server: &RedisServer, libraries: &[&'static Library], key: &str) {
    let folder = folder("mix").expect("a folder");
    let mut peers: Vec<Peer> = libraries.iter().map(|library| start(server, library)).collect();
    std::thread::scope(|scope| {
        for (index, peer) in peers.iter_mut().enumerate() {
            let who = format!("{}-{index}", peer.library().name);
            #[allow(clippy::disallowed_methods, reason = "one thread leads each contender")]
            scope.spawn({
                let folder = folder.path();
                move || contend(server, peer, key, folder, &who)
            });
        }
    });
    let verdict = judge(folder.path()).expect("the oracle's files");
    println!("{key}: {verdict}; {:?}", verdict.shares());
    assert!(verdict.is_clean(), "{:?} {:?}", verdict.overlaps, verdict.disorder);
    assert_eq!(verdict.ended, (SECTIONS * libraries.len()) as u64);
}

fn contend(server: &RedisServer, peer: &mut Peer, key: &str, folder: &Path, who: &str) {
    let library = peer.library();
    let name = library.name_of(key).expect("a name for the key");
    // A waiter that nobody rings for tries again after its lock's own time.
    let ring = matches!(library.wakes, Wakes::List(_));
    let ttl = if ring { SHORT * 2 } else { LONG };
    let mut log = Log::open(folder, who).expect("a log");
    for _ in 0..SECTIONS {
        assert_eq!(peer.acquire(Want::now(name, ttl).wait(LONG * 2)), Outcome::Held, "{who}");
        // None of them has a fence: the time takes its place.
        let section = log.enter(boot_nanos()).expect("a log");
        let token = token(server, library, key);
        let until = boot_nanos() + HOLD.as_nanos() as u64;
        while boot_nanos() < until {
            assert_eq!(self::token(server, library, key), token, "{who} was not alone");
        }
        section.leave().expect("a log");
        assert_eq!(peer.release(), done(library), "{who}");
    }
}

/// Who holds `key`, as the server has it.
fn token(server: &RedisServer, library: &Library, key: &str) -> Reply {
    let command = match library.layout {
        Layout::Text => "GET",
        Layout::Hash => "HKEYS",
    };
    let token = server.admin(&[command, key]);
    assert!(token != Reply::Nil && !token.is_error(), "{token:?}");
    token
}

/// A key of the other layout is another's lock, never a free one.
fn layouts_refuse_each_other(server: &RedisServer) {
    let (text, hash) = (Library::of("redis-py"), Library::of("redisson"));
    let mut holder = held(server, text, LONG);
    let mut other = start(server, hash);
    let outcome = other.acquire(Want::now(NAME, LONG));
    println!("Redisson on a string: {outcome:?}");
    assert!(matches!(&outcome, Outcome::Failed(why) if why.contains("WRONGTYPE")), "{outcome:?}");
    assert_eq!(holder.release(), Released::Done);
    let mut holder = held(server, hash, LONG);
    let mut other = start(server, text);
    assert_eq!(other.acquire(Want::now(NAME, LONG)), Outcome::Busy);
    assert_eq!(holder.release(), Released::Done);
}
