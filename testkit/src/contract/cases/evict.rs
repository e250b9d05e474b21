//! A tenure can be ended from outside; its holder is told, and what it still does is refused.

use leasehold::LostReason;
use leasehold::store::{Answer, Evicted, Released, Renewal};

use crate::contract::case::cases;
use crate::contract::{CLAIM, Case, GRACE, Scene, TTL};

pub(super) const CASES: &[Case] = cases![
    now:
        an_eviction_ends_the_tenure_and_names_it,
        an_evicted_holder_is_told,
        an_evicted_attempt_never_holds_again,
        an_eviction_moves_the_fence_on,
        an_eviction_hands_over,
        an_eviction_with_the_right_fence_works,
        an_eviction_with_a_wrong_fence_does_nothing,
        an_eviction_of_a_free_lock_does_nothing,
        an_evicted_holders_release_leaves_its_successor_alone;
    later:
        an_eviction_of_an_expired_tenure_does_nothing,
        an_evicted_holder_is_told_after_its_successor_left;
];

fn an_eviction_ends_the_tenure_and_names_it(scene: &mut Scene<'_>) {
    let (holder, next) = (scene.ask("ended"), scene.ask("ended"));
    let fence = scene.grant(&holder);
    let profile = holder.profile.clone();
    assert_eq!(scene.evict("ended", None), Evicted::Evicted { fence, profile });
    assert_eq!(scene.holder("ended"), None);
    scene.grant(&next);
}

fn an_evicted_holder_is_told(scene: &mut Scene<'_>) {
    let (holder, next) = (scene.ask("told"), scene.ask("told"));
    scene.grant(&holder);
    scene.evict("told", None);
    assert_eq!(scene.renew(&holder), Renewal::Gone(LostReason::Revoked));
    scene.grant(&next);
    assert_eq!(scene.renew(&holder), Renewal::Gone(LostReason::Revoked), "also when superseded");
}

fn an_evicted_attempt_never_holds_again(scene: &mut Scene<'_>) {
    let holder = scene.patient("again");
    scene.grant(&holder);
    scene.evict("again", None);
    assert_eq!(scene.acquire(&holder), Answer::Cancelled);
    assert_eq!(scene.holder("again"), None);
}

/// So that a guard that was shown the next number refuses the evicted holder.
fn an_eviction_moves_the_fence_on(scene: &mut Scene<'_>) {
    let (holder, next) = (scene.ask("moved"), scene.ask("moved"));
    let fence = scene.grant(&holder);
    scene.evict("moved", None);
    let after = scene.grant(&next);
    assert!(after > fence + 1, "fence {after} after an eviction at {fence}");
}

fn an_eviction_hands_over(scene: &mut Scene<'_>) {
    let (holder, waiter) = (scene.ask("over"), scene.patient("over"));
    let fence = scene.grant(&holder);
    scene.queue(&waiter);
    scene.evict("over", None);
    let view = scene.view("over").holder.expect("handed over");
    assert_eq!(view.profile, waiter.profile);
    assert!(view.claimed && view.stored <= CLAIM && view.fence > fence, "{view:?}");
}

fn an_eviction_with_the_right_fence_works(scene: &mut Scene<'_>) {
    let holder = scene.ask("right");
    let fence = scene.grant(&holder);
    assert!(matches!(scene.evict("right", Some(fence)), Evicted::Evicted { .. }));
    assert_eq!(scene.holder("right"), None);
}

fn an_eviction_with_a_wrong_fence_does_nothing(scene: &mut Scene<'_>) {
    let (before, holder) = (scene.ask("wrong"), scene.ask("wrong"));
    let old = scene.grant(&before);
    scene.release(&before);
    let fence = scene.grant(&holder);
    for wrong in [old, fence - 1, fence + 1, 0, u64::MAX] {
        assert_eq!(scene.evict("wrong", Some(wrong)), Evicted::NotHeld, "fence {wrong}");
    }
    assert!(matches!(scene.renew(&holder), Renewal::Renewed { .. }));
}

fn an_eviction_of_a_free_lock_does_nothing(scene: &mut Scene<'_>) {
    assert_eq!(scene.evict("free", None), Evicted::NotHeld);
    let ask = scene.ask("free");
    scene.grant(&ask);
}

fn an_evicted_holders_release_leaves_its_successor_alone(scene: &mut Scene<'_>) {
    let (holder, next) = (scene.ask("late"), scene.ask("late"));
    scene.grant(&holder);
    scene.evict("late", None);
    let fence = scene.grant(&next);
    assert_eq!(scene.release(&holder), Released::NotHeld);
    assert_eq!(scene.holder("late"), Some(fence));
}

fn an_eviction_of_an_expired_tenure_does_nothing(scene: &mut Scene<'_>) {
    let (holder, next) = (scene.ask("past"), scene.ask("past"));
    scene.grant(&holder);
    scene.pass(TTL + GRACE);
    assert_eq!(scene.evict("past", None), Evicted::NotHeld);
    scene.grant(&next);
}

fn an_evicted_holder_is_told_after_its_successor_left(scene: &mut Scene<'_>) {
    let (holder, next) = (scene.ask("slow"), scene.ask("slow"));
    scene.grant(&holder);
    scene.evict("slow", None);
    scene.grant(&next);
    scene.release(&next);
    // Its next renewal is due within a ttl; it must not take the lock's being free for an expiry.
    scene.pass(TTL);
    assert_eq!(scene.renew(&holder), Renewal::Gone(LostReason::Revoked));
}
