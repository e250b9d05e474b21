//! Requests that arrive when everything has moved on: a network may keep them for as long as it
//! likes.

use std::sync::Arc;
use std::time::Duration;

use leasehold::store::redis::{RedisStore, TcpDial};
use leasehold::store::{Cancel, Hold, Kind, Store};
use leasehold::{Name, Release, StoreUrl, block_on};
use leasehold_testkit::Stepper;
use leasehold_testkit::proxy::{Action, Direction, Which};

use super::scene::{LONG, SHORT, Scene, Test, eventually, test};

pub(super) const TESTS: &[Test] = &[
    test("an_acquire_after_its_cancellation", acquire),
    test("a_tombstone_that_is_over_is_cleared_away", tombstone),
    test("an_acquire_after_its_copy_found_the_lock_taken", taken),
    test("a_heartbeat_after_the_release", heartbeat),
    test("a_release_after_a_stranger_took_the_lock", release_of_a_strangers),
    test("a_release_after_another_took_the_lock", release_of_anothers),
    test("a_renewal_after_a_stranger_took_the_lock", renewal_of_a_strangers),
    test("a_renewal_after_the_lock_was_released", renewal_of_nothing),
];

/// Sends what is held, on a fresh connection, as the network does that kept it. The script calls in
/// it must be known to the server; what it answered.
fn replay(scene: &Scene<'_>) -> Vec<String> {
    let answers = scene.proxy.replay(Which::All);
    assert!(!answers.is_empty(), "nothing was held");
    let text = |answer: Vec<u8>| String::from_utf8_lossy(&answer).into_owned();
    let answers: Vec<String> = answers.into_iter().map(text).collect();
    assert!(answers.iter().all(|answer| !answer.contains("NOSCRIPT")), "{answers:?}");
    answers
}

/// The attempt is given up while its ask is on its way. What ends it overtakes the ask.
fn acquire(scene: &Scene<'_>) {
    scene.warm();
    let trap = scene.proxy.trap(Direction::ToServer, "cancelled", Action::Hold, 1);
    let mut attempt = Stepper::new(scene.client.lock("cancelled").ttl(LONG).acquire());
    assert!(attempt.poll().is_pending());
    scene.proxy.wait_for(|stats| stats.sprung(trap) == 1);
    drop(attempt);
    // The client's connection dies; what is on its way stays there.
    scene.proxy.reset(Which::All);
    eventually("the attempt's end is known to the server", || scene.has_queue("cancelled"));
    assert_eq!(scene.token("cancelled"), "");
    let answers = replay(scene);
    // Code 5: cancelled.
    assert!(answers[0].starts_with("*1\r\n*1\r\n:5\r\n"), "{answers:?}");
    assert_eq!(scene.token("cancelled"), "", "held, for nobody");
    scene.assert_free("cancelled");
}

/// A lock's queue is looked at by every step while it is there: one cancelled attempt must not cost those
/// that come after it.
fn tombstone(scene: &Scene<'_>) {
    let url = match StoreUrl::parse(&scene.server.url()) {
        Ok(StoreUrl::Redis(url)) => url,
        other => panic!("{other:?}"),
    };
    let sys = leasehold::runtime::native_sys().expect("threads");
    let settings = url.settings();
    let store = RedisStore::new(Arc::new(TcpDial::new(url)), &sys, settings);
    let name = Name::new("short").expect("a name");
    let (kind, token, ttl, grace) = (Kind::Exclusive, sys.token(), LONG, Duration::ZERO);
    let cancelled = Hold { name, kind, token, ttl, grace };
    let ends =
        |span| block_on(store.release(std::slice::from_ref(&cancelled), Cancel::Tombstone(span)));
    let pair = || {
        let lease = scene.other.lock("short").acquire_blocking().expect("free");
        assert_eq!(block_on(lease.release()), Release::Released);
    };

    ends(LONG).expect("a server");
    pair();
    assert!(scene.has_queue("short"), "it stands for as long as it was to");
    assert_eq!(scene.server.admin(&["FLUSHALL"]).text(), "OK");

    ends(Duration::from_millis(1)).expect("a server");
    assert!(scene.has_queue("short"));
    eventually("there is no queue any more", || {
        pair();
        !scene.has_queue("short")
    });
}

/// The ask was repeated, and its copy overtook it.
fn taken(scene: &Scene<'_>) {
    scene.warm();
    let holder = scene.other.lock("taken").ttl(LONG).acquire_blocking().expect("free");
    let trap = scene.proxy.trap(Direction::ToServer, "taken", Action::Hold, 1);
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| block_on(scene.client.lock("taken").ttl(LONG).try_acquire()));
        scene.proxy.wait_for(|stats| stats.sprung(trap) == 1);
        scene.proxy.reset(Which::All);
        let answer = asks.join().expect("no panic").expect("the copy was answered");
        assert!(answer.is_none(), "{answer:?}");
    });
    eventually("the attempt's end is known to the server", || scene.has_queue("taken"));
    assert_eq!(block_on(holder.release()), Release::Released);
    let answers = replay(scene);
    assert!(answers[0].starts_with("*1\r\n*1\r\n:5\r\n"), "{answers:?}");
    assert_eq!(scene.token("taken"), "", "held, for nobody");
    scene.assert_free("taken");
}

/// The waiter was granted the lock by a later ask, used it and gave it back.
fn heartbeat(scene: &Scene<'_>) {
    scene.warm();
    scene.strangers("beaten");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let lease = scene.client.lock("beaten").ttl(LONG).acquire_blocking().expect("a lease");
            assert_eq!(block_on(lease.release()), Release::Released);
        });
        scene.await_waiting("beaten", 1);
        let trap = scene.proxy.trap(Direction::ToServer, "beaten", Action::Hold, 1);
        scene.proxy.wait_for(|stats| stats.sprung(trap) == 1);
        scene.server.admin(&["DEL", "beaten"]);
        scene.proxy.reset(Which::All);
        waiter.join().expect("granted and released");
    });
    assert_eq!(scene.token("beaten"), "");
    let answers = replay(scene);
    assert!(answers[0].starts_with("*1\r\n*1\r\n:5\r\n"), "{answers:?}");
    assert_eq!(scene.token("beaten"), "", "held, for nobody");
    scene.assert_free("beaten");
}

/// A fixed term: nothing but its release is on its way.
fn held_release(scene: &Scene<'_>, name: &str) {
    scene.warm();
    let lease = scene.client.lock(name).ttl(SHORT).fixed_term().acquire_blocking().expect("free");
    let trap = scene.proxy.trap(Direction::ToServer, name, Action::Hold, 1);
    assert_eq!(block_on(lease.release()), Release::Background);
    assert_eq!(scene.proxy.stats().sprung(trap), 1);
    // Its client's end: else it would be tried again, and arrive in time.
    scene.proxy.refuse();
    eventually("it has expired", || scene.token(name).is_empty());
}

fn release_of_a_strangers(scene: &Scene<'_>) {
    held_release(scene, "strangers");
    scene.strangers("strangers");
    // No queue, so that the shortest way through the script is the one that is taken.
    assert!(!scene.has_queue("strangers"));
    let answers = replay(scene);
    assert!(answers[0].starts_with("*1\r\n:3\r\n"), "{answers:?}");
    assert_eq!(scene.token("strangers"), "theirs");
    assert!(scene.left("strangers") > LONG / 2);
}

fn release_of_anothers(scene: &Scene<'_>) {
    held_release(scene, "anothers");
    let other = block_on(scene.other.lock("anothers").try_acquire()).expect("an answer");
    let other = other.expect("free");
    let token = scene.token("anothers");
    let answers = replay(scene);
    assert!(answers[0].starts_with("*1\r\n:3\r\n"), "{answers:?}");
    assert_eq!(scene.token("anothers"), token);
    assert!(other.is_held());
    assert_eq!(block_on(other.release()), Release::Released);
}

/// Holds the renewal that comes next; then the lock is nobody's.
fn held_renewal(scene: &Scene<'_>, name: &str) -> leasehold::Lease {
    scene.warm();
    let lease = scene.client.lock(name).ttl(SHORT).acquire_blocking().expect("free");
    let trap = scene.proxy.trap(Direction::ToServer, name, Action::Hold, 1);
    scene.proxy.wait_for(|stats| stats.sprung(trap) == 1);
    lease
}

fn renewal_of_a_strangers(scene: &Scene<'_>) {
    let lease = held_renewal(scene, "renewed");
    scene.proxy.refuse();
    eventually("it has expired", || scene.token("renewed").is_empty());
    assert!(!lease.is_held());
    scene.server.admin(&["SET", "renewed", "theirs", "NX", "PX", "500"]);
    let answers = replay(scene);
    assert!(answers[0].starts_with("*1\r\n:3\r\n"), "{answers:?}");
    assert!(["", "theirs"].contains(&&*scene.token("renewed")));
    assert!(scene.left("renewed") <= std::time::Duration::from_millis(500), "prolonged");
}

fn renewal_of_nothing(scene: &Scene<'_>) {
    let lease = held_renewal(scene, "gone");
    assert_eq!(block_on(lease.release()), Release::Released);
    let answers = replay(scene);
    assert!(answers[0].starts_with("*1\r\n:4\r\n"), "{answers:?}");
    assert_eq!(scene.token("gone"), "", "a renewal made it anew");
    scene.assert_free("gone");
}
