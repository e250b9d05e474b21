//! The request is carried out, its answer is lost, and the connection with it: the step is asked for
//! again, and must not be done twice.

use std::time::Duration;

use leasehold::{ErrorKind, Release, block_on};
use leasehold_testkit::proxy::{Action, Direction};

use super::scene::{LONG, SHORT, Scene, Test, eventually, now, report, test};

pub(super) const TESTS: &[Test] = &[
    test("of_an_acquire", acquire),
    test("of_a_waiters_grant", grant),
    test("of_a_confirmation", confirmation),
    test("of_renewals", renewals),
    test("of_a_release", release),
    test("of_a_hand_off", hand_off),
];

/// The ask is repeated once, and confirms what the first one obtained. Where that is lost too, the
/// attempt fails and gives back what it may have.
fn acquire(scene: &Scene<'_>) {
    scene.warm();
    for lost in 1..=2 {
        let name = format!("unheard-{lost}");
        let trap = scene.proxy.trap(Direction::ToServer, &name, Action::DropReply, lost);
        let asked = scene.client.lock(&name).ttl(LONG).acquire_blocking();
        let answered = now();
        assert_eq!(scene.proxy.stats().sprung(trap), lost);
        match asked {
            Ok(lease) => {
                assert_eq!(lost, 1);
                let view = block_on(scene.other.inspect(&name)).expect("a view");
                assert_eq!(view.holder.expect("held").fence, lease.fence());
                assert_eq!(block_on(lease.release()), Release::Released);
            }
            Err(error) => {
                assert_eq!((lost, error.kind()), (2, ErrorKind::StoreUnavailable), "{error}");
            }
        }
        scene.await_free(&name);
        report(&format!("{lost} lost: free {:.1?} later, ttl {LONG:?}", now().since(answered)));
        scene.assert_free(&name);
    }
}

/// A waiter's ask was granted and nobody heard it: the next ask confirms the same tenure.
fn grant(scene: &Scene<'_>) {
    scene.warm();
    scene.strangers("granted");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| scene.client.lock("granted").ttl(LONG).acquire_blocking());
        scene.await_waiting("granted", 1);
        let trap = scene.proxy.trap(Direction::ToServer, "granted", Action::DropReply, 3);
        scene.server.admin(&["DEL", "granted"]);
        let lease = waiter.join().expect("no panic").expect("a lease");
        let lost = scene.proxy.wait_for(|stats| stats.sprung(trap) > 0).sprung(trap);
        let view = block_on(scene.other.inspect("granted")).expect("a view");
        assert_eq!(view.holder.expect("held").fence, lease.fence(), "one tenure, one fence");
        assert_eq!(view.waiting, 0);
        scene.proxy.heal();
        assert_eq!(block_on(lease.release()), Release::Released);
        report(&format!("granted although {lost} answers were lost"));
    });
    // A copy of the ask may still be under way, and must not take the lock for nobody.
    scene.await_free("granted");
}

/// A hand-off that needs the server's word before it is used: the first ones are lost.
fn confirmation(scene: &Scene<'_>) {
    scene.warm();
    for round in 0..5 {
        let name = format!("confirmed-{round}");
        let old = scene.other.lock(&name).ttl(LONG).acquire_blocking().expect("free");
        std::thread::scope(|scope| {
            let lock = scene.client.lock(&name).ttl(LONG).fixed_term();
            let waiter = scope.spawn(|| lock.acquire_blocking());
            scene.await_waiting(&name, 1);
            let trap = scene.proxy.trap(Direction::ToServer, &name, Action::DropReply, 2);
            block_on(old.release());
            let lease = waiter.join().expect("no panic").expect("a lease");
            assert_eq!(scene.proxy.wait_for(|stats| stats.sprung(trap) == 2).sprung(trap), 2);
            assert!(lease.is_held() && lease.fence() > old.fence());
            assert_eq!(block_on(lease.release()), Release::Released);
        });
        scene.await_free(&name);
    }
}

/// Of each two answers one: the copy of the request that is sent at once is heard.
fn renewals(scene: &Scene<'_>) {
    const LOST: u32 = 4;
    scene.warm();
    let ttl = SHORT * 2;
    let lease = scene.client.lock("renewed").ttl(ttl).acquire_blocking().expect("free");
    let began = now();
    for _ in 0..LOST {
        let trap = scene.proxy.trap(Direction::ToServer, "renewed", Action::DropReply, 1);
        scene.proxy.wait_for(|stats| stats.sprung(trap) == 1);
        eventually("it is renewed all the same", || {
            assert!(lease.is_held(), "{:?}", lease.lost_reason());
            lease.remaining() > ttl * 3 / 4
        });
    }
    let view = block_on(scene.other.inspect("renewed")).expect("a view");
    assert_eq!(view.holder.expect("held").fence, lease.fence());
    let took = now().since(began);
    report(&format!("held for {took:.1?}, ttl {ttl:?}, without {LOST} answers to its renewals"));
    assert_eq!(block_on(lease.release()), Release::Released);
    scene.assert_free("renewed");
}

fn release(scene: &Scene<'_>) {
    scene.warm();
    for round in 0..20 {
        let name = format!("released-{round}");
        let lease = scene.client.lock(&name).ttl(LONG).acquire_blocking().expect("free");
        let trap = scene.proxy.trap(Direction::ToServer, &name, Action::DropReply, 1);
        let began = now();
        assert_eq!(block_on(lease.release()), Release::Released);
        assert_eq!(scene.proxy.stats().sprung(trap), 1);
        assert_eq!(scene.token(&name), "", "free as soon as it is said");
        if round == 0 {
            report(&format!("known {:.1?} after it was asked for", now().since(began)));
        }
    }
}

/// The release was carried out and handed the lock on; its copy must not end the next tenure.
fn hand_off(scene: &Scene<'_>) {
    scene.warm();
    for _ in 0..10 {
        let lease = scene.client.lock("passed").ttl(LONG).acquire_blocking().expect("free");
        std::thread::scope(|scope| {
            let next = scope.spawn(|| scene.other.lock("passed").ttl(LONG).acquire_blocking());
            scene.await_waiting("passed", 1);
            let trap = scene.proxy.trap(Direction::ToServer, "passed", Action::DropReply, 1);
            assert_eq!(block_on(lease.release()), Release::Released);
            assert_eq!(scene.proxy.stats().sprung(trap), 1);
            let next = next.join().expect("no panic").expect("a lease");
            let view = block_on(scene.other.inspect("passed")).expect("a view");
            assert_eq!(view.holder.expect("held").fence, next.fence());
            assert!(next.is_held() && next.fence() > lease.fence());
            block_on(next.extend(LONG + Duration::from_secs(1))).expect("it is still ours");
            assert_eq!(block_on(next.release()), Release::Released);
        });
    }
}
