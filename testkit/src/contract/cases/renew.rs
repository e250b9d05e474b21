//! A renewal prolongs what is held: it makes nothing, takes nothing and shortens nothing.

use std::time::Duration;

use leasehold::LostReason;
use leasehold::store::{Ask, Hold, Renewal};

use crate::contract::case::cases;
use crate::contract::{Case, GRACE, Scene, TTL};

pub(super) const CASES: &[Case] = cases![
    now:
        a_renewal_of_what_is_not_held_makes_nothing,
        a_waiters_renewal_grants_nothing,
        a_released_tenure_is_not_renewed,
        a_renewal_never_shortens,
        a_renewal_may_lengthen,
        renewals_are_answered_in_order;
    later:
        a_renewal_prolongs_the_tenure,
        a_renewal_at_the_expiry_is_too_late,
        a_renewal_never_brings_a_lock_back,
        a_renewal_says_who_took_over;
];

fn a_renewal_of_what_is_not_held_makes_nothing(scene: &mut Scene<'_>) {
    let never = scene.ask("never");
    assert_eq!(scene.renew(&never), Renewal::Gone(LostReason::Expired));
    assert_eq!(scene.holder("never"), None);
}

fn a_waiters_renewal_grants_nothing(scene: &mut Scene<'_>) {
    let (holder, waiter) = (scene.ask("queued"), scene.patient("queued"));
    let fence = scene.grant(&holder);
    scene.queue(&waiter);
    assert!(matches!(scene.renew(&waiter), Renewal::Gone(_)));
    assert_eq!(scene.holder("queued"), Some(fence));
}

/// A renewal that was under way when the lock was given back (hazard 15).
fn a_released_tenure_is_not_renewed(scene: &mut Scene<'_>) {
    let holder = scene.ask("race");
    scene.grant(&holder);
    scene.release(&holder);
    assert!(matches!(scene.renew(&holder), Renewal::Gone(_)));
    assert_eq!(scene.holder("race"), None);
}

fn a_renewal_never_shortens(scene: &mut Scene<'_>) {
    let long = scene.ask("short");
    scene.grant(&long);
    let short = Ask { ttl: Duration::from_secs(1), grace: Duration::ZERO, ..long.clone() };
    assert!(matches!(scene.renew(&short), Renewal::Renewed { .. }));
    let holder = scene.view("short").holder.expect("still held");
    assert!(holder.stored > Duration::from_secs(2), "{holder:?}");
}

fn a_renewal_may_lengthen(scene: &mut Scene<'_>) {
    let short = scene.ask("long");
    scene.grant(&short);
    let long = Ask { ttl: 100 * TTL, ..short.clone() };
    match scene.renew(&long) {
        Renewal::Renewed { stored_for } => assert!(stored_for >= 100 * TTL, "{stored_for:?}"),
        gone => panic!("should be renewed, not {gone:?}"),
    }
    let holder = scene.view("long").holder.expect("still held");
    assert!(holder.stored > 50 * TTL && holder.told > 50 * TTL, "{holder:?}");
}

fn renewals_are_answered_in_order(scene: &mut Scene<'_>) {
    let asks: Vec<Ask> = (0..6).map(|index| scene.ask(&format!("batch {index}"))).collect();
    for ask in asks.iter().step_by(2) {
        scene.grant(ask);
    }
    let holds: Vec<Hold> = asks.iter().map(Hold::of).collect();
    for (index, answer) in scene.renew_many(&holds).into_iter().enumerate() {
        assert_eq!(
            matches!(answer, Renewal::Renewed { .. }),
            index % 2 == 0,
            "{index}: {answer:?}"
        );
    }
    assert!(scene.renew_many(&[]).is_empty(), "nothing asked, nothing answered");
}

fn a_renewal_prolongs_the_tenure(scene: &mut Scene<'_>) {
    let holder = scene.ask("on");
    let fence = scene.grant(&holder);
    for _ in 0..20 {
        scene.pass(TTL);
        match scene.renew(&holder) {
            Renewal::Renewed { stored_for } => assert!(stored_for >= TTL, "{stored_for:?}"),
            gone => panic!("should be renewed, not {gone:?}"),
        }
    }
    scene.pass_almost(TTL + GRACE);
    assert_eq!(scene.holder("on"), Some(fence), "the fence is the tenure's own");
}

fn a_renewal_at_the_expiry_is_too_late(scene: &mut Scene<'_>) {
    let holder = scene.ask("edge");
    scene.grant(&holder);
    scene.pass_almost(TTL + GRACE);
    assert!(matches!(scene.renew(&holder), Renewal::Renewed { .. }), "just in time");
    scene.pass(TTL + GRACE);
    assert_eq!(scene.renew(&holder), Renewal::Gone(LostReason::Expired));
    assert_eq!(scene.holder("edge"), None);
}

/// The lock was another's in between: what the first read then is stale (hazard 16).
fn a_renewal_never_brings_a_lock_back(scene: &mut Scene<'_>) {
    let (late, other) = (scene.ask("back"), scene.ask("back"));
    scene.grant(&late);
    scene.pass(TTL + GRACE);
    scene.grant(&other);
    scene.release(&other);
    assert!(matches!(scene.renew(&late), Renewal::Gone(_)));
    assert_eq!(scene.holder("back"), None);
}

fn a_renewal_says_who_took_over(scene: &mut Scene<'_>) {
    let (late, other) = (scene.ask("over"), scene.ask("over"));
    scene.grant(&late);
    scene.pass(TTL + GRACE);
    let fence = scene.grant(&other);
    assert_eq!(scene.renew(&late), Renewal::Gone(LostReason::Superseded));
    assert_eq!(scene.holder("over"), Some(fence));
}
