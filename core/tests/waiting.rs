//! How long is waited, and for what, in virtual time.

mod common;

use std::time::Duration;

use common::{Stage, millis, seconds};
use leasehold::{ErrorKind, LockOptions, Patience};

#[test]
fn a_wait_ends_when_it_was_said_to() {
    let stage = Stage::new();
    let _held = stage.world.run(stage.other.lock("wait").acquire()).expect("free");
    for wait in [millis(1), millis(250), millis(999), seconds(1), seconds(77)] {
        let start = stage.world.now();
        let lock = stage.client.lock("wait").wait(wait);
        let error = stage.world.run(lock.acquire()).expect_err("held");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        assert!(error.message().contains("\"wait\""), "{error} should name the lock");
        let took = stage.world.now().since(start);
        assert!(took >= wait && took <= wait + millis(50), "{took:?}, not {wait:?}");
        assert_eq!(stage.view("wait").waiting, 0, "its place is given up");
    }
}

#[test]
fn a_try_takes_what_is_free_and_nothing_else() {
    let stage = Stage::new();
    let lease = stage.world.run(stage.client.lock("try").try_acquire()).expect("an answer");
    let lease = lease.expect("free");
    let start = stage.world.now();
    assert!(stage.world.run(stage.other.lock("try").try_acquire()).expect("an answer").is_none());
    assert_eq!(stage.world.now(), start, "at once");
    assert_eq!(stage.view("try").waiting, 0);
    drop(lease);
    stage.world.settle();
    let again = stage.world.run(stage.other.lock("try").try_acquire()).expect("an answer");
    assert!(again.is_some());
}

#[test]
fn no_patience_takes_no_place() {
    let stage = Stage::new();
    let _held = stage.world.run(stage.other.lock("none").acquire()).expect("free");
    let none = LockOptions { wait: Patience::None, ..LockOptions::default() };
    let zero = LockOptions { wait: Patience::AtMost(Duration::ZERO), ..LockOptions::default() };
    for options in [none, zero] {
        let start = stage.world.now();
        let lock = stage.client.lock("none").options(options);
        let error = stage.world.run(lock.acquire()).expect_err("held");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        assert_eq!((stage.world.now(), stage.view("none").waiting), (start, 0));
    }
    let error = stage.world.run(stage.client.lock("none").wait(Duration::ZERO).acquire());
    assert_eq!(error.expect_err("held").kind(), ErrorKind::Timeout);
}

#[test]
fn patience_without_end_waits_for_hours() {
    let stage = Stage::new();
    let held = stage.world.run(stage.other.lock("ever").acquire()).expect("free");
    let mut waiting = Box::pin(stage.client.lock("ever").acquire());
    assert!(stage.world.poll_once(waiting.as_mut()).is_pending());
    stage.world.advance(seconds(5 * 3600));
    assert!(stage.world.poll_once(waiting.as_mut()).is_pending());
    assert_eq!(stage.view("ever").waiting, 1, "its heartbeats kept its place");
    drop(held);
    let start = stage.world.now();
    let lease = stage.world.run(waiting).expect("handed over");
    assert_eq!(stage.world.now(), start, "without waiting for a heartbeat");
    stage.world.advance(seconds(60));
    assert!(lease.is_held(), "the claim was confirmed and is renewed");
}

#[test]
fn waiters_of_two_clients_are_served_in_order() {
    let stage = Stage::new();
    let mut held = stage.world.run(stage.other.lock("order").acquire()).expect("free");
    let mut waiting = Vec::new();
    for index in 0..20 {
        let client = if index % 2 == 0 { &stage.client } else { &stage.other };
        let mut one = Box::pin(client.lock("order").acquire());
        assert!(stage.world.poll_once(one.as_mut()).is_pending());
        waiting.push(one);
    }
    for one in waiting {
        let fence = held.fence();
        drop(held);
        held = stage.world.run(one).expect("its turn");
        assert!(held.fence() > fence);
    }
}

#[test]
fn a_wait_outlives_the_holders_crash() {
    let stage = Stage::new();
    let ttl = seconds(10);
    let held = stage.world.run(stage.other.lock("crash").ttl(ttl).fixed_term().acquire());
    std::mem::forget(held.expect("free"));
    let stored = stage.holder("crash").expect("held").stored;
    let start = stage.world.now();
    stage.world.run(stage.client.lock("crash").acquire()).expect("after the expiry");
    let took = stage.world.now().since(start);
    assert!(took >= stored && took <= stored + millis(50), "{took:?} for {stored:?}");
}

#[test]
fn a_fixed_term_that_was_waited_for_has_its_whole_length() {
    let stage = Stage::new();
    let held = stage.world.run(stage.other.lock("term").acquire()).expect("free");
    let lock = stage.client.lock("term").ttl(seconds(30)).fixed_term();
    let mut waiting = Box::pin(lock.acquire());
    assert!(stage.world.poll_once(waiting.as_mut()).is_pending());
    drop(held);
    let lease = stage.world.run(waiting).expect("handed over");
    assert!(lease.remaining() > seconds(29), "not the claim's {:?}", lease.remaining());
    stage.world.advance(seconds(29));
    assert!(lease.is_held());
}

/// The process slept through its claim: the grant in its hands is another's by now.
#[test]
fn a_claim_that_was_slept_through_is_waited_for_again() {
    let stage = Stage::new();
    let held = stage.world.run(stage.other.lock("slept").acquire()).expect("free");
    let mut waiting = Box::pin(stage.client.lock("slept").acquire());
    assert!(stage.world.poll_once(waiting.as_mut()).is_pending());
    let mut second = Box::pin(stage.other.lock("slept").acquire());
    assert!(stage.world.poll_once(second.as_mut()).is_pending());
    drop(held);
    stage.world.settle();
    stage.world.pause(seconds(2));
    let next = stage.world.run(second).expect("the claim was over");
    assert!(stage.world.poll_once(waiting.as_mut()).is_pending(), "two holders");
    assert!(next.is_held());
    let fence = next.fence();
    drop(next);
    let lease = stage.world.run(waiting).expect("its second turn");
    assert!(lease.fence() > fence);
}

#[test]
fn a_full_queue_is_said_so() {
    let stage = Stage::new();
    let _held = stage.world.run(stage.other.lock("full").acquire()).expect("free");
    let options = LockOptions { max_queue: 1, ..LockOptions::default() };
    let mut first = Box::pin(stage.client.lock("full").options(options.clone()).acquire());
    assert!(stage.world.poll_once(first.as_mut()).is_pending());
    let second = stage.client.lock("full").options(options).acquire();
    let error = stage.world.run(second).expect_err("one waits already");
    assert_eq!(error.kind(), ErrorKind::QueueFull, "{error:?}");
    assert_eq!(stage.view("full").waiting, 1);
}

#[test]
fn the_larger_priority_is_served_first() {
    let stage = Stage::new();
    let held = stage.world.run(stage.other.lock("rank").acquire()).expect("free");
    let ranked = |priority| LockOptions { priority, ..LockOptions::default() };
    let mut low = Box::pin(stage.client.lock("rank").options(ranked(-1)).acquire());
    let mut high = Box::pin(stage.client.lock("rank").options(ranked(1)).acquire());
    assert!(stage.world.poll_once(low.as_mut()).is_pending());
    assert!(stage.world.poll_once(high.as_mut()).is_pending());
    drop(held);
    let lease = stage.world.run(high).expect("first");
    assert!(stage.world.poll_once(low.as_mut()).is_pending());
    drop(lease);
    stage.world.run(low).expect("second");
}

/// Hazard 6: the wall clock may step; neither a lease nor a wait is counted on it.
#[test]
fn a_stepping_wall_clock_changes_no_lease_and_no_wait() {
    let stage = Stage::new();
    let held = stage.world.run(stage.other.lock("step").acquire()).expect("free");
    let start = stage.world.now();
    let mut waiting = Box::pin(stage.client.lock("step").wait(seconds(20)).acquire());
    assert!(stage.world.poll_once(waiting.as_mut()).is_pending());
    for step in [3600, -7200, 86_400, -200_000] {
        stage.world.step_wall(step);
        stage.world.advance(seconds(4));
        assert!(held.is_held());
        assert!(stage.world.poll_once(waiting.as_mut()).is_pending());
    }
    stage.world.run(waiting).expect_err("held");
    let took = stage.world.now().since(start);
    assert!(took >= seconds(20) && took <= seconds(20) + millis(50), "{took:?}");
}
