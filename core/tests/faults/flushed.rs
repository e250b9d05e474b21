//! The server forgets its scripts again and again, as a restart, a failover or an administrator
//! makes it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use leasehold::{Lease, Release, block_on};

use super::scene::{LONG, Scene, Test, eventually, now, report, test};

pub(super) const TESTS: &[Test] = &[test("scripts_cost_nothing", flushed)];

/// More than one batch of renewals and of heartbeats.
const HELD: usize = 150;
const WAITED: usize = 120;
const TTL: Duration = Duration::from_secs(2);

fn flushed(scene: &Scene<'_>) {
    let (stop, flushes) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut admin = scene.server.connect(LONG).expect("a connection");
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(admin.ask(&["SCRIPT", "FLUSH"]).expect("an answer").text(), "OK");
                flushes.fetch_add(1, Ordering::Relaxed);
            }
        });
        hold_and_wait(scene);
        stop.store(true, Ordering::Relaxed);
    });
    let calls = scene.server.commandstats()["evalsha"].0;
    let missed = errors(scene).get("NOSCRIPT").copied().unwrap_or_default();
    let flushes = flushes.into_inner();
    report(&format!("{flushes} flushes; {missed} of {calls} calls found no script"));
    assert!(missed * 4 >= calls, "the flushes came too seldom to show anything");
}

fn hold_and_wait(scene: &Scene<'_>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let name = |index: usize| format!("flushed-{index}");
    let held: Vec<Lease> = (0..HELD)
        .map(|index| scene.client.lock(name(index)).ttl(TTL).acquire_blocking().expect("free"))
        .collect();
    let waiting: Vec<_> = (0..WAITED)
        .map(|index| {
            let lock = scene.other.lock(name(index)).ttl(TTL);
            runtime.spawn(async move { lock.await.expect("granted in the end") })
        })
        .collect();
    let end = now() + TTL * 2;
    eventually("all wait", || {
        let views = block_on(scene.other.list("flushed-", None, 1000)).expect("views");
        views.iter().filter(|view| view.waiting == 1).count() == WAITED
    });
    eventually("two lengths of a lease have passed", || now() > end);
    for lease in &held {
        assert!(lease.is_held(), "{}: {:?}", lease.name(), lease.lost_reason());
        assert_eq!(block_on(lease.release()), Release::Released);
    }
    for (task, old) in waiting.into_iter().zip(&held) {
        let lease = runtime.block_on(task).expect("no panic");
        assert!(lease.is_held() && lease.fence() > old.fence());
        assert_eq!(runtime.block_on(lease.release()), Release::Released);
    }
}

/// How often the server answered with each error.
fn errors(scene: &Scene<'_>) -> BTreeMap<String, u64> {
    let info = scene.server.admin(&["INFO", "errorstats"]).text();
    let parse = |line: &str| {
        let (name, count) = line.strip_prefix("errorstat_")?.split_once(":count=")?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    info.lines().filter_map(parse).collect()
}
