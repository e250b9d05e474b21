//! What a holder is told and when, in virtual time: renewal, loss with its reason, the end of a
//! term, release.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Stage, millis, seconds};
use leasehold::store::Evict;
use leasehold::{Error, ErrorKind, Lease, LostReason, Release, Result};

const TTL: Duration = seconds(30);

fn take(stage: &Stage, name: &str) -> Lease {
    stage.world.run(stage.client.lock(name).ttl(TTL).acquire()).expect("free")
}

fn evict(stage: &Stage, name: &str) {
    let why = Evict { why: "test".to_owned(), fence: None };
    stage.world.run(stage.other.evict(name, &why)).expect("evicted");
}

/// The reasons that `lease`'s listener hears.
fn heard(lease: &Lease) -> Arc<Mutex<Vec<LostReason>>> {
    let heard = Arc::<Mutex<Vec<LostReason>>>::default();
    let listener = Arc::clone(&heard);
    lease.on_lost(move |reason| listener.lock().unwrap().push(reason));
    heard
}

#[test]
fn a_lease_is_kept_for_as_long_as_it_is_wanted() {
    let stage = Stage::new();
    let lease = take(&stage, "kept");
    let (fence, heard) = (lease.fence(), heard(&lease));
    for _ in 0..100 {
        stage.world.advance(TTL / 2);
        assert!(lease.is_held() && lease.remaining() > TTL / 3);
    }
    assert_eq!(stage.holder("kept").map(|holder| holder.fence), Some(fence));
    assert!(heard.lock().unwrap().is_empty());
    assert_eq!(lease.fence(), fence, "renewals keep the fence");
}

/// Hazard 1: the very first look after a pause must know, with no timer of ours having run.
#[test]
fn the_first_look_after_a_pause_knows() {
    let stage = Stage::new();
    let lease = take(&stage, "paused");
    let heard = heard(&lease);
    stage.world.pause(TTL);
    assert!(!lease.is_held());
    assert_eq!(lease.remaining(), Duration::ZERO);
    assert_eq!(lease.lost_reason(), Some(LostReason::Expired));
    let error = lease.check(Duration::ZERO).expect_err("over");
    assert_eq!((error.kind(), error.lost_reason()), (ErrorKind::Lost, Some(LostReason::Expired)));
    stage.world.settle();
    assert_eq!(*heard.lock().unwrap(), [LostReason::Expired], "told once");
    // The store kept it longer than the holder believed; a late renewal must not revive it.
    stage.world.advance(TTL);
    assert!(!lease.is_held(), "once lost, lost for ever");
    assert_eq!(stage.world.run(lease.release()), Release::Lost(LostReason::Expired));
}

/// The holder stops believing before the store lets go (oracle O6).
#[test]
fn the_belief_ends_before_the_stores_tenure() {
    let stage = Stage::new();
    let lease = take(&stage, "sound");
    for _ in 0..50 {
        let stored = stage.holder("sound").expect("held").stored;
        assert!(lease.remaining() < stored, "{:?} of {stored:?}", lease.remaining());
        stage.world.advance(seconds(7));
    }
}

#[test]
fn a_fixed_term_ends_and_is_told_in_time() {
    let stage = Stage::new();
    let start = stage.world.now();
    let lock = stage.client.lock("term").ttl(TTL).fixed_term();
    let lease = stage.world.run(lock.acquire()).expect("free");
    let told = heard(&lease);
    stage.world.advance(TTL - millis(100));
    assert!(lease.is_held());
    let reason = stage.world.run(lease.lost());
    assert_eq!(reason, LostReason::Expired);
    assert!(stage.world.now().since(start) <= TTL, "no later than its end");
    stage.world.settle();
    assert_eq!(*told.lock().unwrap(), [LostReason::Expired]);
}

#[test]
fn the_longest_tenure_ends_and_frees_the_lock_at_once() {
    let stage = Stage::new();
    let lock = stage.client.lock("zombie").ttl(TTL).max_hold(seconds(100));
    let lease = stage.world.run(lock.acquire()).expect("free");
    stage.world.advance(seconds(99));
    assert!(lease.is_held());
    stage.world.advance(seconds(1));
    assert_eq!(lease.lost_reason(), Some(LostReason::MaxHold));
    assert_eq!(stage.holder("zombie"), None, "the next need not wait for the expiry");
}

#[test]
fn a_touch_starts_the_longest_tenure_anew() {
    let stage = Stage::new();
    let lock = stage.client.lock("alive").ttl(TTL).max_hold(seconds(100));
    let lease = stage.world.run(lock.acquire()).expect("free");
    for _ in 0..20 {
        stage.world.advance(seconds(60));
        assert!(lease.is_held());
        lease.touch();
    }
    stage.world.advance(seconds(101));
    assert_eq!(lease.lost_reason(), Some(LostReason::MaxHold));
    lease.touch();
    assert!(!lease.is_held(), "too late");
}

#[test]
fn a_lease_can_be_extended() {
    let stage = Stage::new();
    let lock = stage.client.lock("longer").ttl(TTL).fixed_term();
    let lease = stage.world.run(lock.acquire()).expect("free");
    stage.world.advance(seconds(20));
    stage.world.run(lease.extend(seconds(300))).expect("extended");
    assert!(lease.remaining() > seconds(290));
    stage.world.advance(seconds(290));
    assert!(lease.is_held());
    stage.world.advance(seconds(10));
    assert_eq!(lease.lost_reason(), Some(LostReason::Expired), "a fixed term all the same");
    let error = stage.world.run(lease.extend(TTL)).expect_err("over");
    assert_eq!(error.kind(), ErrorKind::Lost);
}

#[test]
fn an_extension_out_of_bounds_changes_nothing() {
    let stage = Stage::new();
    let lease = take(&stage, "bounds");
    for ttl in [Duration::ZERO, millis(1), seconds(1 << 40), Duration::MAX] {
        let error = stage.world.run(lease.extend(ttl)).expect_err("out of bounds");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{ttl:?}: {error:?}");
    }
    assert!(lease.is_held() && lease.remaining() <= TTL);
}

#[test]
fn an_extension_of_an_evicted_lease_says_so() {
    let stage = Stage::new();
    let lease = take(&stage, "taken");
    evict(&stage, "taken");
    let error = stage.world.run(lease.extend(TTL)).expect_err("revoked");
    assert_eq!(error.lost_reason(), Some(LostReason::Revoked));
    assert!(!lease.is_held());
}

#[test]
fn an_evicted_holder_is_told_at_its_next_renewal() {
    let stage = Stage::new();
    let lease = take(&stage, "evicted");
    let heard = heard(&lease);
    evict(&stage, "evicted");
    // A third of the ttl, ten percent later at most.
    stage.world.advance(TTL.mul_f64(0.37));
    assert_eq!(lease.lost_reason(), Some(LostReason::Revoked));
    assert_eq!(*heard.lock().unwrap(), [LostReason::Revoked]);
}

#[test]
fn listeners_hear_once_and_late_ones_at_once() {
    let stage = Stage::new();
    let lease = take(&stage, "listeners");
    let counts: Vec<_> = (0..3).map(|_| Arc::<AtomicUsize>::default()).collect();
    for count in &counts {
        let count = Arc::clone(count);
        lease.on_lost(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }
    stage.world.pause(TTL);
    stage.world.advance(TTL);
    let late = heard(&lease);
    assert_eq!(*late.lock().unwrap(), [LostReason::Expired], "a late listener hears at once");
    drop(lease);
    stage.world.advance(TTL);
    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
}

#[test]
fn a_released_lease_is_never_reported_lost() {
    let stage = Stage::new();
    let lease = take(&stage, "clean");
    let heard = heard(&lease);
    assert_eq!(stage.world.run(lease.release()), Release::Released);
    assert!(!lease.is_held());
    stage.world.advance(10 * TTL);
    assert_eq!(lease.lost_reason(), None);
    assert!(heard.lock().unwrap().is_empty());
    assert_eq!(stage.world.run(lease.release()), Release::Repeated);
    let error = lease.check(Duration::ZERO).expect_err("given back");
    assert_eq!(error.kind(), ErrorKind::Lost);
}

#[test]
fn a_second_release_touches_no_successor() {
    let stage = Stage::new();
    let lease = take(&stage, "successor");
    stage.world.run(lease.release());
    let next = stage.world.run(stage.other.lock("successor").acquire()).expect("free");
    assert_eq!(stage.world.run(lease.release()), Release::Repeated);
    drop(lease);
    stage.world.advance(seconds(5));
    assert!(next.is_held());
    assert_eq!(stage.holder("successor").map(|holder| holder.fence), Some(next.fence()));
}

#[test]
fn a_dropped_lease_is_given_back() {
    let stage = Stage::new();
    drop(take(&stage, "dropped"));
    assert_eq!(stage.holder("dropped"), None);
}

#[test]
fn a_check_demands_what_is_left() {
    let stage = Stage::new();
    let lock = stage.client.lock("check").ttl(TTL).fixed_term();
    let lease = stage.world.run(lock.acquire()).expect("free");
    lease.check(TTL / 2).expect("enough");
    stage.world.advance(TTL / 2);
    let error = lease.check(TTL / 2).expect_err("too little");
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert!(lease.is_held(), "held all the same");
    lease.check(Duration::ZERO).expect("held");
}

#[test]
fn a_body_under_the_lock_gives_it_back_with_its_value() {
    let stage = Stage::new();
    let value = stage.world.run(stage.client.lock("run").run(async |lease| {
        assert!(lease.is_held());
        7
    }));
    assert_eq!(value.expect("free"), 7);
    assert_eq!(stage.holder("run"), None);
    // A body's own error is its value: it is not masked by anything of ours.
    let failed: Result<Result<(), &str>> =
        stage.world.run(stage.client.lock("run").run(async |_| Err("the body's own")));
    assert_eq!(failed.expect("free"), Err("the body's own"));
    assert_eq!(stage.holder("run"), None);
}

#[test]
fn a_body_is_dropped_where_it_awaits_when_its_lease_is_lost() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let stage = Stage::new();
    let dropped = Arc::<AtomicUsize>::default();
    let guard = Dropped(Arc::clone(&dropped));
    let lock = stage.client.lock("body").ttl(TTL).max_hold(seconds(50));
    let error: Error = stage
        .world
        .run(lock.run(async move |_| {
            let _guard = guard;
            std::future::pending::<()>().await;
        }))
        .expect_err("lost");
    assert_eq!((error.kind(), error.lost_reason()), (ErrorKind::Lost, Some(LostReason::MaxHold)));
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert_eq!(stage.holder("body"), None);
}

#[test]
fn a_shutdown_tells_holders_refuses_waiters_and_frees_locks() {
    let stage = Stage::new();
    let lease = take(&stage, "held");
    let told = heard(&lease);
    let foreign = stage.world.run(stage.other.lock("foreign").acquire()).expect("free");
    let waiting = stage.client.lock("foreign").acquire();
    let refused = Arc::<Mutex<Option<ErrorKind>>>::default();
    let kind = Arc::clone(&refused);
    stage.world.sys().spawn(Box::pin(async move {
        let error = waiting.await.expect_err("shut down");
        *kind.lock().unwrap() = Some(error.kind());
    }));
    stage.world.settle();
    assert_eq!(stage.view("foreign").waiting, 1);
    assert!(stage.world.run(stage.client.shutdown(seconds(5))), "all was given back in time");
    stage.world.settle();
    assert_eq!(lease.lost_reason(), Some(LostReason::Shutdown));
    assert_eq!(*told.lock().unwrap(), [LostReason::Shutdown]);
    assert_eq!(*refused.lock().unwrap(), Some(ErrorKind::ShutDown));
    assert_eq!(stage.holder("held"), None, "free at once");
    assert_eq!(stage.view("foreign").waiting, 0);
    assert!(foreign.is_held(), "another client's lease is its own");
    let late = stage.world.run(stage.client.lock("late").acquire()).expect_err("closed");
    assert_eq!(late.kind(), ErrorKind::ShutDown);
    assert!(stage.world.run(stage.client.shutdown(seconds(5))), "twice is fine");
}
