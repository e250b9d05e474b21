//! Locks without scripts, on servers that compare before they write; and their refusal on those that
//! don't.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use leasehold::{Client, ErrorKind, LostReason, Release, block_on};
use leasehold_testkit::proxy::{Action, Direction};
use leasehold_testkit::server::Flavour;

use super::scene::{LONG, SHORT, Scene, Test, connect, eventually, hear, now, report, test, told};

pub(super) const TESTS: &[Test] = &[
    test("costs_a_command_each", one_command_each),
    test("keeps_a_lease_and_tells_of_its_loss", kept_and_lost),
    test("excludes_and_is_excluded_by_scripts", beside_scripts),
    test("excludes_those_who_look_again", counted),
    test("has_no_lock_twice_for_a_lost_answer", lost_answers),
    test("waits_for_what_is_no_string", another_layout),
    test("says_what_it_has_not", not_there),
];

pub(super) const REFUSED: &[Test] = &[test("is_refused_before_a_lock_is_taken", refused)];

/// A client without scripts, behind the network that fails.
fn without(scene: &Scene<'_>) -> Client {
    connect(&format!("{}?lua=no", scene.proxy.url(&scene.server.url())))
}

fn one_command_each(scene: &Scene<'_>) {
    let client = without(scene);
    let take = || {
        let lease = client.lock("cheap").acquire_blocking().expect("free");
        assert!(lease.is_held() && lease.fence() == 0);
        assert_eq!(block_on(lease.release()), Release::Released);
    };
    take();
    scene.server.reset_stats();
    take();
    let stats = scene.server.commandstats();
    let delete = if scene.server.flavour() == Flavour::Valkey9 { "delifeq" } else { "delex" };
    let used: BTreeSet<&str> = stats.keys().map(String::as_str).collect();
    assert_eq!(used, BTreeSet::from(["config|resetstat", "set", delete]), "{stats:?}");
    assert_eq!((stats["set"].0, stats[delete].0), (1, 1));
}

fn kept_and_lost(scene: &Scene<'_>) {
    let client = without(scene);
    for (name, taken, reason) in
        [("other", true, LostReason::Superseded), ("gone", false, LostReason::Expired)]
    {
        let lease = client.lock(name).ttl(SHORT).acquire_blocking().expect("free");
        let (told, token) = (told(&lease), scene.token(name));
        // Renewed for longer than it was taken for, and never as another's.
        let began = now();
        eventually("it outlives its ttl", || now().since(began) > SHORT * 2);
        assert!(lease.is_held() && scene.token(name) == token && told.try_recv().is_err());
        // In one step: a renewal may come at any time.
        match taken {
            true => scene.server.admin(&["SET", name, "theirs", "PX", "60000"]),
            false => scene.server.admin(&["DEL", name]),
        };
        let (why, _) = hear(&told);
        assert_eq!((why, lease.is_held()), (reason, false));
        assert_eq!(block_on(lease.release()), Release::Lost(reason), "another's is not touched");
        assert_eq!(scene.token(name), if taken { "theirs" } else { "" });
    }
    // A longer lease is not cut short by a renewal for less.
    let lease = client.lock("long").ttl(LONG).acquire_blocking().expect("free");
    block_on(lease.extend(SHORT)).expect("an answer");
    assert!(scene.left("long") > LONG / 2, "{:?}", scene.left("long"));
}

fn beside_scripts(scene: &Scene<'_>) {
    let (client, scripts) = (without(scene), &scene.other);
    for (holder, waiter) in [(&client, scripts), (scripts, &client)] {
        let held = holder.lock("both").ttl(LONG).acquire_blocking().expect("free");
        assert!(block_on(waiter.lock("both").try_acquire()).expect("an answer").is_none());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| waiter.lock("both").ttl(LONG).acquire_blocking());
            // It looks at least once while the lock is held.
            let stats = || scene.server.commandstats();
            let asked = |name: &str| stats().get(name).map_or(0, |stat| stat.0);
            let before = asked("set") + asked("evalsha") + asked("eval");
            eventually("it asks", || asked("set") + asked("evalsha") + asked("eval") > before);
            assert!(held.is_held() && !waits.is_finished());
            assert_eq!(block_on(held.release()), Release::Released);
            let lease = waits.join().expect("no panic").expect("a lease");
            assert_eq!(block_on(lease.release()), Release::Released);
        });
    }
}

/// Judged from outside: an update is lost where two hold the lock.
fn counted(scene: &Scene<'_>) {
    const THREADS: u32 = 6;
    const ROUNDS: u32 = 20;
    let counter = AtomicU32::new(0);
    let began = now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let client = without(scene);
                for _ in 0..ROUNDS {
                    let lease =
                        client.lock("counted").ttl(LONG).acquire_blocking().expect("a lease");
                    let read = counter.load(Ordering::Relaxed);
                    std::thread::yield_now();
                    counter.store(read + 1, Ordering::Relaxed);
                    block_on(lease.release());
                }
            });
        }
    });
    assert_eq!(counter.into_inner(), THREADS * ROUNDS);
    report(&format!("{} times held in {:.1?}", THREADS * ROUNDS, now().since(began)));
}

/// The ask is repeated once, and finds that it has what it asks for. Where that is lost too, the attempt
/// fails and gives back what it may have.
fn lost_answers(scene: &Scene<'_>) {
    let client = without(scene);
    block_on(client.lock("warm").acquire_blocking().expect("free").release());
    for lost in 1..=2 {
        let name = format!("unheard-{lost}");
        let trap = scene.proxy.trap(Direction::ToServer, &name, Action::DropReply, lost);
        let asked = client.lock(&name).ttl(LONG).acquire_blocking();
        assert_eq!(scene.proxy.stats().sprung(trap), lost);
        match asked {
            Ok(lease) => {
                assert!(lost == 1 && lease.is_held() && scene.left(&name) > LONG / 2);
                assert_eq!(block_on(lease.release()), Release::Released);
            }
            Err(error) => {
                assert_eq!((lost, error.kind()), (2, ErrorKind::StoreUnavailable), "{error}");
            }
        }
        eventually("it is given back", || scene.token(&name).is_empty());
    }
    let lease = client.lock("released").ttl(LONG).acquire_blocking().expect("free");
    let trap = scene.proxy.trap(Direction::ToServer, "released", Action::DropReply, 1);
    block_on(lease.release());
    assert_eq!(scene.proxy.stats().sprung(trap), 1);
    assert_eq!(scene.token("released"), "");
}

/// A lock in another library's layout, and what is no lock at all.
fn another_layout(scene: &Scene<'_>) {
    scene.server.admin(&["HSET", "hash", "theirs", "1"]);
    let client = without(scene);
    assert!(block_on(client.lock("hash").try_acquire()).expect("an answer").is_none());
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| client.lock("hash").ttl(LONG).acquire_blocking());
        scene.server.reset_stats();
        eventually("it looks", || scene.server.commandstats().contains_key("set"));
        scene.server.admin(&["PEXPIRE", "hash", "50"]);
        let lease = waits.join().expect("no panic").expect("a lease");
        assert!(lease.is_held());
    });
}

fn not_there(scene: &Scene<'_>) {
    let client = without(scene);
    let refused = |error: leasehold::Error, word: &str| {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.message().contains(word), "{error:?}");
    };
    refused(client.rwlock("a").read().acquire_blocking().expect_err("no readers"), "shared");
    let permits = client.semaphore("a", 2).permits(1);
    refused(permits.acquire_blocking().expect_err("no permits"), "permits");
    refused(block_on(client.semaphore("a", 2).resize(3)).expect_err("no permits"), "permits");
    refused(block_on(client.list("", None, 10)).expect_err("not told apart"), "keys like others");
    let latch = client.latch("a", 1);
    refused(block_on(latch.count_down(1)).expect_err("no cells"), "cells");
    // Several locks go one after the other.
    let all = client.lock_all(["b", "a"].map(|name| client.lock(name)));
    let leases = block_on(all.acquire()).expect("free");
    assert!(leases.is_held() && leases.len() == 2);
    block_on(leases.release());
    assert_eq!(scene.token("a") + &scene.token("b"), "");
}

fn refused(scene: &Scene<'_>) {
    let client = without(scene);
    let error = client.lock("refused").acquire_blocking().expect_err("the server can't");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    for word in ["SET with IFEQ", "DELEX and DELIFEQ", "Redis 8.4 or Valkey 9", "127.0.0.1"] {
        assert!(error.message().contains(word), "{word}: {error:?}");
    }
    assert_eq!(scene.token("refused"), "", "nothing is held");
}
