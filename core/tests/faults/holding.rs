//! A holder whose server is out of reach: it is told by its own deadline, before another can hold.

use std::time::Duration;

use leasehold::{LostReason, Release, block_on};
use leasehold_testkit::proxy::{Action, Direction, Fault, Which};

use super::scene::{LONG, SHORT, SLACK, Scene, Test, hear, now, report, test, told, watch_end};

const NAME: &str = "held";

pub(super) const TESTS: &[Test] = &[
    test("nothing_passes", |scene| cut_off(scene, |scene| scene.proxy.set_all(Fault::BlackHole))),
    test("requests_vanish", |scene| {
        cut_off(scene, |scene| {
            scene.proxy.set(Which::All, Direction::ToServer, Fault::BlackHole);
        });
    }),
    test("answers_vanish", |scene| {
        cut_off(scene, |scene| {
            scene.proxy.set(Which::All, Direction::ToClient, Fault::BlackHole);
        });
    }),
    test("nobody_listens", |scene| {
        cut_off(scene, |scene| {
            scene.proxy.refuse();
            scene.proxy.reset(Which::All);
        });
    }),
    test("a_renewal_is_on_its_way", |scene| {
        cut_off(scene, |scene| {
            let trap = scene.proxy.trap(Direction::ToServer, NAME, Action::Hold, 1);
            scene.proxy.wait_for(|stats| stats.sprung(trap) == 1);
            // What is held stays so: only what comes after it vanishes.
            for which in 1..=scene.proxy.stats().accepted + 50 {
                scene.proxy.set(Which::Number(which), Direction::ToClient, Fault::BlackHole);
            }
            scene.proxy.refuse();
        });
    }),
    test("the_server_stands_still", |scene| {
        cut_off_without_rival(scene, |scene| scene.server.pause(), |scene| scene.server.wake());
    }),
    test("a_short_silence_costs_nothing", short_silence),
];

/// Nothing gets through any more; another waits for the lock.
fn cut_off(scene: &Scene<'_>, cut: fn(&Scene<'_>)) {
    scene.warm();
    let lease = scene.client.lock(NAME).ttl(SHORT).acquire_blocking().expect("free");
    let told = told(&lease);
    std::thread::scope(|scope| {
        let rival = scope.spawn(|| {
            let rival = scene.other.lock(NAME).ttl(LONG).acquire_blocking().expect("a lease");
            // The one thing that must never be: at this moment both believe.
            assert!(!lease.is_held(), "two holders");
            (rival, now())
        });
        scene.await_waiting(NAME, 1);
        cut(scene);
        let began = now();
        let deadline = watch_end(&lease);
        let (reason, at) = hear(&told);
        assert_eq!(reason, LostReason::StoreUnreachable);
        assert!(at <= deadline + SLACK, "told {:?} after its deadline", at.since(deadline));
        assert!(deadline.since(began) <= SHORT, "believed for longer than a lease");
        let (rival, granted) = rival.join().expect("granted");
        assert!(rival.fence() > lease.fence());
        report(&format!(
            "told {:.1?} after the cut, {:.2?} after the deadline, {:.0?} before another was granted",
            at.since(began),
            at.since(deadline),
            granted.since(at)
        ));
        let token = scene.token(NAME);
        scene.proxy.heal();
        assert_eq!(block_on(lease.release()), Release::Lost(LostReason::StoreUnreachable));
        // What the holder still had under way has passed once its connections answer again.
        block_on(scene.client.ping()).ok();
        assert!(rival.is_held());
        assert_eq!(scene.token(NAME), token, "a late request of the old holder hurt the new one");
    });
}

/// As [`cut_off`], where the server itself is what doesn't answer.
fn cut_off_without_rival(scene: &Scene<'_>, cut: fn(&Scene<'_>), mend: fn(&Scene<'_>)) {
    scene.warm();
    let lease = scene.client.lock(NAME).ttl(SHORT).acquire_blocking().expect("free");
    let told = told(&lease);
    cut(scene);
    let began = now();
    let deadline = watch_end(&lease);
    let (reason, at) = hear(&told);
    mend(scene);
    assert_eq!(reason, LostReason::StoreUnreachable);
    assert!(at <= deadline + SLACK, "told {:?} after its deadline", at.since(deadline));
    report(&format!("told {:.1?} after the server fell silent", at.since(began)));
    // A renewal that the server got meanwhile may have kept it: it is given back.
    let next = scene.other.lock(NAME).acquire_blocking().expect("in the end");
    assert!(next.fence() > lease.fence() && !lease.is_held());
}

/// Shorter than a lease: renewed as soon as it is over.
fn short_silence(scene: &Scene<'_>) {
    scene.warm();
    let ttl = Duration::from_secs(4);
    let lease = scene.client.lock(NAME).ttl(ttl).acquire_blocking().expect("free");
    for round in 0..5 {
        let silent = now();
        match round {
            0 => scene.server.pause(),
            1 => scene.proxy.set_all(Fault::Hold),
            // A firewall forgot what was open; what is new passes.
            2 => scene.forget_connections(),
            // Its way to a new connection ends in nothing, too.
            3 => {
                scene.proxy.set_all(Fault::BlackHole);
                scene.proxy.reset(Which::All);
            }
            _ => {
                scene.proxy.refuse();
                scene.proxy.reset(Which::All);
            }
        }
        // Long enough that at least one renewal was due.
        let low = ttl / 2;
        super::scene::eventually("a renewal is missed", || lease.remaining() < low);
        match round {
            0 => scene.server.wake(),
            2 => {}
            _ => scene.proxy.heal(),
        }
        let healed = now();
        super::scene::eventually("it is renewed", || {
            assert!(lease.is_held(), "lost in round {round}: {:?}", lease.lost_reason());
            lease.remaining() > ttl * 3 / 4
        });
        scene.proxy.heal();
        let (silent, renewed) = (healed.since(silent), now().since(healed));
        report(&format!("renewed {renewed:.2?} after a silence of {silent:.1?}"));
    }
    assert_eq!(block_on(lease.release()), Release::Released);
}
