//! Many names: those that were used once leave no memory behind, and those that are held at once are
//! each a lock of its own (hazards 42 and 76, and the leaks of lists by name that locks have had).
#![allow(clippy::disallowed_methods, reason = "real stores in real time")]

mod common;

use std::collections::BTreeSet;
use std::time::Instant;

use common::{eventually, seconds, seed};
use leasehold::{Client, Lease, Release, Result, block_on};
use leasehold_testkit::server::{Flavour, RedisServer, RedisSetup, Reply, on_redis};
use leasehold_testkit::{SeededRandom, folder, size};
use libtest_mimic::{Arguments, Completion, Trial};
use rusqlite::Connection;

fn main() {
    let mut arguments = Arguments::from_args();
    // One at a time: they look at the memory of the whole process.
    arguments.test_threads = Some(1);
    let trials = vec![
        Trial::ignorable_test("memory::used_once_leave_nothing", || {
            Ok(used_once("memory://used-once", |_| {}))
        }),
        Trial::ignorable_test("sqlite::used_once_leave_nothing", || {
            Ok(on_sqlite(|url| used_once(url, |_| assert_no_row(url))))
        }),
        Trial::ignorable_test("redis::used_once_leave_nothing", || {
            on_redis(&RedisSetup::new(Flavour::Redis), |server| {
                // What the process keeps is looked at; where that can't be, what the server keeps.
                used_once(&server.url(), |names| assert_forgotten(server, names));
            })
        }),
        Trial::test("memory::held_at_once_are_apart", || {
            held_at_once("memory://held-at-once");
            Ok(())
        }),
        Trial::test("sqlite::held_at_once_are_apart", || {
            on_sqlite(held_at_once);
            Ok(())
        }),
        Trial::ignorable_test("redis::held_at_once_are_apart", || {
            on_redis(&RedisSetup::new(Flavour::Redis), |server| held_at_once(&server.url()))
        }),
        Trial::ignorable_test("redis::waited_for_share_two_connections", || {
            on_redis(&RedisSetup::new(Flavour::Redis), waited_for)
        }),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn on_sqlite<T>(test: impl FnOnce(&str) -> T) -> T {
    let folder = folder("names").expect("a folder");
    test(&format!("sqlite://{}", folder.path().join("locks.db").display()))
}

/// The memory of this process, in bytes; none where it can't be known.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(resident.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// Each name once: most alone, some with an owner, some by two of which one waits. `left` looks at what
/// the store has after so many.
fn used_once(url: &str, left: impl FnOnce(usize)) -> Completion {
    // Long, so that whatever keeps a name shows.
    let name = |number: usize| format!("{number:0400}");
    let [client, other] = [0; 2].map(|_| Client::connect(url).expect("a client"));
    let use_once = |number: usize| {
        block_on(async {
            let (client, other) = (client.lock(name(number)), other.lock(name(number)));
            let (client, other) = (client.ttl(seconds(2)), other.ttl(seconds(2)));
            match number % 16 {
                3 => give_back(client.owner(leasehold::Owner::from_number(number as u128))).await,
                7 => {
                    let (one, two) = tokio::join!(give_back(client), give_back(other));
                    one.and(two)
                }
                11 => client.try_acquire().await.map(drop),
                _ => give_back(client).await,
            }
        })
        .expect("granted");
    };
    let (warm, all) = (size(3_000, 50_000), size(12_000, 1_000_000));
    (0..warm).for_each(use_once);
    let (before, begun) = (resident(), Instant::now());
    (warm..warm + all).for_each(use_once);
    let took = begun.elapsed();
    let after = resident();
    left(warm + all);
    let (Some(before), Some(after)) = (before, after) else {
        return Completion::ignored_with("this system doesn't tell a process's memory");
    };
    let grown = after.saturating_sub(before);
    println!(
        "{all} names in {took:.1?}: this process has {} kB more, of {} kB",
        grown >> 10,
        after >> 10
    );
    // A name is 400 bytes, and so much would be a token of each.
    let bound = (2 << 20) + 8 * all as u64;
    assert!(grown < bound, "{grown} bytes more after {all} names");
    Completion::Completed
}

async fn give_back(lock: leasehold::Lock) -> Result<()> {
    let lease = lock.acquire().await?;
    lease.release().await;
    Ok(())
}

/// Beside the rows without a name, which keep the last fence and the last version.
fn assert_no_row(url: &str) {
    let path = url.strip_prefix("sqlite://").expect("a path");
    let rows = || {
        let database = Connection::open(path).expect("a database");
        let count = "SELECT (SELECT count(*) FROM tenure) + (SELECT count(*) FROM waiting)
            + (SELECT count(*) FROM tomb) + (SELECT count(*) FROM cell)
            + (SELECT count(*) FROM watch)";
        database.query_row(count, [], |row| row.get::<_, i64>(0)).expect("a number")
    };
    // What was dropped is given back by another thread.
    eventually("two rows are left", || rows() == 2);
    let size = std::fs::metadata(path).expect("a file").len();
    println!("the database has {} kB", size >> 10);
    assert!(size < 1 << 20, "its file has {size} bytes");
}

/// The server keeps one small string of each name, which is gone after an hour.
fn assert_forgotten(server: &RedisServer, names: usize) {
    const LOOK: &str = "
        local cursor, strings, rest, last = '0', 0, 0, 0
        repeat
          local found = redis.call('SCAN', cursor, 'COUNT', 1000)
          cursor = found[1]
          for _, key in ipairs(found[2]) do
            if string.find(key, '^leasehold:{[^}]*}:s:') then strings = strings + 1
            else rest = rest + 1 end
            local left = redis.call('PTTL', key)
            last = left < 0 and math.huge or math.max(last, left)
          end
        until cursor == '0'
        return { strings, rest, last == math.huge and -1 or last }";
    let look = || {
        let reply = server.admin(&["EVAL", LOOK, "0"]);
        let numbers: Vec<i64> = reply.list().iter().map(Reply::integer).collect();
        let [strings, rest, last] = numbers[..] else { panic!("{numbers:?}") };
        assert!(strings <= names as i64 && last > 0, "{numbers:?}: -1 is for ever");
        (strings, rest, last)
    };
    eventually("no lock, queue, tombstone or note is left", || look().1 == 0);
    let (strings, _, last) = look();
    let info = server.admin(&["INFO", "memory"]).text();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("a line");
    println!("the server has {strings} strings in {used} bytes, the last for {last} ms");
    assert!(last <= 3_603_000, "it lasts {last} ms: longer than an hour after the lease");
}

/// Every name differs from others by little: in case, space, zeros, a NUL, normal form, length, and by
/// what stores give a meaning to.
fn confusing(number: usize) -> String {
    let base = number / 20;
    match number % 20 {
        0 => format!("name {base}"),
        1 => format!("NAME {base}"),
        2 => format!(" name {base}"),
        3 => format!("name {base} "),
        4 => format!("name {base}\0"),
        5 => format!("name 0{base}"),
        6 => format!("n\u{e4}me {base}"),
        7 => format!("na\u{308}me {base}"),
        8 => format!("{{name}} {base}"),
        9 => format!("{{name {base}}}"),
        10 => format!("name:{base}"),
        11 => format!("name/{base}/"),
        12 => format!("name/{base}"),
        13 => format!("leasehold:{{0}}:s:name {base}"),
        14 => format!("{}{base}", "long ".repeat(200)),
        15 => format!("{base}{}", "long ".repeat(200)),
        16 => format!("name % {base}"),
        17 => format!("name * {base}"),
        18 => format!("name ' {base}"),
        _ => format!("name \u{1F512}{base}"),
    }
}

/// All locks that are held.
fn held(client: &Client) -> BTreeSet<String> {
    let (mut all, mut after) = (BTreeSet::new(), None);
    loop {
        let page = block_on(client.list("", after.as_ref(), 2_000)).expect("views");
        let Some(last) = page.last() else { return all };
        after = Some(last.name.clone());
        all.extend(page.into_iter().map(|view| view.name.as_str().to_owned()));
    }
}

fn held_at_once(url: &str) {
    const NAMES: usize = 10_000;
    let [client, other] = [0; 2].map(|_| Client::connect(url).expect("a client"));
    let names: Vec<String> = (0..NAMES).map(confusing).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), NAMES);
    let (owner, random) = (client.owner().expect("an owner"), SeededRandom::new(seed()));
    let begun = Instant::now();
    let leases: Vec<Lease> = block_on(async {
        let mut leases = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let lock = client.lock(name).ttl(seconds(300));
            // With one owner, an alias would be entered again; without, it would be taken.
            let lock = if index % 2 == 0 { lock.owner(owner) } else { lock };
            leases.push(lock.try_acquire().await.expect("an answer").expect("an alias holds it"));
        }
        leases
    });
    let taken = begun.elapsed();
    assert_eq!(held(&other), names.iter().cloned().collect(), "each is a lock of its own");
    block_on(async {
        let free: Vec<bool> = (0..NAMES).map(|_| random.below(2) == 0).collect();
        for (lease, _) in leases.iter().zip(&free).filter(|(_, free)| **free) {
            assert_eq!(lease.release().await, Release::Released);
        }
        for ((name, lease), free) in names.iter().zip(&leases).zip(free) {
            let theirs = other.lock(name).ttl(seconds(300)).try_acquire().await.expect("an answer");
            assert_eq!(theirs.is_some(), free, "{name:?}");
            assert_eq!(lease.is_held(), !free, "{name:?}");
        }
    });
    println!("{NAMES} names taken in {taken:.1?} and looked through in {:.1?}", begun.elapsed());
}

/// Hazard 42: each of so many locks is waited for by one client, which is told of each grant.
fn waited_for(server: &RedisServer) {
    let names: Vec<String> = (0..size(1_000, 20_000)).map(|it| format!("name {it}")).collect();
    let [client, other] = [0; 2].map(|_| Client::connect(&server.url()).expect("a client"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        client.ping().await.expect("an answer");
        let mut held = Vec::new();
        for name in &names {
            held.push(other.lock(name).ttl(seconds(300)).acquire().await.expect("free"));
        }
        let connected = || server.admin(&["CLIENT", "LIST"]).text().lines().count();
        let before = connected();
        let waits = names.iter().map(|name| {
            let lock = client.lock(name).ttl(seconds(300));
            tokio::spawn(async move { lock.await.expect("granted").release().await })
        });
        let waits: Vec<_> = waits.collect();
        for name in &names {
            while other.inspect(name).await.expect("a view").waiting == 0 {
                tokio::task::yield_now().await;
            }
        }
        let channels = server.admin(&["PUBSUB", "CHANNELS", "leasehold:*"]).list().len();
        let more = connected() - before;
        println!("{} locks waited for: {channels} channels, {more} connections more", names.len());
        assert!(channels <= 2 && more <= 1, "one channel for each client, renewals apart");
        for lease in held {
            lease.release().await;
        }
        for wait in waits {
            assert_eq!(wait.await.expect("no panic"), Release::Released);
        }
    });
}
