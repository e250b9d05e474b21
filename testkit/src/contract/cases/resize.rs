//! How many permits a semaphore has, changed while it is in use.

use std::time::Duration;

use leasehold::ErrorKind;
use leasehold::lock::FOLLOWED;
use leasehold::store::{Answer, Ask, How, Kind, Renewal, Resized};

use crate::contract::case::cases;
use crate::contract::{Case, Scene, Seat};

pub(super) const CASES: &[Case] = cases![
    now:
        growth_grants_those_who_wait,
        less_room_takes_no_permit_away,
        who_waits_for_more_than_there_are_is_told,
        a_former_number_means_the_present_one,
        a_change_knows_the_one_before,
        a_change_of_another_number_changes_nothing,
        a_lock_has_no_number_of_permits,
        a_free_semaphore_keeps_its_change,
        a_change_is_refused_where_there_are_no_permits;
    later:
        a_change_is_remembered_while_it_is_followed,
        a_change_that_nobody_follows_is_forgotten;
];

fn declared(scene: &Scene<'_>) -> bool {
    scene.capabilities().kinds.permits
}

fn of(count: u32, capacity: u32, ask: Ask) -> Ask {
    Ask { kind: Kind::Permits { count, capacity }, ..ask }
}

/// Makes the change, from the second client; its number.
fn change(scene: &Scene<'_>, name: &str, numbers: (u32, u32), version: u64) -> u64 {
    match scene.resize(Seat::Second, name, numbers, version) {
        Resized::Changed { version } => version,
        other => panic!("{name} should be changed, not {other:?}"),
    }
}

/// The permits that are held, and how many there are.
fn held(scene: &Scene<'_>, name: &str) -> (u32, u32) {
    let view = scene.view(name);
    let kinds = view.holder.iter().chain(&view.others).map(|holder| match holder.kind {
        Kind::Permits { count, capacity } => (count, capacity),
        other => panic!("{name} is {other}"),
    });
    kinds.fold((0, 0), |(sum, _), (count, capacity)| (sum + count, capacity))
}

fn misfit(answer: &Answer, permits: u32) -> bool {
    matches!(answer, Answer::Misfit { used: Kind::Permits { capacity, .. } } if *capacity == permits)
}

fn growth_grants_those_who_wait(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let holders = [of(1, 2, scene.ask("growth")), of(1, 2, scene.ask("growth"))];
    let waiters = [1, 2, 2].map(|count| of(count, 2, scene.patient("growth")));
    for ask in &holders {
        scene.grant(ask);
    }
    for ask in &waiters {
        scene.queue(ask);
    }
    change(scene, "growth", (2, 5), 0);
    assert_eq!(held(scene, "growth"), (5, 5));
    if scene.capabilities().push {
        let told = scene.inbox(Seat::First).wait_for(2);
        assert_eq!([told[0].token, told[1].token], [waiters[0].token, waiters[1].token]);
    }
    // They confirm, as those that know of no change.
    scene.grant(&waiters[0]);
    scene.grant(&waiters[1]);
    assert!(scene.queue(&waiters[2]), "it waits on, and is the first");
    scene.release(&waiters[1]);
    assert_eq!(held(scene, "growth"), (5, 5));
}

fn less_room_takes_no_permit_away(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let holders = [1, 1, 2].map(|count| of(count, 4, scene.ask("less")));
    let waiter = of(1, 4, scene.patient("less"));
    for ask in &holders {
        scene.grant(ask);
    }
    scene.queue(&waiter);
    change(scene, "less", (4, 2), 0);
    assert_eq!(held(scene, "less"), (4, 2));
    for ask in &holders {
        assert!(matches!(scene.renew(ask), Renewal::Renewed { .. }));
    }
    for (ask, left) in [(&holders[0], 3), (&holders[1], 2)] {
        scene.release(ask);
        assert_eq!(held(scene, "less"), (left, 2), "there is no room yet");
        assert!(scene.queue(&waiter));
    }
    scene.release(&holders[2]);
    assert_eq!(held(scene, "less"), (1, 2));
    scene.grant(&waiter);
}

fn who_waits_for_more_than_there_are_is_told(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let holder = of(1, 4, scene.ask("more"));
    let (large, small) = (of(4, 4, scene.patient("more")), of(1, 4, scene.patient("more")));
    scene.grant(&holder);
    assert!(scene.queue(&large));
    assert!(!scene.queue(&small));
    change(scene, "more", (4, 3), 0);
    assert_eq!(held(scene, "more"), (2, 3), "it is in nobody's way any more");
    assert!(misfit(&scene.acquire(&large), 3));
    let again = of(4, 4, scene.ask("more"));
    assert!(misfit(&scene.acquire(&again), 3));
    let together = scene.acquire_many(&[again], How::AllOrNothing);
    assert!(misfit(&together[0], 3));
}

fn a_former_number_means_the_present_one(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let holder = of(1, 2, scene.ask("former"));
    scene.grant(&holder);
    let first = change(scene, "former", (2, 3), 0);
    change(scene, "former", (3, 5), first);
    for said in [2, 3, 5] {
        let ask = of(1, said, scene.ask("former"));
        scene.grant(&ask);
        assert_eq!(scene.grant(&ask), scene.grant(&ask), "asked again, it is the same tenure");
    }
    let ask = of(1, 2, scene.ask("former"));
    assert!(matches!(scene.acquire_many(&[ask], How::AllOrNothing)[0], Answer::Granted { .. }));
    assert_eq!(held(scene, "former"), (5, 5));
    let other = of(1, 4, scene.ask("former"));
    assert!(misfit(&scene.acquire(&other), 5));
}

/// A request that comes late or twice changes nothing.
fn a_change_knows_the_one_before(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let holder = of(1, 2, scene.ask("known"));
    scene.grant(&holder);
    let first = change(scene, "known", (2, 3), 0);
    let second = change(scene, "known", (3, 2), first);
    assert!(second > first);
    for late in [0, first] {
        let answer = scene.resize(Seat::First, "known", (2, 3), late);
        let Resized::Unchanged { used: Some(used), version } = answer else {
            panic!("a late request changed the number: {answer:?}");
        };
        assert_eq!((used.to_string().as_str(), version), ("a semaphore of 2", second));
    }
    assert_eq!(held(scene, "known"), (1, 2));
}

fn a_change_of_another_number_changes_nothing(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let holder = of(1, 2, scene.ask("other"));
    scene.grant(&holder);
    let answer = scene.resize(Seat::First, "other", (3, 4), 0);
    assert!(
        matches!(
            answer,
            Resized::Unchanged { used: Some(Kind::Permits { capacity: 2, .. }), version: 0 }
        ),
        "{answer:?}"
    );
    assert_eq!(held(scene, "other"), (1, 2));
}

fn a_lock_has_no_number_of_permits(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let holder = scene.ask("lock");
    scene.grant(&holder);
    let used = Some(Kind::Exclusive);
    let refusal = Resized::Unchanged { used, version: 0 };
    assert_eq!(scene.resize(Seat::First, "lock", (2, 3), 0), refusal);
}

/// Never "set if nobody holds any": a change counts also where all permits are free just then.
fn a_free_semaphore_keeps_its_change(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let version = change(scene, "free", (1, 2), 0);
    let other = of(1, 4, scene.ask("free"));
    assert!(misfit(&scene.acquire(&other), 2), "nobody overwrites it");
    let asks = [of(1, 1, scene.ask("free")), of(1, 2, scene.ask("free"))];
    for ask in &asks {
        scene.grant(ask);
    }
    for ask in &asks {
        scene.release(ask);
    }
    let late = scene.resize(Seat::First, "free", (1, 9), 0);
    assert!(matches!(late, Resized::Unchanged { version: last, .. } if last == version));
    assert!(misfit(&scene.acquire(&other), 2));
}

fn a_change_is_refused_where_there_are_no_permits(scene: &mut Scene<'_>) {
    let kind = |result: leasehold::Result<Resized>| result.expect_err("refused").kind();
    if declared(scene) {
        assert_eq!(kind(scene.try_resize("none", (1, 0))), ErrorKind::InvalidInput);
    } else {
        assert_eq!(kind(scene.try_resize("none", (1, 2))), ErrorKind::Unsupported);
    }
}

/// Those who say a former number keep the change alive, however long the semaphore is used.
fn a_change_is_remembered_while_it_is_followed(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    change(scene, "followed", (1, 2), 0);
    for _ in 0..3 {
        scene.pass(FOLLOWED - Duration::from_secs(60));
        let ask = of(1, 1, scene.ask("followed"));
        scene.grant(&ask);
        scene.release(&ask);
        let other = of(1, 3, scene.ask("followed"));
        assert!(misfit(&scene.acquire(&other), 2));
    }
}

fn a_change_that_nobody_follows_is_forgotten(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let first = change(scene, "forgotten", (1, 2), 0);
    scene.pass_almost(FOLLOWED);
    let other = of(2, 3, scene.ask("forgotten"));
    assert!(misfit(&scene.acquire(&other), 2));
    scene.pass_tick();
    scene.grant(&other);
    let answer = scene.resize(Seat::First, "forgotten", (3, 4), first);
    assert!(matches!(answer, Resized::Unchanged { version: 0, .. }), "{answer:?}");
    assert!(change(scene, "forgotten", (3, 4), 0) > first, "its numbers go on");
}
