//! The server dies and comes back, with what it kept or with nothing, while 50 hold and 50 wait.

use std::time::Duration;

use leasehold::options::HEARTBEAT;
use leasehold::sys::BootTime;
use leasehold::{ErrorKind, Lease, LostReason, Release, block_on};
use leasehold_testkit::server::RedisSetup;
use tokio::task::JoinHandle;

use super::scene::{LONG, SLACK, Scene, Test, eventually, hear, now, report, test, told};

pub(super) const TESTS: &[Test] = &[
    Test { name: "with_its_data", setup: RedisSetup::kept, body: with_data },
    test("without_its_data", without_data),
    test("changes_nothing_that_it_forgot", forgotten_tenures_are_not_changed),
];

const LOCKS: usize = 50;
const TTL: Duration = Duration::from_secs(12);

struct Crowd {
    runtime: tokio::runtime::Runtime,
    held: Vec<Lease>,
    /// The fence of each, and when it was granted.
    waiting: Vec<JoinHandle<(u64, BootTime)>>,
}

impl Crowd {
    fn gather(scene: &Scene<'_>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let name = |index: usize| format!("kept-{index}");
        let held: Vec<Lease> = (0..LOCKS)
            .map(|index| scene.client.lock(name(index)).ttl(TTL).acquire_blocking().expect("free"))
            .collect();
        let waiting = (0..LOCKS)
            .map(|index| {
                let lock = scene.other.lock(name(index)).ttl(LONG);
                runtime.spawn(async move {
                    let lease = lock.await.expect("granted in the end");
                    let (held, at) = (lease.is_held(), now());
                    lease.release().await;
                    assert!(held, "granted what was lost");
                    (lease.fence(), at)
                })
            })
            .collect();
        eventually("all wait", || {
            let views = block_on(scene.other.list("kept-", None, 100)).expect("views");
            views.iter().filter(|view| view.waiting == 1).count() == LOCKS
        });
        Self { runtime, held, waiting }
    }

    /// Awaits all grants; how long after `since` the last one came.
    fn all_granted(self, since: BootTime) -> Duration {
        let mut last = since;
        for (task, old) in self.waiting.into_iter().zip(&self.held) {
            let (fence, at) = self.runtime.block_on(task).expect("no panic");
            assert!(fence > old.fence());
            last = last.max(at);
        }
        last.since(since)
    }
}

fn with_data(scene: &Scene<'_>) {
    let crowd = Crowd::gather(scene);
    let deadlines: Vec<_> = crowd.held.iter().map(|lease| now() + lease.remaining()).collect();
    scene.server.restart();
    let back = now();
    for (lease, old) in crowd.held.iter().zip(deadlines) {
        eventually("it is renewed", || {
            assert!(lease.is_held(), "{}: {:?}", lease.name(), lease.lost_reason());
            now() + lease.remaining() > old + Duration::from_millis(100)
        });
    }
    report(&format!("all {LOCKS} renewed {:.1?} after the restart", now().since(back)));
    assert!(crowd.waiting.iter().all(|task| !task.is_finished()), "granted while it was held");
    let released = now();
    for lease in &crowd.held {
        assert_eq!(block_on(lease.release()), Release::Released);
    }
    let took = crowd.all_granted(released);
    report(&format!("all {LOCKS} waiters granted {took:.1?} after the release"));
    assert!(took <= HEARTBEAT + SLACK, "{took:?}");
}

/// What the server forgot, another may hold: that is said of this store. The old holders learn of
/// it, the waiters go on.
fn without_data(scene: &Scene<'_>) {
    let crowd = Crowd::gather(scene);
    let told: Vec<_> = crowd.held.iter().map(told).collect();
    scene.server.restart();
    let back = now();
    let mut last = back;
    for told in &told {
        let (reason, at) = hear(told);
        assert!(matches!(reason, LostReason::Expired | LostReason::Superseded), "{reason}");
        last = last.max(at);
    }
    let known = last.since(back);
    let took = crowd.all_granted(back);
    report(&format!("all holders told after {known:.1?}, all waiters granted after {took:.1?}"));
    assert!(known <= TTL, "{known:?}");
    assert!(took <= HEARTBEAT * 2 + SLACK, "{took:?}");
}

/// A reader that the server forgot does not become its writer, nor the reverse: another may have written
/// since, and what was read before is not what is there now. Found by the simulator.
fn forgotten_tenures_are_not_changed(scene: &Scene<'_>) {
    scene.warm();
    let prices = scene.client.rwlock("prices");
    for reads in [true, false] {
        let lock = if reads { prices.read() } else { prices.write() };
        let lease = lock.ttl(LONG).acquire_blocking().expect("free");
        assert_eq!(scene.server.admin(&["FLUSHALL"]).text(), "OK");
        let other = scene.other.rwlock("prices").write().ttl(LONG);
        let other = other.acquire_blocking().expect("it was forgotten");
        assert_eq!(block_on(other.release()), Release::Released);
        let changed =
            block_on(async { if reads { lease.upgrade().await } else { lease.downgrade().await } });
        let error = changed.expect_err("it is not held any more");
        assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
        assert!(!lease.is_held());
        scene.assert_free("prices");
    }
}
