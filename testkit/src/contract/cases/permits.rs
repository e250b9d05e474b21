//! Permits: counted by their holders' tenures, never by a counter that could drift.

use std::time::Duration;

use leasehold::store::{Answer, Ask, Evicted, How, Kind, Released, Renewal};
use leasehold::{ErrorKind, LostReason};

use crate::contract::case::cases;
use crate::contract::{Case, GRACE, Scene, Seat, TTL};

pub(super) const CASES: &[Case] = cases![
    now:
        as_many_as_there_are_are_granted,
        a_weight_takes_so_many,
        a_released_permit_goes_to_the_first_in_line,
        one_release_may_grant_several,
        a_small_ask_does_not_overtake_a_large_one,
        a_large_ask_that_leaves_lets_the_small_ones_in,
        a_repeated_ask_takes_no_second_permit,
        each_holder_has_a_number_of_its_own,
        more_than_there_are_is_refused,
        another_capacity_is_refused_and_names_both,
        a_free_semaphore_may_get_another_capacity,
        a_semaphore_is_no_lock,
        a_lock_is_no_semaphore,
        one_attempt_asks_for_one_thing,
        an_eviction_by_number_ends_one_holder,
        permits_are_shown,
        released_permits_leave_no_row;
    later:
        each_permit_ends_at_its_own_expiry,
        an_expired_permit_is_granted_anew,
        the_first_looks_again_when_the_first_permit_ends,
        all_or_nothing_passes_the_dead_over_once,
        permits_are_conserved;
];

fn declared(scene: &Scene<'_>) -> bool {
    scene.capabilities().kinds.permits
}

fn of(count: u32, capacity: u32, ask: Ask) -> Ask {
    Ask { kind: Kind::Permits { count, capacity }, ..ask }
}

fn notes(scene: &Scene<'_>, name: &str) -> Vec<String> {
    let view = scene.view(name);
    let held = view.holder.iter().chain(&view.others).map(|held| held.profile.note.clone());
    let mut held: Vec<String> = held.collect();
    held.sort_unstable();
    assert_eq!(view.holding, held.len() as u64);
    held
}

/// Demands that `asks`, and nobody else, hold permits.
fn assert_held(scene: &Scene<'_>, name: &str, asks: &[&Ask]) {
    let mut expected: Vec<String> = asks.iter().map(|ask| ask.profile.note.clone()).collect();
    expected.sort_unstable();
    assert_eq!(notes(scene, name), expected, "the holders of {name}");
}

fn busy(answer: &Answer) -> bool {
    matches!(answer, Answer::Busy { holder: Some(_) })
}

fn as_many_as_there_are_are_granted(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let asks: Vec<Ask> = (0..4).map(|_| of(1, 3, scene.ask("three"))).collect();
    for (index, ask) in asks[..3].iter().enumerate() {
        scene.grant_from(if index % 2 == 0 { Seat::First } else { Seat::Second }, ask);
    }
    assert!(busy(&scene.acquire(&asks[3])));
    assert_eq!(scene.release(&asks[1]), Released::Released);
    scene.grant(&asks[3]);
    assert_held(scene, "three", &[&asks[0], &asks[2], &asks[3]]);
}

fn a_weight_takes_so_many(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (heavy, light) = (of(7, 10, scene.ask("weight")), of(3, 10, scene.ask("weight")));
    let (more, none) = (of(4, 10, scene.ask("weight")), of(1, 10, scene.ask("weight")));
    scene.grant(&heavy);
    assert!(busy(&scene.acquire(&more)));
    scene.grant(&light);
    assert!(busy(&scene.acquire(&none)));
    scene.release(&heavy);
    scene.grant(&more);
    scene.grant(&none);
}

fn a_released_permit_goes_to_the_first_in_line(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let holder = of(1, 1, scene.ask("line"));
    scene.grant(&holder);
    let waiters: Vec<Ask> = (0..5).map(|_| of(1, 1, scene.patient("line"))).collect();
    for (index, waiter) in waiters.iter().enumerate() {
        assert_eq!(scene.queue(waiter), index == 0);
    }
    let mut last = holder;
    for waiter in waiters {
        scene.release(&last);
        assert_held(scene, "line", &[&waiter]);
        scene.grant(&waiter);
        last = waiter;
    }
}

fn one_release_may_grant_several(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let heavy = of(4, 4, scene.ask("several"));
    scene.grant(&heavy);
    let waiters = [1, 2, 2, 1].map(|count| of(count, 4, scene.patient("several")));
    for waiter in &waiters {
        scene.queue(waiter);
    }
    scene.release(&heavy);
    assert_held(scene, "several", &[&waiters[0], &waiters[1]]);
    if scene.capabilities().push {
        let told: Vec<_> = scene.inbox(Seat::First).wait_for(2);
        assert_eq!([told[0].token, told[1].token], [waiters[0].token, waiters[1].token]);
    }
    scene.release(&waiters[1]);
    assert_held(scene, "several", &[&waiters[0], &waiters[2], &waiters[3]]);
}

/// Small asks in a stream would keep a large one waiting for ever.
fn a_small_ask_does_not_overtake_a_large_one(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let first = of(1, 3, scene.ask("large"));
    let (large, small) = (of(3, 3, scene.patient("large")), of(1, 3, scene.patient("large")));
    let newcomer = of(1, 3, scene.ask("large"));
    scene.grant(&first);
    assert!(scene.queue(&large));
    assert!(!scene.queue(&small), "two permits are free, and not for it");
    assert!(busy(&scene.acquire(&newcomer)));
    scene.release(&first);
    assert_held(scene, "large", &[&large]);
    scene.release(&large);
    assert_held(scene, "large", &[&small]);
}

fn a_large_ask_that_leaves_lets_the_small_ones_in(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let first = of(1, 3, scene.ask("leaves"));
    let large = of(3, 3, scene.patient("leaves"));
    let small = [of(1, 3, scene.patient("leaves")), of(1, 3, scene.patient("leaves"))];
    scene.grant(&first);
    for ask in [&large, &small[0], &small[1]] {
        scene.queue(ask);
    }
    assert_eq!(scene.release(&large), Released::LeftQueue);
    assert_held(scene, "leaves", &[&first, &small[0], &small[1]]);
}

fn a_repeated_ask_takes_no_second_permit(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (one, other) = (of(1, 2, scene.ask("again")), of(1, 2, scene.ask("again")));
    let number = scene.grant(&one);
    assert_eq!(scene.grant(&one), number);
    scene.grant(&other);
    assert_held(scene, "again", &[&one, &other]);
}

fn each_holder_has_a_number_of_its_own(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let asks: Vec<Ask> = (0..10).map(|_| of(1, 10, scene.ask("number"))).collect();
    let mut numbers: Vec<u64> = asks.iter().map(|ask| scene.grant(ask)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 10);
    assert!(numbers[0] > 0);
}

fn more_than_there_are_is_refused(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    for (count, capacity) in [(0, 3), (4, 3), (1, 0), (0, 0), (u32::MAX, 1)] {
        let ask = of(count, capacity, scene.ask("never"));
        let error = scene
            .try_acquire_many(Seat::First, &[ask], How::EachAlone)
            .expect_err("can never be granted");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(error.message().contains(&format!("{count} permits of {capacity}")), "{error}");
    }
    assert_eq!(scene.view("never").holding, 0);
}

fn another_capacity_is_refused_and_names_both(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let holder = of(2, 3, scene.ask("capacity"));
    scene.grant(&holder);
    for wait in [None, scene.patient("capacity").wait] {
        for capacity in [2, 4] {
            let ask = Ask { wait, ..of(1, capacity, scene.ask("capacity")) };
            let answer = scene.acquire(&ask);
            let Answer::Misfit { used: Kind::Permits { capacity: 3, .. } } = answer else {
                panic!("there are 3 permits, not {capacity}: {answer:?}");
            };
        }
    }
    assert_eq!(scene.view("capacity").waiting, 0, "a refusal changes nothing");
    assert!(matches!(scene.renew(&holder), Renewal::Renewed { .. }));
}

fn a_free_semaphore_may_get_another_capacity(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (before, after) = (of(2, 2, scene.ask("new")), of(5, 5, scene.ask("new")));
    scene.grant(&before);
    scene.release(&before);
    scene.grant(&after);
}

fn a_semaphore_is_no_lock(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let permit = of(1, 3, scene.ask("no lock"));
    scene.grant(&permit);
    let shared = scene.capabilities().kinds.shared;
    for kind in [Some(Kind::Exclusive), shared.then_some(Kind::Shared)].into_iter().flatten() {
        let ask = Ask { kind, ..scene.patient("no lock") };
        let answer = scene.acquire(&ask);
        assert!(matches!(answer, Answer::Misfit { used: Kind::Permits { .. } }), "{answer:?}");
    }
    assert_held(scene, "no lock", &[&permit]);
}

fn a_lock_is_no_semaphore(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let lock = scene.ask("no semaphore");
    scene.grant(&lock);
    let permit = of(1, 3, scene.patient("no semaphore"));
    assert_eq!(scene.acquire(&permit), Answer::Misfit { used: Kind::Exclusive });
    scene.release(&lock);
    scene.grant(&permit);
}

fn one_attempt_asks_for_one_thing(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let holder = of(1, 3, scene.ask("thing"));
    let (first, behind) = (of(3, 3, scene.patient("thing")), of(2, 3, scene.patient("thing")));
    scene.grant(&holder);
    let more = of(2, 3, holder.clone());
    assert_eq!(scene.acquire(&more), Answer::Misfit { used: holder.kind });
    scene.queue(&first);
    scene.queue(&behind);
    // It would fit, but its place is one for three.
    let less = of(2, 3, first.clone());
    assert_eq!(scene.acquire(&less), Answer::Misfit { used: first.kind });
    assert_held(scene, "thing", &[&holder, &behind]);
}

fn an_eviction_by_number_ends_one_holder(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (one, other) = (of(1, 2, scene.ask("evict")), of(1, 2, scene.ask("evict")));
    let waiter = of(1, 2, scene.patient("evict"));
    let number = scene.grant(&one);
    scene.grant(&other);
    scene.queue(&waiter);
    let evicted = scene.evict("evict", Some(number));
    assert_eq!(evicted, Evicted::Evicted { fence: number, profile: one.profile.clone() });
    assert_held(scene, "evict", &[&other, &waiter]);
    assert_eq!(scene.renew(&one), Renewal::Gone(LostReason::Revoked));
    assert!(matches!(scene.renew(&other), Renewal::Renewed { .. }));
}

fn permits_are_shown(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (one, waiter) = (of(2, 3, scene.ask("shown")), of(3, 3, scene.patient("shown")));
    scene.grant(&one);
    scene.queue(&waiter);
    let view = scene.view("shown");
    assert_eq!(view.holder.map(|held| held.kind), Some(one.kind));
    assert_eq!(view.queue[0].kind, waiter.kind);
    assert_eq!(scene.list("", None, 10), ["shown"]);
}

fn released_permits_leave_no_row(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    for _ in 0..3 {
        let asks: Vec<Ask> = (0..10).map(|_| of(2, 20, scene.ask("row"))).collect();
        for ask in &asks {
            scene.grant(ask);
        }
        for ask in &asks {
            scene.release(ask);
        }
    }
    if let Some(kept) = scene.rig().kept() {
        assert_eq!(kept, 0, "rows kept after all permits were given back");
    }
}

fn each_permit_ends_at_its_own_expiry(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (dead, live) = (of(1, 2, scene.ask("ends")), of(1, 2, scene.ask("ends")));
    scene.grant(&dead);
    scene.grant(&live);
    scene.pass(TTL);
    assert!(matches!(scene.renew(&live), Renewal::Renewed { .. }));
    scene.pass(GRACE);
    assert_held(scene, "ends", &[&live]);
    assert_eq!(scene.renew(&dead), Renewal::Gone(LostReason::Expired));
    assert_eq!(scene.acquire(&dead), Answer::Cancelled);
}

fn an_expired_permit_is_granted_anew(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (dead, live) = (of(1, 2, scene.ask("anew")), of(1, 2, scene.ask("anew")));
    scene.grant(&dead);
    scene.pass(TTL);
    scene.grant(&live);
    let waiter = of(1, 2, scene.patient("anew"));
    scene.queue(&waiter);
    scene.pass(GRACE);
    scene.grant(&waiter);
    assert_held(scene, "anew", &[&live, &waiter]);
}

fn the_first_looks_again_when_the_first_permit_ends(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    for millis in [800, 400] {
        let ttl = Duration::from_millis(millis);
        let ask = Ask { ttl, grace: Duration::ZERO, ..of(1, 2, scene.ask("look")) };
        scene.grant(&ask);
    }
    let waiter = of(1, 2, scene.waiter("look"));
    let Answer::Queued { first: true, look_again_in, .. } = scene.acquire(&waiter) else {
        panic!("should wait, first in line");
    };
    scene.assert_about(look_again_in, Duration::from_millis(400), "the first permit's end");
    scene.pass(Duration::from_millis(400));
    scene.grant(&waiter);
}

/// Whatever becomes of their holders, permits are neither lost nor made (hazard 46).
fn permits_are_conserved(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    for round in 0..10 {
        let asks: Vec<Ask> = (0..5).map(|_| of(1, 5, scene.ask("kept"))).collect();
        for ask in &asks {
            scene.grant(ask);
        }
        let waiters: Vec<Ask> = (0..3).map(|_| of(1, 5, scene.waiter("kept"))).collect();
        for waiter in &waiters {
            scene.queue(waiter);
        }
        for ask in &asks[..round % 5] {
            scene.release(ask);
        }
        // Neither those that hold nor those that were handed permits ever speak again.
        scene.pass(TTL + GRACE);
        assert_held(scene, "kept", &[]);
    }
    let all = of(5, 5, scene.ask("kept"));
    scene.grant(&all);
}

/// Who is to be passed over, for nobody hears of its grant, is asked for again within the step: it must
/// not stand in the way of what was found to be free.
fn all_or_nothing_passes_the_dead_over_once(scene: &mut Scene<'_>) {
    if !declared(scene) || !scene.capabilities().atomic_multi {
        return;
    }
    let holder = of(2, 2, scene.ask("over"));
    let [dead, next] = [2, 1].map(|count| of(count, 2, scene.patient("over")));
    scene.grant(&holder);
    scene.queue_from(Seat::Second, &dead);
    scene.queue(&next);
    scene.rig().end(Seat::Second);
    scene.pass(TTL + GRACE);
    let both = [of(1, 2, scene.ask("over")), scene.ask("beside")];
    let answers = scene.acquire_many(&both, How::AllOrNothing);
    let granted = |answer: &Answer| matches!(answer, Answer::Granted { .. });
    assert!(answers.iter().all(granted) || !answers.iter().any(granted), "{answers:?}");
}
