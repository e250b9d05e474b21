//! A long queue costs no request more (hazards 43 and 45).

use std::time::Duration;

use leasehold::store::Ask;

use crate::contract::case::cases;
use crate::contract::{Case, Scene};

pub(super) const CASES: &[Case] = cases![
    now: a_thousand_waiters_are_served_in_order, a_long_queue_costs_a_request_no_more;
    later:
];

fn a_thousand_waiters_are_served_in_order(scene: &mut Scene<'_>) {
    let holder = scene.ask("thousand");
    let mut last_fence = scene.grant(&holder);
    let waiters: Vec<Ask> = (0..1000).map(|_| scene.patient("thousand")).collect();
    for waiter in &waiters {
        scene.queue(waiter);
    }
    assert_eq!(scene.view("thousand").waiting, 1000);
    let mut last = holder;
    for waiter in waiters {
        scene.release(&last);
        let fence = scene.grant(&waiter);
        assert!(fence > last_fence, "fence {fence} after {last_fence}");
        (last, last_fence) = (waiter, fence);
    }
    scene.release(&last);
    assert_eq!(scene.holder("thousand"), None);
}

/// The median heartbeat in a queue of 2,000 against one of 20: what reads the whole queue is a
/// hundred times slower there, what reads its head is not. The bound leaves room for a busy
/// machine.
fn a_long_queue_costs_a_request_no_more(scene: &mut Scene<'_>) {
    let (short, long) = (crowd(scene, "short", 20), crowd(scene, "long", 2000));
    let short = median(scene, &short[19]);
    let long = median(scene, &long[1999]);
    let bound = 10 * short + Duration::from_micros(200);
    assert!(long <= bound, "a heartbeat took {long:?} among 2,000 waiters and {short:?} among 20");
}

fn crowd(scene: &mut Scene<'_>, name: &str, count: usize) -> Vec<Ask> {
    let holder = scene.ask(name);
    scene.grant(&holder);
    let waiters: Vec<Ask> = (0..count).map(|_| scene.patient(name)).collect();
    for waiter in &waiters {
        scene.queue(waiter);
    }
    waiters
}

#[allow(clippy::disallowed_methods, reason = "measures real time, whatever the rig's clock says")]
fn median(scene: &mut Scene<'_>, waiter: &Ask) -> Duration {
    let mut times: Vec<Duration> = (0..101)
        .map(|_| {
            let start = std::time::Instant::now();
            scene.queue(waiter);
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
