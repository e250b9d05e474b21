//! A server whose memory is full: what is held is kept and given back, what is new is refused, and what
//! the server throws away its holder is told of (hazard 57).

use leasehold::{ErrorKind, LostReason, Release, block_on};
use leasehold_testkit::proxy::{Action, Direction};

use super::scene::{LONG, SHORT, Scene, Test, eventually, hear, now, report, test, told};

pub(super) const TESTS: &[Test] =
    &[test("that_is_full_keeps_what_is_held", full), test("that_evicts_keys_is_noticed", evicted)];

fn fill(scene: &Scene<'_>, policy: &str) {
    for (name, value) in [("maxmemory-policy", policy), ("maxmemory", "1")] {
        assert_eq!(scene.server.admin(&["CONFIG", "SET", name, value]).text(), "OK");
    }
}

fn empty(scene: &Scene<'_>) {
    assert_eq!(scene.server.admin(&["CONFIG", "SET", "maxmemory", "0"]).text(), "OK");
}

fn full(scene: &Scene<'_>) {
    scene.warm();
    let lease = scene.client.lock("held").ttl(SHORT).acquire_blocking().expect("free");
    fill(scene, "noeviction");
    let renewals = scene.proxy.trap(Direction::ToServer, "held", Action::Note, 6);
    scene.proxy.wait_for(|stats| stats.sprung(renewals) == 6);
    assert!(lease.is_held(), "{:?}", lease.lost_reason());
    let error = scene.client.lock("new").acquire_blocking().expect_err("no room for it");
    assert_eq!(error.kind(), ErrorKind::StoreFailed, "{error}");
    assert!(error.message().contains("memory is full"), "{error}");
    assert_eq!(block_on(lease.release()), Release::Released);
    report(&format!("renewed and given back; what is new: {error}"));
    scene.await_free("held");
    empty(scene);
    scene.assert_free("new");
}

/// Lock keys have an expiry, so they are what `volatile-*` policies take first.
fn evicted(scene: &Scene<'_>) {
    scene.warm();
    let lease = scene.client.lock("held").ttl(SHORT).acquire_blocking().expect("free");
    let told = told(&lease);
    fill(scene, "volatile-random");
    eventually("the server has thrown it away", || scene.token("held").is_empty());
    let gone = now();
    empty(scene);
    let (reason, at) = hear(&told);
    assert!([LostReason::Expired, LostReason::Superseded].contains(&reason), "{reason}");
    assert!(!lease.is_held());
    report(&format!("told {reason} within {:.1?}, ttl {SHORT:?}", at.since(gone)));
    let next = scene.other.lock("held").ttl(LONG).acquire_blocking().expect("free");
    assert!(next.fence() > lease.fence(), "{} after {}", next.fence(), lease.fence());
    block_on(next.release());
}
