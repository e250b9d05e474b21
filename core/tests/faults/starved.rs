//! The user's own runtime has no thread left to run anything: the lease lives in a thread of ours.

use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};

use leasehold::{Client, ClientOptions, LostReason, Release};
use leasehold_testkit::proxy::{Action, Direction, Fault};
use tokio::runtime::{Builder, Runtime};

use super::scene::{LONG, SHORT, SLACK, Scene, Test, hear, now, report, test, told, watch_end};

pub(super) const TESTS: &[Test] = &[
    test("runtime_of_one_thread_keeps_its_lock", |scene| {
        keeps(scene, &one_thread(), &scene.client);
    }),
    test("runtime_of_many_threads_keeps_its_lock", |scene| {
        keeps(scene, &many_threads(), &scene.client);
    }),
    test("runtime_that_drives_the_requests_keeps_its_lock", |scene| {
        let runtime = one_thread();
        keeps(scene, &runtime, &hosted(scene, &runtime));
    }),
    test("runtime_of_one_thread_is_told", |scene| is_told(scene, &one_thread(), &scene.client)),
    test("runtime_of_many_threads_is_told", |scene| is_told(scene, &many_threads(), &scene.client)),
    test("runtime_that_drives_the_requests_is_told", |scene| {
        let runtime = one_thread();
        is_told(scene, &runtime, &hosted(scene, &runtime));
    }),
];

/// A client whose requests are driven by the user's runtime.
fn hosted(scene: &Scene<'_>, runtime: &Runtime) -> Client {
    let options = ClientOptions { io: Some(runtime.handle().clone()), ..ClientOptions::default() };
    Client::with(&scene.proxy.url(&scene.server.url()), options).expect("a client")
}

const WORKERS: usize = 2;

fn one_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn many_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().expect("a runtime")
}

/// Runs `body` while every worker of `runtime` is blocked, by code that doesn't know better.
fn saturated(runtime: &Runtime, body: impl FnOnce()) {
    let workers = runtime.metrics().num_workers();
    let blocked = Arc::new(Barrier::new(workers + 1));
    let block = |_| {
        let (free, freed) = channel::<()>();
        let blocked = Arc::clone(&blocked);
        runtime.spawn(async move {
            blocked.wait();
            // Until the other end is dropped.
            let _ = freed.recv();
        });
        free
    };
    let free: Vec<_> = (0..workers).map(block).collect();
    blocked.wait();
    body();
    drop(free);
}

/// For three lengths of the lease.
fn keeps(scene: &Scene<'_>, runtime: &Runtime, client: &Client) {
    let lock = client.lock("starved").ttl(SHORT);
    let lease = runtime.block_on(runtime.spawn(lock.acquire())).expect("no panic").expect("free");
    let fence = lease.fence();
    saturated(runtime, || {
        let renewals = scene.proxy.trap(Direction::ToServer, "starved", Action::Note, 9);
        let began = now();
        // One at each third of it, less the jitter.
        scene.proxy.wait_for(|stats| stats.sprung(renewals) == 9);
        assert!(lease.is_held(), "{:?}", lease.lost_reason());
        assert!(now().since(began) >= SHORT * 5 / 2);
        report(&format!("nine renewals in {:.1?}, ttl {SHORT:?}", now().since(began)));
    });
    let view = leasehold::block_on(scene.other.inspect("starved")).expect("a view");
    assert_eq!(view.holder.expect("held").fence, fence);
    let released = runtime.spawn(async move { lease.release().await });
    assert_eq!(runtime.block_on(released).expect("no panic"), Release::Released);
}

/// At the same time the network is gone: who asks knows at once, and who was blocked is told as
/// soon as it runs again.
fn is_told(scene: &Scene<'_>, runtime: &Runtime, client: &Client) {
    let lock = client.lock("starved").ttl(SHORT);
    let lease = runtime.block_on(runtime.spawn(lock.acquire())).expect("no panic").expect("free");
    let told = told(&lease);
    let lease = Arc::new(lease);
    let (tell, awaited) = channel();
    let waits = Arc::clone(&lease);
    runtime.spawn(async move { tell.send((waits.lost().await, now())) });
    let mut free = now();
    saturated(runtime, || {
        scene.proxy.set_all(Fault::BlackHole);
        let deadline = watch_end(&lease);
        let (reason, at) = hear(&told);
        assert_eq!(reason, LostReason::StoreUnreachable);
        assert!(at <= deadline + SLACK, "told {:?} after its deadline", at.since(deadline));
        report(&format!("told {:.1?} after the deadline", at.since(deadline)));
        assert!(awaited.try_recv().is_err(), "the runtime was not saturated");
        free = now();
    });
    let (reason, at) = awaited.recv_timeout(LONG).expect("told");
    assert_eq!(reason, LostReason::StoreUnreachable);
    assert!(at.since(free) <= SLACK, "{:?}", at.since(free));
}
