//! Everybody at once on one key, by the word of an oracle outside all of them.

use std::path::Path;
use std::time::Duration;

use leasehold::{Client, Release};
use leasehold_testkit::folder;
use leasehold_testkit::oracle::{Log, boot_nanos, judge};
use leasehold_testkit::peer::{Layout, Library, Outcome, Peer, Want};
use leasehold_testkit::server::{RedisServer, Reply};

use super::scene::{LONG, SHORT, token};

/// How often each contender holds the lock.
const SECTIONS: usize = 8;
/// For how long it looks each time whether it is alone: longer than it takes that another tries.
const HOLD: Duration = Duration::from_millis(30);
/// Contenders of ours, each with a client of its own.
const OURS: usize = 2;

pub(super) fn mix(server: &RedisServer, libraries: &[&'static Library], key: &str) -> String {
    let folder = folder("interop").expect("a folder");
    let mut peers: Vec<Peer> =
        libraries.iter().map(|library| library.start(&server.url()).expect("it is here")).collect();
    let mut fences: Vec<(u64, u64)> = std::thread::scope(|scope| {
        for peer in &mut peers {
            let folder = folder.path();
            scope.spawn(move || theirs(server, peer, key, folder));
        }
        let ours = |index| {
            let folder = folder.path();
            scope.spawn(move || ours(server, key, folder, &format!("leasehold-{index}")))
        };
        let ours: Vec<_> = (0..OURS).map(ours).collect();
        ours.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
    });
    let verdict = judge(folder.path()).expect("the oracle's files");
    println!("{key}: {verdict}; {:?}", verdict.shares());
    assert!(verdict.is_clean(), "{:?} {:?}", verdict.overlaps, verdict.disorder);
    assert_eq!(verdict.ended, (SECTIONS * (libraries.len() + OURS)) as u64);
    fences.sort_unstable();
    let grow = fences.is_sorted_by(|(_, before), (_, after)| before < after);
    assert!(grow, "fences in the order of their sections: {fences:?}");
    let names: Vec<&str> = libraries.iter().map(|library| library.name).collect();
    format!(
        "`{key}` with {}: {} sections, {} overlaps",
        names.join(", "),
        verdict.ended,
        verdict.overlaps.len()
    )
}

fn theirs(server: &RedisServer, peer: &mut Peer, key: &str, folder: &Path) {
    let library = peer.library();
    let name = library.name_of(key).expect("a name for the key");
    // Who waits for a bell that others don't ring looks again after its lock's own time.
    let ttl = if library.poll().is_some() { LONG } else { SHORT * 2 };
    let mut log = Log::open(folder, library.name).expect("a log");
    for _ in 0..SECTIONS {
        assert_eq!(peer.acquire(Want::now(name, ttl).wait(LONG * 2)), Outcome::Held, "{name}");
        section(server, &mut log, key);
        peer.release();
    }
}

/// Times and fences of the sections.
fn ours(server: &RedisServer, key: &str, folder: &Path, who: &str) -> Vec<(u64, u64)> {
    let client = Client::connect(&server.url()).expect("a client");
    let mut log = Log::open(folder, who).expect("a log");
    let mut fences = Vec::new();
    for _ in 0..SECTIONS {
        let lease = client.lock(key).ttl(LONG).wait(LONG * 2).acquire_blocking().expect("a lease");
        fences.push((boot_nanos(), lease.fence()));
        section(server, &mut log, key);
        assert_eq!(leasehold::block_on(lease.release()), Release::Released);
    }
    fences
}

fn section(server: &RedisServer, log: &mut Log, key: &str) {
    // Most of them have no fence: the time takes its place.
    let section = log.enter(boot_nanos()).expect("a log");
    let ours = token(server, Layout::Text, key);
    assert_ne!(ours, Reply::Nil, "held, but not in the server");
    let until = boot_nanos() + HOLD.as_nanos() as u64;
    while boot_nanos() < until {
        assert_eq!(token(server, Layout::Text, key), ours, "not alone");
    }
    section.leave().expect("a log");
}
