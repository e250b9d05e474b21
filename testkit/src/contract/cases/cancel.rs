//! A release ends its own tenure and no other, and an attempt that gave up holds nothing, whatever
//! of it still arrives (hazards 22 to 28).

use std::time::Duration;

use leasehold::store::{Answer, Hold, Released};

use crate::contract::case::cases;
use crate::contract::{CLAIM, Case, GRACE, Scene, Seat, TTL};

pub(super) const CASES: &[Case] = cases![
    now:
        a_release_frees_the_lock,
        a_release_is_idempotent,
        a_release_of_a_foreign_token_changes_nothing,
        a_late_ask_of_a_cancelled_attempt_is_refused,
        cancelling_a_holder_frees_the_lock,
        a_cancelled_waiter_is_never_granted,
        cancelling_hands_over,
        a_tombstone_bars_its_own_attempt_only,
        a_release_of_many_is_answered_in_order;
    later:
        an_expired_holders_release_leaves_its_successor_alone,
        a_release_after_the_expiry_hands_over,
        an_expired_attempt_never_holds_again,
        a_lapsed_claim_never_holds_again,
        a_tombstone_ends,
        a_tombstone_is_not_shortened;
];

const TOMB: Duration = Duration::from_secs(10);

fn a_release_frees_the_lock(scene: &mut Scene<'_>) {
    let (holder, next) = (scene.ask("give"), scene.ask("give"));
    scene.grant(&holder);
    assert_eq!(scene.release(&holder), Released::Released);
    assert_eq!(scene.holder("give"), None);
    scene.grant(&next);
}

fn a_release_is_idempotent(scene: &mut Scene<'_>) {
    let (holder, next) = (scene.ask("twice"), scene.ask("twice"));
    scene.grant(&holder);
    assert_eq!(scene.release(&holder), Released::Released);
    assert_eq!(scene.release(&holder), Released::NotHeld);
    let fence = scene.grant(&next);
    assert_eq!(scene.release(&holder), Released::NotHeld);
    assert_eq!(scene.holder("twice"), Some(fence), "the second release touched nobody");
}

fn a_release_of_a_foreign_token_changes_nothing(scene: &mut Scene<'_>) {
    let (holder, waiter) = (scene.ask("foreign"), scene.patient("foreign"));
    let stranger = scene.ask("foreign");
    let fence = scene.grant(&holder);
    scene.queue(&waiter);
    assert_eq!(scene.release(&stranger), Released::NotHeld);
    assert_eq!(scene.cancel(&stranger, TOMB), Released::NotHeld);
    let view = scene.view("foreign");
    assert_eq!(view.holder.map(|holder| holder.fence), Some(fence));
    assert_eq!(view.waiting, 1);
}

fn a_late_ask_of_a_cancelled_attempt_is_refused(scene: &mut Scene<'_>) {
    let (late, waiting) = (scene.ask("late"), scene.patient("late"));
    // The cancellation overtook the ask: there was nothing to release yet.
    assert_eq!(scene.cancel(&late, TOMB), Released::NotHeld);
    assert_eq!(scene.cancel(&waiting, TOMB), Released::NotHeld);
    assert_eq!(scene.acquire(&late), Answer::Cancelled);
    assert_eq!(scene.acquire_from(Seat::Second, &waiting), Answer::Cancelled);
    let view = scene.view("late");
    assert_eq!((view.holder, view.waiting), (None, 0), "nothing is held or queued");
}

fn cancelling_a_holder_frees_the_lock(scene: &mut Scene<'_>) {
    let (holder, next) = (scene.ask("undo"), scene.ask("undo"));
    scene.grant(&holder);
    assert_eq!(scene.cancel(&holder, TOMB), Released::Released);
    assert_eq!(scene.acquire(&holder), Answer::Cancelled, "it never holds again");
    scene.grant(&next);
    assert!(matches!(scene.renew(&holder), leasehold::store::Renewal::Gone(_)));
}

fn a_cancelled_waiter_is_never_granted(scene: &mut Scene<'_>) {
    let (holder, gone) = (scene.ask("gone"), scene.patient("gone"));
    scene.grant(&holder);
    scene.queue(&gone);
    assert_eq!(scene.cancel(&gone, TOMB), Released::LeftQueue);
    assert_eq!(scene.acquire(&gone), Answer::Cancelled, "a heartbeat on its way is refused");
    scene.release(&holder);
    assert_eq!(scene.holder("gone"), None);
}

fn cancelling_hands_over(scene: &mut Scene<'_>) {
    let (holder, waiter) = (scene.ask("pass"), scene.patient("pass"));
    scene.grant(&holder);
    scene.queue(&waiter);
    scene.cancel(&holder, TOMB);
    let view = scene.view("pass");
    let profile = view.holder.map(|holder| holder.profile);
    assert_eq!(profile.as_deref(), Some(&*waiter.profile));
}

fn a_tombstone_bars_its_own_attempt_only(scene: &mut Scene<'_>) {
    let (gone, other) = (scene.ask("own"), scene.ask("own"));
    scene.cancel(&gone, TOMB);
    scene.grant(&other);
}

fn a_release_of_many_is_answered_in_order(scene: &mut Scene<'_>) {
    let (held, waited, never) = (scene.ask("held"), scene.patient("held"), scene.ask("never"));
    scene.grant(&held);
    scene.queue(&waited);
    let holds = [Hold::of(&never), Hold::of(&waited), Hold::of(&held)];
    let answers = [Released::NotHeld, Released::LeftQueue, Released::Released];
    assert_eq!(scene.release_many(&holds), answers);
    assert!(scene.release_many(&[]).is_empty(), "nothing asked, nothing answered");
}

fn an_expired_holders_release_leaves_its_successor_alone(scene: &mut Scene<'_>) {
    let (late, successor) = (scene.ask("successor"), scene.ask("successor"));
    let waiter = scene.patient("successor");
    scene.grant(&late);
    scene.pass(TTL + GRACE);
    let fence = scene.grant(&successor);
    scene.queue(&waiter);
    assert_eq!(scene.release(&late), Released::NotHeld);
    assert_eq!(scene.cancel(&late, TOMB), Released::NotHeld);
    assert_eq!(scene.holder("successor"), Some(fence));
    assert_eq!(scene.view("successor").waiting, 1);
}

fn a_release_after_the_expiry_hands_over(scene: &mut Scene<'_>) {
    let (late, waiter) = (scene.ask("after"), scene.patient("after"));
    scene.grant(&late);
    scene.queue(&waiter);
    scene.pass(TTL + GRACE);
    assert_eq!(scene.release(&late), Released::NotHeld, "it was over");
    let view = scene.view("after");
    let profile = view.holder.map(|holder| holder.profile);
    assert_eq!(profile.as_deref(), Some(&*waiter.profile), "who saw the expiry handed over");
}

/// One token, one tenure (oracle O3): a request that was on its way while its lease ran out would
/// otherwise hold the lock again, for nobody.
fn an_expired_attempt_never_holds_again(scene: &mut Scene<'_>) {
    for taken_meanwhile in [false, true] {
        let late = scene.patient("once");
        scene.grant(&late);
        scene.pass(TTL + GRACE);
        if taken_meanwhile {
            let other = scene.ask("once");
            scene.grant(&other);
            assert_eq!(scene.acquire(&late), Answer::Cancelled, "nor waits for it");
            scene.release(&other);
        }
        assert_eq!(scene.acquire(&late), Answer::Cancelled, "taken meanwhile: {taken_meanwhile}");
        let view = scene.view("once");
        assert_eq!((view.holder, view.waiting), (None, 0));
    }
}

fn a_lapsed_claim_never_holds_again(scene: &mut Scene<'_>) {
    let (holder, late) = (scene.ask("claim"), scene.patient("claim"));
    let next = scene.patient("claim");
    scene.grant(&holder);
    scene.queue(&late);
    scene.queue(&next);
    scene.release(&holder);
    scene.pass(CLAIM);
    assert_eq!(scene.acquire(&late), Answer::Cancelled, "a new attempt is needed");
    scene.grant(&next);
}

fn a_tombstone_ends(scene: &mut Scene<'_>) {
    let gone = scene.ask("ends");
    scene.cancel(&gone, TOMB);
    scene.pass_almost(TOMB);
    assert_eq!(scene.acquire(&gone), Answer::Cancelled);
    scene.pass_tick();
    scene.grant(&gone);
}

fn a_tombstone_is_not_shortened(scene: &mut Scene<'_>) {
    let gone = scene.ask("long");
    scene.cancel(&gone, TOMB);
    scene.cancel(&gone, Duration::from_secs(1));
    scene.release(&gone);
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.acquire(&gone), Answer::Cancelled);
    scene.cancel(&gone, TOMB);
    scene.pass(Duration::from_secs(9));
    assert_eq!(scene.acquire(&gone), Answer::Cancelled, "it can be made longer");
}
