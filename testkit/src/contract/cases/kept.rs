//! A lock that nobody holds or waits for leaves nothing behind (oracle O8: no leak).

use std::time::Duration;

use leasehold::store::{Ask, How};

use crate::contract::case::cases;
use crate::contract::{ALIVE, Case, Scene};

pub(super) const CASES: &[Case] = cases![
    now:
        a_release_leaves_no_row,
        a_refusal_leaves_no_row,
        a_drained_queue_leaves_no_row;
    later:
        the_dead_leave_no_row_after_a_hand_over,
        tombstones_are_swept;
];

fn assert_kept(scene: &mut Scene<'_>, rows: usize, when: &str) {
    if let Some(kept) = scene.rig().kept() {
        assert_eq!(kept, rows, "rows kept {when}");
    }
}

fn a_release_leaves_no_row(scene: &mut Scene<'_>) {
    let asks: Vec<Ask> = (0..50).map(|index| scene.ask(&format!("row {index}"))).collect();
    scene.acquire_many(&asks, How::EachAlone);
    assert_kept(scene, 50, "while 50 are held");
    for ask in &asks {
        scene.release(ask);
    }
    assert_kept(scene, 0, "after all were released");
    for ask in &asks {
        scene.release(ask);
        scene.renew(ask);
        scene.view(ask.name.as_str());
    }
    assert_kept(scene, 0, "after requests for what is not there");
}

fn a_refusal_leaves_no_row(scene: &mut Scene<'_>) {
    let holder = scene.ask("held");
    scene.grant(&holder);
    for _ in 0..10 {
        let refused = scene.ask("held");
        scene.acquire(&refused);
        let pair = [scene.ask("free"), scene.ask("held")];
        if scene.capabilities().atomic_multi {
            scene.acquire_many(&pair, How::AllOrNothing);
        }
    }
    assert_kept(scene, 1, "beside the holder's");
}

fn a_drained_queue_leaves_no_row(scene: &mut Scene<'_>) {
    let holder = scene.ask("line");
    scene.grant(&holder);
    let waiters: Vec<Ask> = (0..10).map(|_| scene.patient("line")).collect();
    for waiter in &waiters {
        scene.queue(waiter);
    }
    assert_kept(scene, 11, "while one holds and ten wait");
    for waiter in waiters[5..].iter().rev() {
        scene.release(waiter);
    }
    scene.release(&holder);
    for waiter in &waiters[..5] {
        scene.release(waiter);
    }
    assert_kept(scene, 0, "after all left");
}

fn the_dead_leave_no_row_after_a_hand_over(scene: &mut Scene<'_>) {
    let holder = scene.ask("dead");
    scene.grant(&holder);
    for _ in 0..10 {
        let dead = scene.waiter("dead");
        scene.queue(&dead);
    }
    scene.pass(ALIVE);
    scene.release(&holder);
    assert_kept(scene, 0, "after the hand-over found them all dead");
}

fn tombstones_are_swept(scene: &mut Scene<'_>) {
    for _ in 0..10 {
        let gone = scene.ask("tomb");
        scene.cancel(&gone, Duration::from_secs(10));
    }
    assert_kept(scene, 10, "while the tombstones stand");
    scene.pass(Duration::from_secs(10));
    let last = scene.ask("tomb");
    scene.cancel(&last, Duration::from_secs(10));
    assert_kept(scene, 1, "after the next burial swept what had ended");
}
