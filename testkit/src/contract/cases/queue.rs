//! Who waits is granted the lock in order of arrival, and who died in the queue costs nobody else
//! more than its own silence.

use std::time::Duration;

use leasehold::store::{Answer, Ask, Cancel, Released, Renewal};

use crate::contract::case::cases;
use crate::contract::{ALIVE, CLAIM, Case, GRACE, HEARTBEAT, Scene, Seat, TTL};

pub(super) const CASES: &[Case] = cases![
    now:
        waiters_are_granted_in_order_of_arrival,
        a_repeated_ask_keeps_its_place,
        the_larger_priority_goes_first,
        a_full_queue_refuses_newcomers_only,
        a_queue_of_none_refuses,
        a_waiter_that_leaves_is_not_granted,
        a_hand_off_is_confirmed_by_asking,
        a_hand_off_is_confirmed_by_renewal,
        a_release_seen_by_another_client_hands_over;
    later:
        a_newcomer_does_not_overtake,
        the_first_is_told_to_look_at_the_expiry,
        the_first_behind_the_dead_is_told_so,
        a_dead_waiter_is_skipped,
        a_heartbeat_keeps_a_waiter_alive,
        a_claim_that_is_not_confirmed_passes_on,
        a_confirmed_claim_lasts_its_ttl,
        the_dead_do_not_fill_the_queue;
];

fn with_priority(ask: &Ask, priority: i32) -> Ask {
    let mut ask = ask.clone();
    if let Some(wait) = &mut ask.wait {
        wait.priority = priority;
    }
    ask
}

fn with_max_queue(ask: &Ask, max_queue: u32) -> Ask {
    let mut ask = ask.clone();
    if let Some(wait) = &mut ask.wait {
        wait.max_queue = max_queue;
    }
    ask
}

/// Releases each in turn and demands that the next is the holder.
fn drain(scene: &mut Scene<'_>, holder: &Ask, order: &[Ask]) {
    let mut last = holder.clone();
    for (place, next) in order.iter().enumerate() {
        assert_eq!(scene.release(&last), Released::Released, "before place {place}");
        let view = scene.view(next.name.as_str());
        let profile = view.holder.map(|holder| holder.profile);
        assert_eq!(profile.as_deref(), Some(&*next.profile), "place {place} of the queue");
        scene.grant(next);
        last = next.clone();
    }
}

fn waiters_are_granted_in_order_of_arrival(scene: &mut Scene<'_>) {
    let holder = scene.ask("fifo");
    scene.grant(&holder);
    let waiters: Vec<Ask> = (0..10).map(|_| scene.patient("fifo")).collect();
    for (index, waiter) in waiters.iter().enumerate() {
        let seat = if index % 2 == 0 { Seat::First } else { Seat::Second };
        assert_eq!(scene.queue_from(seat, waiter), index == 0, "only one is first in line");
    }
    drain(scene, &holder, &waiters);
}

fn a_repeated_ask_keeps_its_place(scene: &mut Scene<'_>) {
    let holder = scene.ask("place");
    scene.grant(&holder);
    let waiters: Vec<Ask> = (0..4).map(|_| scene.patient("place")).collect();
    for waiter in &waiters {
        scene.queue(waiter);
    }
    for waiter in waiters.iter().rev() {
        scene.queue(waiter);
    }
    // Not even with another priority: it has its place.
    scene.queue(&with_priority(&waiters[3], 9));
    assert_eq!(scene.view("place").waiting, 4, "asking again adds no entry");
    drain(scene, &holder, &waiters);
}

fn the_larger_priority_goes_first(scene: &mut Scene<'_>) {
    let holder = scene.ask("rank");
    scene.grant(&holder);
    let mut waiters = Vec::new();
    for priority in [0, 5, -3, 5, i32::MAX, i32::MIN, 0] {
        let waiter = with_priority(&scene.patient("rank"), priority);
        scene.queue(&waiter);
        waiters.push(waiter);
    }
    let order: Vec<Ask> = [4, 1, 3, 0, 6, 2, 5].map(|index: usize| waiters[index].clone()).into();
    drain(scene, &holder, &order);
}

fn a_full_queue_refuses_newcomers_only(scene: &mut Scene<'_>) {
    let holder = scene.ask("full");
    scene.grant(&holder);
    let waiters: Vec<Ask> = (0..3).map(|_| with_max_queue(&scene.patient("full"), 3)).collect();
    for waiter in &waiters {
        scene.queue(waiter);
    }
    let late = with_max_queue(&scene.patient("full"), 3);
    assert_eq!(scene.acquire(&late), Answer::QueueFull { limit: 3 });
    scene.queue(&waiters[2]);
    assert_eq!(scene.release(&waiters[0]), Released::LeftQueue);
    scene.queue(&late);
    let roomy = with_max_queue(&scene.patient("full"), 4);
    scene.queue(&roomy);
    drain(scene, &holder, &[waiters[1].clone(), waiters[2].clone(), late, roomy]);
}

fn a_queue_of_none_refuses(scene: &mut Scene<'_>) {
    let holder = scene.ask("none");
    let waiter = with_max_queue(&scene.patient("none"), 0);
    scene.grant(&waiter);
    scene.release(&waiter);
    scene.grant(&holder);
    let late = with_max_queue(&scene.patient("none"), 0);
    assert_eq!(scene.acquire(&late), Answer::QueueFull { limit: 0 });
    assert_eq!(scene.view("none").waiting, 0);
}

fn a_waiter_that_leaves_is_not_granted(scene: &mut Scene<'_>) {
    let (holder, gone, next) = (scene.ask("leave"), scene.patient("leave"), scene.patient("leave"));
    scene.grant(&holder);
    scene.queue(&gone);
    scene.queue(&next);
    assert_eq!(scene.release(&gone), Released::LeftQueue);
    assert_eq!(scene.release(&gone), Released::NotHeld, "it left once");
    drain(scene, &holder, &[next]);
}

fn a_hand_off_is_confirmed_by_asking(scene: &mut Scene<'_>) {
    let (holder, waiter) = (scene.ask("confirm"), scene.patient("confirm"));
    scene.grant(&holder);
    scene.queue(&waiter);
    scene.release(&holder);
    let claimed = scene.view("confirm").holder.expect("handed over");
    assert!(claimed.claimed && claimed.stored <= CLAIM, "{claimed:?}");
    assert_eq!(scene.grant(&waiter), claimed.fence, "the hand-off's own fence");
    let confirmed = scene.view("confirm").holder.expect("still held");
    assert!(!confirmed.claimed && confirmed.stored > CLAIM, "{confirmed:?}");
}

fn a_hand_off_is_confirmed_by_renewal(scene: &mut Scene<'_>) {
    let (holder, waiter) = (scene.ask("renewed"), scene.patient("renewed"));
    scene.grant(&holder);
    scene.queue(&waiter);
    scene.release(&holder);
    assert!(matches!(scene.renew(&waiter), Renewal::Renewed { .. }));
    let confirmed = scene.view("renewed").holder.expect("still held");
    assert!(!confirmed.claimed && confirmed.stored > CLAIM, "{confirmed:?}");
}

fn a_release_seen_by_another_client_hands_over(scene: &mut Scene<'_>) {
    let (holder, waiter) = (scene.ask("cross"), scene.patient("cross"));
    scene.grant_from(Seat::First, &holder);
    scene.queue_from(Seat::Second, &waiter);
    scene.release_from(Seat::First, &holder, Cancel::No);
    scene.grant_from(Seat::Second, &waiter);
}

/// Whoever finds the lock free while another waits grants it to the one who waits (hazard 48).
fn a_newcomer_does_not_overtake(scene: &mut Scene<'_>) {
    let (holder, waiter) = (scene.ask("barge"), scene.patient("barge"));
    scene.grant(&holder);
    scene.queue(&waiter);
    scene.pass(TTL + GRACE);
    let newcomer = scene.ask("barge");
    assert!(matches!(scene.acquire(&newcomer), Answer::Busy { .. }));
    let view = scene.view("barge");
    let profile = view.holder.map(|holder| holder.profile);
    assert_eq!(profile.as_deref(), Some(&*waiter.profile), "the ask handed the lock over");
    scene.release(&waiter);
    scene.grant(&newcomer);
}

fn the_first_is_told_to_look_at_the_expiry(scene: &mut Scene<'_>) {
    let holder =
        Ask { ttl: Duration::from_millis(1200), grace: Duration::ZERO, ..scene.ask("look") };
    let (first, second) = (scene.waiter("look"), scene.waiter("look"));
    scene.grant(&holder);
    let look = |answer: Answer| match answer {
        Answer::Queued { look_again_in, .. } => look_again_in,
        other => panic!("should wait, not {other:?}"),
    };
    assert_eq!(look(scene.acquire(&first)), HEARTBEAT, "the heartbeat comes before the expiry");
    assert_eq!(look(scene.acquire(&second)), HEARTBEAT);
    scene.pass(HEARTBEAT);
    let nearer = look(scene.acquire(&first));
    scene.assert_about(nearer, Duration::from_millis(200), "the expiry is nearer");
    assert_eq!(look(scene.acquire(&second)), HEARTBEAT, "one timer watches the holder");
    scene.pass(Duration::from_millis(200));
    scene.grant(&first);
}

/// A holder and the first waiter that die together: the next must not sleep until its heartbeat.
fn the_first_behind_the_dead_is_told_so(scene: &mut Scene<'_>) {
    let (holder, dead) = (scene.ask("behind"), scene.waiter("behind"));
    let live = scene.waiter("behind");
    scene.grant(&holder);
    scene.queue(&dead);
    assert!(!scene.queue(&live), "the other is alive");
    scene.pass(ALIVE);
    assert!(scene.queue(&live), "the other is dead");
}

fn a_dead_waiter_is_skipped(scene: &mut Scene<'_>) {
    let (holder, dead) = (scene.ask("dead"), scene.waiter("dead"));
    let (also, live) = (scene.waiter("dead"), scene.patient("dead"));
    scene.grant(&holder);
    scene.queue(&dead);
    scene.queue(&also);
    scene.queue(&live);
    // Alive up to its last nanosecond, dead at the end of its time.
    scene.pass_almost(ALIVE);
    assert_eq!(scene.view("dead").waiting, 3);
    scene.pass_tick();
    assert_eq!(scene.view("dead").waiting, 1);
    drain(scene, &holder, &[live]);
}

/// A live waiter is never taken for dead, however long it waits (hazard 44).
fn a_heartbeat_keeps_a_waiter_alive(scene: &mut Scene<'_>) {
    let (holder, waiter) = (scene.ask("beat"), scene.waiter("beat"));
    let behind = scene.patient("beat");
    scene.grant(&holder);
    scene.queue(&waiter);
    scene.queue(&behind);
    for _ in 0..200 {
        scene.pass(HEARTBEAT);
        assert!(matches!(scene.renew(&holder), Renewal::Renewed { .. }));
        assert!(scene.queue(&waiter), "still first in line");
    }
    drain(scene, &holder, &[waiter, behind]);
}

/// A waiter that dies between the hand-off and its confirmation costs its claim (hazard 46).
fn a_claim_that_is_not_confirmed_passes_on(scene: &mut Scene<'_>) {
    let (holder, dead, next) = (scene.ask("claim"), scene.waiter("claim"), scene.patient("claim"));
    scene.grant(&holder);
    scene.queue(&dead);
    scene.queue(&next);
    scene.release(&holder);
    scene.pass_almost(CLAIM);
    assert!(scene.queue(&next), "the claim still stands");
    scene.pass_tick();
    assert!(matches!(scene.renew(&dead), Renewal::Gone(_)), "its claim is over");
    scene.grant(&next);
}

fn a_confirmed_claim_lasts_its_ttl(scene: &mut Scene<'_>) {
    let (holder, waiter) = (scene.ask("lasts"), scene.waiter("lasts"));
    scene.grant(&holder);
    scene.queue(&waiter);
    scene.release(&holder);
    scene.pass(CLAIM / 2);
    let fence = scene.grant(&waiter);
    scene.pass_almost(TTL + GRACE);
    assert_eq!(scene.holder("lasts"), Some(fence), "counted from the confirmation");
    scene.pass_tick();
    assert_eq!(scene.holder("lasts"), None);
}

fn the_dead_do_not_fill_the_queue(scene: &mut Scene<'_>) {
    let holder = scene.ask("room");
    scene.grant(&holder);
    for _ in 0..3 {
        let dead = with_max_queue(&scene.waiter("room"), 3);
        scene.queue(&dead);
    }
    scene.pass(ALIVE);
    let live = with_max_queue(&scene.patient("room"), 3);
    scene.queue(&live);
    drain(scene, &holder, &[live]);
}
