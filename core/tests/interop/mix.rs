//! Everybody at once on one key, by the word of an oracle outside all of them.
//!
//! How evenly they share is told and not judged: without a queue, whoever gives the lock back and comes
//! again at once is first again, and those that poll have not looked yet. Libraries that poll do so among
//! themselves too (Jain 1/n). With a pause after each section all of these crowds reach 0.95.

use std::path::Path;
use std::time::Duration;

use leasehold::{Client, Release};
use leasehold_testkit::folder;
use leasehold_testkit::oracle::{Log, boot_nanos, judge};
use leasehold_testkit::peer::{ALL, Layout, Library, Outcome, Peer, Want};
use leasehold_testkit::server::{Flavour, RedisServer, Reply};

use super::scene::{LONG, NAME, NEW, SHORT, token};

/// How often each contender holds the lock.
const SECTIONS: usize = 8;
/// For how long it looks each time whether it is alone: longer than it takes that another tries.
const HOLD: Duration = Duration::from_millis(30);

/// Who contends for one key.
#[derive(Clone)]
pub(super) struct Crowd {
    pub(super) name: String,
    pub(super) flavour: Flavour,
    key: String,
    layout: Layout,
    pub(super) theirs: Vec<&'static Library>,
    ours: Vec<Ours>,
}

/// A client of ours.
#[derive(Clone)]
struct Ours {
    query: String,
    /// What it calls the lock.
    name: String,
}

impl Ours {
    fn new(query: &str, name: &str) -> Self {
        Self { query: query.to_owned(), name: name.to_owned() }
    }
}

/// All crowds.
pub(super) fn crowds() -> Vec<Crowd> {
    use Flavour::{Redis, Valkey};
    vec![
        one_string("redis-py", Redis),
        one_string("redis-py", Valkey),
        one_string("python-redis-lock", Valkey),
        one_string("pottery", Redis),
        one_string("redis-semaphore", Valkey),
        of_dialect("redisson", Redis),
        migration_begins("redisson", Valkey),
        migration_begins("python-redis-lock", Redis),
        migration_ends(Redis),
        migration_ends(Valkey),
    ]
}

/// All that can lock the string at the key of `library`'s: also who locks the name itself, for it can
/// be told every other's key.
fn one_string(name: &str, flavour: Flavour) -> Crowd {
    let library = Library::of(name);
    let can = |other: &&Library| {
        other.layout == Layout::Text && ["", library.prefix].contains(&other.prefix)
    };
    let (key, dialect) = (library.key(NAME), format!("?dialect={}", library.dialect));
    let ours = vec![Ours::new("", &key), Ours::new(&dialect, NAME)];
    let theirs = ALL.iter().filter(can).collect();
    Crowd { name: key.clone(), flavour, key, layout: Layout::Text, theirs, ours }
}

fn of_dialect(name: &str, flavour: Flavour) -> Crowd {
    let library = Library::of(name);
    let ours = Ours::new(&format!("?dialect={}", library.dialect), NAME);
    let (key, layout) = (library.key(NAME), library.layout);
    let (name, theirs, ours) = (name.to_owned(), vec![library; 2], vec![ours; 2]);
    Crowd { name, flavour, key, layout, theirs, ours }
}

/// Before a migration all lock as the library does; now some lock twice.
fn migration_begins(name: &str, flavour: Flavour) -> Crowd {
    let crowd = of_dialect(name, flavour);
    let both = Ours::new(&format!("?prefix={NEW}&dual={}", Library::of(name).dialect), NAME);
    let ours = vec![both.clone(), both, crowd.ours[0].clone()];
    Crowd { name: format!("dual-{name}"), ours, ..crowd }
}

/// At its end some don't lock the old one any more. One has another old one.
fn migration_ends(flavour: Flavour) -> Crowd {
    let ours = [
        format!("?prefix={NEW}&dual=redisson"),
        format!("?prefix={NEW}&dual=redisson"),
        format!("?prefix={NEW}&dual=pottery"),
        format!("?prefix={NEW}"),
        format!("?prefix={NEW}"),
    ];
    Crowd {
        name: "dual-new".to_owned(),
        flavour,
        key: format!("{NEW}{NAME}"),
        layout: Layout::Text,
        theirs: Vec::new(),
        ours: ours.map(|query| Ours::new(&query, NAME)).into(),
    }
}

pub(super) fn mix(server: &RedisServer, crowd: &Crowd) -> String {
    let folder = folder("interop").expect("a folder");
    let (path, name) = (folder.path(), &crowd.name);
    let mut peers: Vec<Peer> = crowd
        .theirs
        .iter()
        .map(|library| library.start(&server.url()).expect("it is here"))
        .collect();
    let mut fences: Vec<(u64, u64)> = std::thread::scope(|scope| {
        for (index, peer) in peers.iter_mut().enumerate() {
            scope.spawn(move || theirs(server, peer, index, crowd, path));
        }
        let ours =
            |(index, ours)| scope.spawn(move || self::ours(server, ours, index, crowd, path));
        let ours: Vec<_> = crowd.ours.iter().enumerate().map(ours).collect();
        ours.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
    });
    let verdict = judge(path).expect("the oracle's files");
    println!("{name}: {verdict}; {:?}", verdict.shares());
    assert!(verdict.is_clean(), "{:?} {:?}", verdict.overlaps, verdict.disorder);
    assert_eq!(verdict.ended, (SECTIONS * (crowd.theirs.len() + crowd.ours.len())) as u64);
    fences.sort_unstable();
    let grow = fences.is_sorted_by(|(_, before), (_, after)| before < after);
    assert!(grow, "fences in the order of their sections: {fences:?}");
    let names = |names: Vec<&str>| match &names[..] {
        [] => "nobody".to_owned(),
        names => names.join(", "),
    };
    format!(
        "`{}`: {} with leasehold {}: {} sections, {} overlaps, Jain {:.2}",
        crowd.key,
        names(crowd.theirs.iter().map(|library| library.name).collect()),
        names(crowd.ours.iter().map(|ours| ours.shown()).collect()),
        verdict.ended,
        verdict.overlaps.len(),
        verdict.fairness()
    )
}

impl Ours {
    fn shown(&self) -> &str {
        if self.query.is_empty() { "plain" } else { &self.query[1..] }
    }
}

fn theirs(server: &RedisServer, peer: &mut Peer, index: usize, crowd: &Crowd, folder: &Path) {
    let library = peer.library();
    let name = library.name_of(&crowd.key).expect("a name for the key");
    // Who waits for a bell that others don't ring looks again after its lock's own time.
    let ttl = if library.poll().is_some() { LONG } else { SHORT * 2 };
    let mut log = Log::open(folder, &format!("{}-{index}", library.name)).expect("a log");
    for _ in 0..SECTIONS {
        assert_eq!(peer.acquire(Want::now(name, ttl).wait(LONG * 2)), Outcome::Held, "{name}");
        section(server, &mut log, crowd);
        peer.release();
    }
}

/// Times and fences of the sections.
fn ours(
    server: &RedisServer,
    ours: &Ours,
    index: usize,
    crowd: &Crowd,
    folder: &Path,
) -> Vec<(u64, u64)> {
    let client = Client::connect(&(server.url() + &ours.query)).expect("a client");
    let mut log = Log::open(folder, &format!("leasehold-{index}")).expect("a log");
    let mut fences = Vec::new();
    for _ in 0..SECTIONS {
        let lock = client.lock(&ours.name).ttl(LONG).wait(LONG * 2);
        let lease = lock.acquire_blocking().expect("a lease");
        fences.push((boot_nanos(), lease.fence()));
        section(server, &mut log, crowd);
        assert_eq!(leasehold::block_on(lease.release()), Release::Released);
    }
    fences
}

fn section(server: &RedisServer, log: &mut Log, crowd: &Crowd) {
    // Most of them have no fence: the time takes its place.
    let section = log.enter(boot_nanos()).expect("a log");
    let held = || token(server, crowd.layout, &crowd.key);
    let ours = held();
    assert!(ours != Reply::Nil && ours != Reply::Array(Vec::new()), "held, but not in the server");
    let until = boot_nanos() + HOLD.as_nanos() as u64;
    while boot_nanos() < until {
        assert_eq!(held(), ours, "not alone");
        std::thread::sleep(Duration::from_millis(1));
    }
    section.leave().expect("a log");
}
