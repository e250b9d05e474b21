//! A free lock is granted, a taken one isn't.

use std::time::Duration;

use leasehold::ErrorKind;
use leasehold::store::{Answer, Ask, Cancel, FenceSource, How, Kind, Released, Renewal, TtlScope};

use crate::contract::case::cases;
use crate::contract::{Case, GRACE, HEARTBEAT, Scene, Seat, TTL};

pub(super) const CASES: &[Case] = cases![
    now:
        a_free_lock_is_granted,
        a_repeated_ask_confirms_the_same_tenure,
        a_taken_lock_is_busy_and_names_its_holder,
        an_ask_without_wait_takes_no_place,
        two_names_are_two_locks,
        two_clients_exclude_each_other,
        one_client_excludes_itself,
        one_attempt_may_hold_two_locks,
        one_attempt_may_wait_for_two_locks,
        without_a_queue_a_waiter_looks_again,
        an_undeclared_kind_is_refused,
        the_store_answers_a_ping;
    later:
        a_tenure_ends_at_its_expiry,
        each_lock_has_its_own_ttl,
        a_repeated_ask_prolongs_the_tenure,
        the_longest_ttl_is_kept;
];

fn a_free_lock_is_granted(scene: &mut Scene<'_>) {
    let ask = scene.ask("free");
    match scene.acquire(&ask) {
        Answer::Granted { fence, stored_for } => {
            let fenced = scene.capabilities().fence != FenceSource::None;
            assert_eq!(fence > 0, fenced, "a fence is a positive number, and 0 is none");
            assert!(stored_for >= TTL, "stored for {stored_for:?}, less than the holder is told");
        }
        other => panic!("a free lock should be granted, not {other:?}"),
    }
}

fn a_repeated_ask_confirms_the_same_tenure(scene: &mut Scene<'_>) {
    let ask = scene.ask("again");
    let fence = scene.grant(&ask);
    assert_eq!(scene.grant(&ask), fence, "one tenure has one fence");
    assert_eq!(scene.grant_from(Seat::Second, &ask), fence, "whoever repeats the ask");
}

fn a_taken_lock_is_busy_and_names_its_holder(scene: &mut Scene<'_>) {
    let (holder, other) = (scene.ask("taken"), scene.ask("taken"));
    scene.grant(&holder);
    let Answer::Busy { holder: Some(shown) } = scene.acquire_from(Seat::Second, &other) else {
        panic!("a taken lock should be busy, with its holder");
    };
    assert_eq!(shown.profile.as_deref(), Some(&*holder.profile), "the holder is shown");
    let left = shown.expires_in.expect("the tenure has an end");
    assert!(left <= TTL + GRACE && left > Duration::from_secs(1), "{left:?} left of {TTL:?}");
}

fn an_ask_without_wait_takes_no_place(scene: &mut Scene<'_>) {
    let (holder, other) = (scene.ask("try"), scene.ask("try"));
    scene.grant(&holder);
    assert!(matches!(scene.acquire(&other), Answer::Busy { .. }));
    assert_eq!(scene.view("try").waiting, 0, "an ask that doesn't wait leaves nothing");
    scene.release(&holder);
    assert_eq!(scene.holder("try"), None, "and is granted nothing later");
}

fn two_names_are_two_locks(scene: &mut Scene<'_>) {
    let (left, right) = (scene.ask("left"), scene.ask("right"));
    scene.grant(&left);
    scene.grant(&right);
}

fn two_clients_exclude_each_other(scene: &mut Scene<'_>) {
    let (holder, other) = (scene.ask("both"), scene.ask("both"));
    scene.grant_from(Seat::Second, &holder);
    assert!(matches!(scene.acquire_from(Seat::First, &other), Answer::Busy { .. }));
    scene.release_from(Seat::Second, &holder, leasehold::store::Cancel::No);
    scene.grant_from(Seat::First, &other);
}

/// Ownership is the attempt's, never the client's, thread's or connection's (hazards 35 and 67).
fn one_client_excludes_itself(scene: &mut Scene<'_>) {
    let (holder, other) = (scene.ask("self"), scene.ask("self"));
    scene.grant(&holder);
    assert!(matches!(scene.acquire(&other), Answer::Busy { .. }));
}

fn one_attempt_may_hold_two_locks(scene: &mut Scene<'_>) {
    let left = scene.ask("one");
    let right = Ask { name: scene.ask("two").name, ..left.clone() };
    let fence = scene.grant(&left);
    scene.grant(&right);
    scene.release(&right);
    assert_eq!(scene.holder("one"), Some(fence), "a release is of one lock");
}

/// Where there is no queue: who looks first has the lock, and a waiter is told when to look.
fn without_a_queue_a_waiter_looks_again(scene: &mut Scene<'_>) {
    if scene.capabilities().queue {
        return;
    }
    let (holder, waiter) = (scene.ask("looks"), scene.waiter("looks"));
    let newcomer = scene.ask("looks");
    scene.grant(&holder);
    for _ in 0..10 {
        let Answer::Queued { first, look_again_in, holder } = scene.acquire(&waiter) else {
            panic!("it waits");
        };
        assert!(!first && look_again_in <= HEARTBEAT && holder.is_some(), "{look_again_in:?}");
        assert!(look_again_in > Duration::ZERO, "it would ask without end");
    }
    assert_eq!(scene.view("looks").waiting, 0);
    scene.release(&holder);
    scene.grant_from(Seat::Second, &newcomer);
    assert!(matches!(scene.acquire(&waiter), Answer::Queued { .. }));
    scene.release_from(Seat::Second, &newcomer, Cancel::No);
    scene.grant(&waiter);
    assert_eq!(scene.release(&waiter), Released::Released);
}

fn one_attempt_may_wait_for_two_locks(scene: &mut Scene<'_>) {
    let (first, second) = (scene.ask("one"), scene.ask("two"));
    scene.grant(&first);
    scene.grant(&second);
    let left = scene.patient("one");
    let right = Ask { name: second.name.clone(), ..left.clone() };
    scene.queue(&left);
    scene.queue(&right);
    assert_eq!(scene.view("one").waiting, 1, "a place in one queue is none lost in another");
    assert_eq!(scene.view("two").waiting, 1);
    scene.release(&first);
    scene.release(&second);
    assert!(scene.view("one").holder.is_some_and(|holder| holder.profile == left.profile));
    assert!(scene.view("two").holder.is_some_and(|holder| holder.profile == left.profile));
}

fn an_undeclared_kind_is_refused(scene: &mut Scene<'_>) {
    let kinds = scene.capabilities().kinds;
    assert!(kinds.exclusive || kinds.shared || kinds.permits, "a store that grants nothing");
    let all = [
        (Kind::Exclusive, kinds.exclusive),
        (Kind::Shared, kinds.shared),
        (Kind::Permits { count: 1, capacity: 3 }, kinds.permits),
    ];
    for (kind, declared) in all {
        let name = format!("{kind:?}");
        let ask = Ask { kind, ..scene.ask(&name) };
        let answer = scene.try_acquire_many(Seat::First, &[ask], How::EachAlone);
        if declared {
            let granted = matches!(answer.as_deref(), Ok([Answer::Granted { .. }]));
            assert!(granted, "{kind:?} is declared, but: {answer:?}");
        } else {
            let error = answer.expect_err("an undeclared kind must be refused");
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
            assert!(error.message().contains(&name), "{error} should name the lock");
            assert_eq!(scene.view(&name).holder, None, "a refusal changes nothing");
        }
    }
}

fn the_store_answers_a_ping(scene: &mut Scene<'_>) {
    scene.ping().expect("the store answers");
}

fn a_tenure_ends_at_its_expiry(scene: &mut Scene<'_>) {
    let (holder, other) = (scene.ask("ends"), scene.ask("ends"));
    scene.grant(&holder);
    scene.pass_almost(TTL + GRACE);
    assert!(
        matches!(scene.acquire(&other), Answer::Busy { .. }),
        "held until the store's last nanosecond"
    );
    scene.pass_tick();
    scene.grant(&other);
}

fn each_lock_has_its_own_ttl(scene: &mut Scene<'_>) {
    if scene.capabilities().ttl != TtlScope::Lock {
        return;
    }
    let asks: Vec<Ask> = (1..=20)
        .map(|seconds| Ask {
            ttl: Duration::from_secs(seconds),
            grace: Duration::ZERO,
            ..scene.ask(&format!("ttl {seconds}"))
        })
        .collect();
    scene.acquire_many(&asks, How::EachAlone);
    for ended in 1..=20 {
        scene.pass(Duration::from_secs(1));
        // In one look: on a real server these seconds are all the time that there is.
        let mut left: Vec<&str> = asks[ended..].iter().map(|ask| ask.name.as_str()).collect();
        left.sort_unstable();
        assert_eq!(scene.list("ttl ", None, 100), left, "after {ended} s");
    }
}

fn a_repeated_ask_prolongs_the_tenure(scene: &mut Scene<'_>) {
    let ask = scene.ask("longer");
    let fence = scene.grant(&ask);
    scene.pass(TTL);
    assert_eq!(scene.grant(&ask), fence);
    scene.pass(TTL);
    assert_eq!(scene.holder("longer"), Some(fence), "its ttl counts from the last ask");
}

fn the_longest_ttl_is_kept(scene: &mut Scene<'_>) {
    let year = leasehold::options::MAX_TTL;
    let ask = Ask { ttl: year, grace: leasehold::options::grace(year), ..scene.ask("year") };
    let fence = scene.grant(&ask);
    scene.pass(year - Duration::from_secs(1));
    assert_eq!(scene.holder("year"), Some(fence));
    assert!(matches!(scene.renew(&ask), Renewal::Renewed { .. }));
    scene.pass(year + year / 10);
    assert_eq!(scene.holder("year"), None, "even the longest lease ends");
}
