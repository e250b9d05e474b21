//! A grant is pushed once. Whatever becomes of the push, its waiter finds the grant at its next
//! heartbeat.

use std::time::Duration;

use leasehold::options::{HEARTBEAT, REQUEST_TIMEOUT};
use leasehold::sys::BootTime;
use leasehold::{Client, Lease, block_on};
use leasehold_testkit::proxy::{Action, Direction};

use super::scene::{LONG, SLACK, Scene, Test, eventually, now, report, test};

pub(super) const TESTS: &[Test] = &[
    test("are_cut_off_each_with_its_connection", |scene| lost_pushes(scene, LOCKS)),
    test("are_cut_off_with_the_one_connection_of_all", |scene| lost_pushes(scene, 1)),
    test("vanish_with_a_forgotten_connection", forgotten),
];

/// Locks at the same time, in each round.
const LOCKS: usize = 50;
const ROUNDS: u64 = 20;
/// What the client's connection is told by when a grant is pushed.
const PUSH: &str = "$7\r\nmessage\r\n";

/// 50 holders release at once; the server has published each grant, and the network ends the
/// connection that it goes by.
fn lost_pushes(scene: &Scene<'_>, clients: usize) {
    scene.warm();
    let clients: Vec<Client> = (0..clients).map(|_| scene.another()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let names: Vec<String> = (0..LOCKS).map(|number| format!("push-{number}")).collect();
    let (mut spans, mut cuts) = (Vec::new(), 0);
    for round in 1..=ROUNDS {
        let holders: Vec<Lease> = names
            .iter()
            .map(|name| scene.other.lock(name).ttl(LONG).acquire_blocking().expect("free"))
            .collect();
        let waiting = names.iter().enumerate().map(|(index, name)| {
            let lock = clients[index % clients.len()].lock(name).ttl(LONG);
            runtime.spawn(async move {
                let lease = lock.await.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
                let (held, granted) = (lease.is_held(), now());
                lease.release().await;
                assert!(held, "round {round}: granted what was lost");
                (lease.fence(), granted)
            })
        });
        let waiting: Vec<_> = waiting.collect();
        eventually("all wait", || {
            let views = block_on(scene.other.list("push-", None, 100)).expect("views");
            views.iter().filter(|view| view.waiting == 1).count() == LOCKS
        });
        let each_alone = clients.len() == LOCKS;
        let times = if each_alone { LOCKS as u64 } else { 1 };
        let trap = scene.proxy.trap(Direction::ToClient, PUSH, Action::Cut, times);
        let released: Vec<BootTime> = runtime.block_on(async {
            let mut released = Vec::new();
            for lease in &holders {
                released.push(now());
                lease.release().await;
            }
            released
        });
        for ((task, released), old) in waiting.into_iter().zip(released).zip(holders) {
            let (fence, granted) = runtime.block_on(task).expect("no panic");
            assert!(fence > old.fence());
            spans.push(granted.since(released));
        }
        let sprung = scene.proxy.stats().sprung(trap);
        assert_eq!(sprung, times, "round {round}: each push was cut off");
        cuts += sprung;
    }
    spans.sort_unstable();
    let at = |share: f64| spans[((spans.len() - 1) as f64 * share) as usize];
    let (p50, p99, most) = (at(0.5), at(0.99), at(1.0));
    report(&format!(
        "{} grants, {cuts} connections cut: p50 {p50:.1?}, p99 {p99:.1?}, most {most:.1?}",
        spans.len()
    ));
    assert!(most <= HEARTBEAT + SLACK, "a lost push cost {most:?}");
}

/// Nobody is told that the connection is dead: neither side of it hears of the other any more.
fn forgotten(scene: &Scene<'_>) {
    scene.warm();
    let lease = scene.other.lock("forgotten").ttl(LONG).acquire_blocking().expect("free");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let lock = scene.client.lock("forgotten").ttl(LONG);
            (lock.acquire_blocking().expect("granted in the end"), now())
        });
        scene.await_waiting("forgotten", 1);
        // Answers come in order: after this one the waiter has heard that it is queued.
        block_on(scene.client.ping()).expect("an answer");
        scene.forget_connections();
        let released = now();
        block_on(lease.release());
        let (next, granted) = waiter.join().expect("no panic");
        let took = granted.since(released);
        assert!(next.is_held() && next.fence() > lease.fence());
        report(&format!("granted {took:.1?} after the release"));
        let bound = HEARTBEAT + REQUEST_TIMEOUT + Duration::from_secs(1) + SLACK;
        assert!(took <= bound, "{took:?}");
    });
}
