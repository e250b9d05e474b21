//! A hand-off is told to the client that waits, and to no other.

use leasehold::store::{Ask, Grant};

use crate::contract::case::cases;
use crate::contract::{Case, GRACE, Scene, Seat, TTL};

pub(super) const CASES: &[Case] = cases![
    now:
        a_release_is_told_to_the_waiters_client_only,
        a_hand_off_within_one_client_is_told,
        a_grant_at_once_is_not_pushed,
        an_eviction_is_told_to_the_waiter,
        each_hand_off_is_told_once,
        a_waiter_whose_client_is_gone_is_passed_over;
    later:
        an_expiry_seen_by_another_is_told_to_the_waiter;
];

fn pushes(scene: &Scene<'_>) -> bool {
    scene.capabilities().push
}

/// The one grant of `inbox`, which must be of `ask`'s attempt.
fn told(scene: &Scene<'_>, seat: Seat, ask: &Ask) -> Grant {
    let grants = scene.inbox(seat).wait_for(1);
    assert_eq!(grants.len(), 1, "one hand-off, one push: {grants:?}");
    assert_eq!(grants[0].token, ask.token, "the push is of the waiting attempt");
    let holder = scene.view(ask.name.as_str()).holder.expect("handed over");
    assert_eq!(grants[0].fence, holder.fence, "and carries its fence");
    assert_eq!(grants[0].claim_until.is_some(), scene.capabilities().local_clock);
    grants[0]
}

fn a_release_is_told_to_the_waiters_client_only(scene: &mut Scene<'_>) {
    if !pushes(scene) {
        return;
    }
    let (holder, waiter) = (scene.ask("tell"), scene.patient("tell"));
    let behind = scene.patient("tell");
    scene.grant_from(Seat::First, &holder);
    scene.queue_from(Seat::Second, &waiter);
    scene.queue_from(Seat::First, &behind);
    scene.release(&holder);
    told(scene, Seat::Second, &waiter);
    assert!(scene.inbox(Seat::First).grants().is_empty(), "the other client waits on");
}

fn a_hand_off_within_one_client_is_told(scene: &mut Scene<'_>) {
    if !pushes(scene) {
        return;
    }
    let (holder, waiter) = (scene.ask("own"), scene.patient("own"));
    scene.grant(&holder);
    scene.queue(&waiter);
    scene.release(&holder);
    told(scene, Seat::First, &waiter);
}

fn a_grant_at_once_is_not_pushed(scene: &mut Scene<'_>) {
    if !pushes(scene) {
        return;
    }
    let (free, holder) = (scene.patient("free"), scene.ask("later"));
    let waiter = scene.patient("later");
    scene.grant(&free);
    scene.grant(&free);
    scene.grant(&holder);
    scene.queue(&waiter);
    scene.release(&holder);
    // The push that comes shows that none came before it.
    told(scene, Seat::First, &waiter);
}

fn an_eviction_is_told_to_the_waiter(scene: &mut Scene<'_>) {
    if !pushes(scene) {
        return;
    }
    let (holder, waiter) = (scene.ask("evict"), scene.patient("evict"));
    scene.grant(&holder);
    scene.queue_from(Seat::Second, &waiter);
    scene.evict("evict", None);
    told(scene, Seat::Second, &waiter);
}

fn each_hand_off_is_told_once(scene: &mut Scene<'_>) {
    if !pushes(scene) {
        return;
    }
    let holder = scene.ask("many");
    scene.grant(&holder);
    let waiters: Vec<Ask> = (0..20).map(|_| scene.patient("many")).collect();
    for waiter in &waiters {
        scene.queue_from(Seat::Second, waiter);
    }
    let mut last = holder;
    for (index, waiter) in waiters.iter().enumerate() {
        scene.release(&last);
        let grants = scene.inbox(Seat::Second).wait_for(index + 1);
        assert_eq!(grants.len(), index + 1, "one push for each hand-off");
        assert_eq!(grants[index].token, waiter.token);
        last = waiter.clone();
    }
}

fn a_waiter_whose_client_is_gone_is_passed_over(scene: &mut Scene<'_>) {
    if !pushes(scene) {
        return;
    }
    let (holder, gone, live) = (scene.ask("crash"), scene.patient("crash"), scene.patient("crash"));
    scene.grant_from(Seat::First, &holder);
    scene.queue_from(Seat::Second, &gone);
    scene.queue_from(Seat::First, &live);
    scene.rig().end(Seat::Second);
    scene.release(&holder);
    let grants = scene.inbox(Seat::First).wait_for(1);
    assert_eq!(grants[0].token, live.token, "the live waiter holds, with no claim waited for");
    scene.grant(&live);
}

fn an_expiry_seen_by_another_is_told_to_the_waiter(scene: &mut Scene<'_>) {
    if !pushes(scene) {
        return;
    }
    let (holder, waiter) = (scene.ask("seen"), scene.patient("seen"));
    scene.grant(&holder);
    scene.queue_from(Seat::Second, &waiter);
    scene.pass(TTL + GRACE);
    let newcomer = scene.ask("seen");
    assert!(matches!(scene.acquire(&newcomer), leasehold::store::Answer::Busy { .. }));
    told(scene, Seat::Second, &waiter);
}
