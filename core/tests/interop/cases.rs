//! Who holds, who waits, who dies and who sleeps. Each says what it saw, for the table.

use leasehold::{Release, block_on};
use leasehold_testkit::oracle::boot_nanos;
use leasehold_testkit::peer::{Layout, Library, Outcome, Peer, Released, Want};
use leasehold_testkit::server::Reply;

use super::scene::{LONG, NAME, ROUNDING, SHORT, Scene, Way, between, our_bound};

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) applies: fn(&Library, Way) -> bool,
    pub(super) body: fn(&Scene<'_>) -> String,
}

pub(super) const CASES: [Case; 9] = [
    Case { name: "they_hold", title: "they hold, we wait", applies: speaks, body: they_hold },
    Case { name: "we_hold", title: "we hold, they wait", applies: speaks, body: we_hold },
    Case { name: "they_die", title: "they are killed", applies: speaks, body: they_die },
    Case { name: "we_die", title: "we are killed", applies: speaks, body: we_die },
    Case { name: "they_expire", title: "they expire", applies: speaks, body: they_expire },
    Case { name: "they_sleep", title: "they stop renewing", applies: renews, body: they_sleep },
    Case { name: "we_sleep", title: "we stop renewing", applies: speaks, body: we_sleep },
    Case { name: "they_stay", title: "they never expire", applies: eternal, body: they_hold_on },
    Case { name: "other_layout", title: "another layout", applies: is_hash, body: other_layout },
];

/// Of two locks at once, those that have a bell.
fn speaks(library: &Library, way: Way) -> bool {
    way == Way::Dialect || (way == Way::Dual && library.poll().is_none())
}

fn renews(library: &Library, way: Way) -> bool {
    way == Way::Dialect && library.renews
}

fn eternal(library: &Library, way: Way) -> bool {
    way == Way::Dialect && library.eternal
}

fn is_hash(library: &Library, way: Way) -> bool {
    library.layout == Layout::Hash && way == Way::Plain
}

fn they_hold(scene: &Scene<'_>) -> String {
    wait_out(scene, Want::now(NAME, LONG))
}

/// A lock without an end: a waiter that sleeps for its time to live would never wake, or never
/// sleep.
fn they_hold_on(scene: &Scene<'_>) -> String {
    wait_out(scene, Want::now(NAME, std::time::Duration::ZERO))
}

fn wait_out(scene: &Scene<'_>, want: Want<'_>) -> String {
    let mut peer = scene.holding(want);
    let theirs = scene.token();
    assert!(scene.try_ours().is_none());
    let before = scene.server.commandstats();
    let (lease, took) = std::thread::scope(|scope| {
        let ours = scene.wait_for_ours(scope);
        assert_eq!(scene.token(), theirs, "waiting changes nothing");
        scene.check_new(false);
        let released = boot_nanos();
        assert_eq!(peer.release(), scene.done());
        let (lease, at) = ours.join().expect("we are granted");
        scene.check_new(true);
        (lease, between(released, at))
    });
    let calls = |stats: &std::collections::BTreeMap<String, (u64, u64)>| {
        stats.get("evalsha").map_or(0, |stat| stat.0)
    };
    let asked = calls(&scene.server.commandstats()) - calls(&before);
    assert!(asked < 200, "{asked} requests: we don't wait, we spin");
    assert!(took <= our_bound(), "we saw it after {took:.1?}");
    assert!(lease.is_held() && lease.fence() > 0);
    assert_ne!(scene.token(), theirs);
    assert_eq!(peer.acquire(Want::now(NAME, LONG)), Outcome::Busy);
    assert_eq!(block_on(lease.release()), Release::Released);
    scene.check_new(false);
    assert_eq!(peer.acquire(Want::now(NAME, LONG)), Outcome::Held, "we left nothing in the way");
    format!("after {:.2} s", took.as_secs_f64())
}

fn we_hold(scene: &Scene<'_>) -> String {
    let lease = scene.try_ours().expect("it is free");
    let ours = scene.token();
    let mut peer = scene.peer();
    assert_eq!(peer.acquire(Want::now(NAME, SHORT)), Outcome::Busy);
    // For long enough that only our bell wakes one that waits for a bell.
    scene.have_wait(&mut peer, LONG);
    assert_eq!(scene.token(), ours);
    let released = boot_nanos();
    assert_eq!(block_on(lease.release()), Release::Released);
    assert_eq!(peer.outcome(), Outcome::Held);
    let took = between(released, boot_nanos());
    assert!(took <= scene.bell_bound(), "they saw it after {took:.1?}");
    scene.check_new(false);
    assert!(scene.token() != ours && scene.try_ours().is_none());
    assert_eq!(peer.release(), scene.done());
    assert!(scene.try_ours().is_some());
    format!("after {:.2} s", took.as_secs_f64())
}

fn they_die(scene: &Scene<'_>) -> String {
    let asked = boot_nanos();
    let mut peer = scene.holding(Want::now(NAME, SHORT));
    let held = boot_nanos();
    std::thread::scope(|scope| {
        let ours = scene.wait_for_ours(scope);
        peer.kill();
        let (lease, at) = ours.join().expect("we are granted");
        assert!(lease.is_held());
        after_expiry(between(asked, at), between(held, at))
    })
}

/// That we were granted after the end of their lock and soon after; how long after.
fn after_expiry(since_asked: std::time::Duration, since_held: std::time::Duration) -> String {
    assert!(since_asked + ROUNDING >= SHORT, "after {since_asked:.1?}: before it expired");
    assert!(since_held <= SHORT + our_bound(), "only after {since_held:.1?}");
    format!("{:.2} s after expiry", since_held.saturating_sub(SHORT).as_secs_f64())
}

fn we_die(scene: &Scene<'_>) -> String {
    let mut peer = scene.peer();
    let (mut holder, granted) = scene.our_process(SHORT);
    assert_eq!(peer.acquire(Want::now(NAME, SHORT)), Outcome::Busy);
    scene.have_wait(&mut peer, SHORT);
    holder.kill();
    let killed = boot_nanos();
    let left = scene.server.admin(&["PTTL", &scene.key]).integer();
    let left = std::time::Duration::from_millis(u64::try_from(left).expect("our lock expires"));
    assert_eq!(peer.outcome(), Outcome::Held);
    let after = between(killed, boot_nanos());
    assert!(between(granted, boot_nanos()) + ROUNDING >= SHORT && after + ROUNDING >= left);
    assert!(after <= left + scene.their_bound(), "after {after:.1?}, {left:.1?} were left");
    format!("{:.2} s after expiry", after.saturating_sub(left).as_secs_f64())
}

fn they_expire(scene: &Scene<'_>) -> String {
    let asked = boot_nanos();
    let mut peer = scene.holding(Want::now(NAME, SHORT));
    let held = boot_nanos();
    std::thread::scope(|scope| {
        let (lease, at) = scene.wait_for_ours(scope).join().expect("we are granted");
        stay_ours(scene, &mut peer, &lease);
        after_expiry(between(asked, at), between(held, at))
    })
}

fn they_sleep(scene: &Scene<'_>) -> String {
    let mut peer = scene.holding(Want::now(NAME, SHORT).renewed());
    std::thread::scope(|scope| {
        let ours = scene.wait_for_ours(scope);
        let stopped = boot_nanos();
        peer.stop();
        let (lease, at) = ours.join().expect("we are granted");
        let took = between(stopped, at);
        assert!(took <= SHORT + our_bound(), "only after {took:.1?}");
        peer.wake();
        stay_ours(scene, &mut peer, &lease);
        format!("after {:.2} s of a ttl of {SHORT:?}", took.as_secs_f64())
    })
}

/// Nothing that a holder does whose lock has passed to us touches ours.
fn stay_ours(scene: &Scene<'_>, peer: &mut Peer, lease: &leasehold::Lease) {
    let ours = scene.token();
    if scene.library.extends {
        assert_eq!(peer.extend(LONG * 2), Released::NotHeld);
    }
    let released = peer.release();
    assert!(scene.is_loss(&released), "{released:?}");
    assert_eq!(scene.token(), ours);
    assert!(lease.is_held());
    let left = scene.server.admin(&["PTTL", &scene.key]).integer();
    assert!(left > 0 && left <= 2 * LONG.as_millis() as i64, "{left}");
    assert_eq!(block_on(lease.release()), Release::Released);
}

fn we_sleep(scene: &Scene<'_>) -> String {
    let mut peer = scene.peer();
    let (mut holder, granted) = scene.our_process(SHORT);
    scene.have_wait(&mut peer, SHORT);
    holder.stop();
    let stopped = boot_nanos();
    assert_eq!(peer.outcome(), Outcome::Held);
    let (took, at) = (between(stopped, boot_nanos()), boot_nanos());
    assert!(between(granted, at) + ROUNDING >= SHORT);
    // With the time that only the server keeps a lock, for a clock that runs slow.
    assert!(took <= SHORT * 2 + scene.their_bound(), "only after {took:.1?}");
    // For as long as we look, and renewed by who can: else it would end by itself.
    let kept = scene.server.admin(&["PEXPIRE", &scene.key, &LONG.as_millis().to_string()]);
    assert_eq!(kept, Reply::Integer(1));
    let theirs = scene.token();
    holder.wake();
    holder.say("held");
    let ours = holder.wait_for("held ");
    assert!(ours.starts_with("false"), "we believe that we hold it: {ours}");
    holder.say("release");
    let released = holder.wait_for("released ");
    assert_eq!(scene.token(), theirs, "our {released} ended theirs");
    assert_eq!(peer.release(), scene.done());
    format!("after {:.2} s of a ttl of {SHORT:?}", took.as_secs_f64())
}

/// A key of another layout is another's lock: never free, never a crash.
fn other_layout(scene: &Scene<'_>) -> String {
    let seen = wait_out_layout(scene);
    let lease = scene.try_ours().expect("it is free");
    let mut peer = scene.peer();
    let outcome = peer.acquire(Want::now(NAME, SHORT));
    let refused = matches!(&outcome, Outcome::Failed(why) if why.contains("WRONGTYPE"));
    assert!(refused && lease.is_held(), "{outcome:?}");
    assert_eq!(block_on(lease.release()), Release::Released);
    format!("we wait, {seen}; they fail with WRONGTYPE")
}

fn wait_out_layout(scene: &Scene<'_>) -> String {
    let mut peer = scene.holding(Want::now(NAME, LONG));
    let theirs = scene.token();
    assert!(scene.try_ours().is_none());
    std::thread::scope(|scope| {
        let ours = scene.wait_for_ours(scope);
        assert_eq!(scene.token(), theirs, "waiting changes nothing");
        let released = boot_nanos();
        assert_eq!(peer.release(), scene.done());
        let (lease, at) = ours.join().expect("we are granted");
        let took = between(released, at);
        assert!(took <= our_bound(), "we saw it after {took:.1?}");
        assert_eq!(block_on(lease.release()), Release::Released);
        format!("after {:.2} s", took.as_secs_f64())
    })
}
