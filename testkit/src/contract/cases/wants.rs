//! Who waits for whom: what the search for deadlocks goes by.

use leasehold::Owner;
use leasehold::store::{Answer, Ask, Kind};

use crate::contract::case::cases;
use crate::contract::{ALIVE, CLAIM, Case, Scene, Seat};

pub(super) const CASES: &[Case] = cases![
    now:
        an_owner_wants_what_it_waits_for,
        what_is_held_or_left_is_not_wanted,
        readers_and_permits_are_wanted_and_shown,
        a_wait_without_an_owner_is_nobodys;
    later:
        the_dead_want_nothing,
        what_was_handed_over_is_held;
];

fn owner(number: u128) -> Option<Owner> {
    Some(Owner::from_number(number << 64 | 7))
}

fn hold(scene: &mut Scene<'_>, name: &str, by: Option<Owner>) -> (Ask, u64) {
    let ask = Ask { owner: by, ..scene.ask(name) };
    let fence = scene.grant(&ask);
    (ask, fence)
}

fn wait(scene: &mut Scene<'_>, name: &str, by: Option<Owner>) -> Ask {
    let ask = Ask { owner: by, ..scene.waiter(name) };
    scene.queue(&ask);
    ask
}

fn an_owner_wants_what_it_waits_for(scene: &mut Scene<'_>) {
    let (_, first) = hold(scene, "one", owner(1));
    let (_, second) = hold(scene, "two {of} \u{1F512}", None);
    let mut asks = [wait(scene, "one", owner(2)), scene.waiter("two {of} \u{1F512}")];
    asks[1].owner = owner(2);
    let wait = asks[1].wait.as_mut().expect("it waits");
    wait.priority = -5;
    // Another client's wait is the owner's too.
    scene.queue_from(Seat::Second, &asks[1]);
    wait_of_another(scene);
    let mut wants = scene.wants(owner(2));
    wants.sort_by_key(|want| want.name.clone());
    assert_eq!(wants.len(), 2, "{wants:?}");
    for ((want, ask), (fence, by, priority)) in
        wants.iter().zip(&asks).zip([(first, owner(1), 0), (second, None, -5)])
    {
        assert_eq!((&want.name, want.attempt, want.kind), (&ask.name, ask.token, ask.kind));
        assert_eq!((&want.profile, want.priority), (&ask.profile, priority));
        let [holder] = &want.holders[..] else { panic!("one holder: {want:?}") };
        assert_eq!((holder.fence, holder.owner), (fence, by));
    }
    assert!(scene.wants(owner(1)).is_empty(), "it holds and waits for nothing");
}

fn wait_of_another(scene: &mut Scene<'_>) {
    wait(scene, "one", owner(3));
}

fn what_is_held_or_left_is_not_wanted(scene: &mut Scene<'_>) {
    let (held, _) = hold(scene, "left", owner(1));
    let (second, third) = (wait(scene, "left", owner(2)), wait(scene, "left", owner(3)));
    scene.cancel(&third, CLAIM);
    assert!(scene.wants(owner(3)).is_empty(), "it left the queue");
    scene.release(&held);
    assert!(scene.wants(owner(2)).is_empty(), "the lock was handed to it");
    assert!(matches!(scene.acquire(&second), Answer::Granted { .. }));
    assert!(scene.wants(owner(2)).is_empty(), "it holds the lock");
}

fn readers_and_permits_are_wanted_and_shown(scene: &mut Scene<'_>) {
    let kinds = scene.capabilities().kinds;
    if kinds.shared {
        for by in [1, 2] {
            let ask = Ask { kind: Kind::Shared, owner: owner(by), ..scene.ask("read") };
            scene.grant(&ask);
        }
        wait(scene, "read", owner(3));
        let reader = Ask { kind: Kind::Shared, owner: owner(4), ..scene.waiter("read") };
        scene.queue(&reader);
        for (by, kind) in [(3, Kind::Exclusive), (4, Kind::Shared)] {
            let [want] = &scene.wants(owner(by))[..] else { panic!("one wait") };
            let mut owners: Vec<_> = want.holders.iter().map(|holder| holder.owner).collect();
            owners.sort_unstable();
            assert_eq!((want.kind, owners, want.priority), (kind, vec![owner(1), owner(2)], 0));
        }
    }
    if kinds.permits {
        let kind = |count| Kind::Permits { count, capacity: 5 };
        let ask = Ask { kind: kind(4), owner: owner(5), ..scene.ask("permits") };
        let fence = scene.grant(&ask);
        let waiter = Ask { kind: kind(2), owner: owner(6), ..scene.waiter("permits") };
        scene.queue(&waiter);
        let [want] = &scene.wants(owner(6))[..] else { panic!("one wait") };
        assert_eq!((want.kind, want.holders.len()), (kind(2), 1));
        let holder = &want.holders[0];
        assert_eq!((holder.kind, holder.owner, holder.fence), (kind(4), owner(5), fence));
    }
}

fn a_wait_without_an_owner_is_nobodys(scene: &mut Scene<'_>) {
    hold(scene, "plain", owner(1));
    wait(scene, "plain", None);
    assert!(scene.wants(Some(Owner::from_number(0))).is_empty());
}

fn the_dead_want_nothing(scene: &mut Scene<'_>) {
    hold(scene, "dead", owner(1));
    let ask = wait(scene, "dead", owner(2));
    scene.pass_almost(ALIVE);
    assert_eq!(scene.wants(owner(2)).len(), 1, "alive for a tick more");
    scene.queue(&ask);
    scene.pass_almost(ALIVE);
    assert_eq!(scene.wants(owner(2)).len(), 1, "its heartbeat came");
    scene.pass_tick();
    assert!(scene.wants(owner(2)).is_empty());
}

fn what_was_handed_over_is_held(scene: &mut Scene<'_>) {
    let (held, before) = hold(scene, "handed", owner(1));
    wait(scene, "handed", owner(2));
    wait(scene, "handed", owner(3));
    scene.release(&held);
    let [want] = &scene.wants(owner(3))[..] else { panic!("one wait") };
    let [holder] = &want.holders[..] else { panic!("one holder: {want:?}") };
    assert_eq!((holder.owner, holder.claimed), (owner(2), true));
    assert!(holder.fence > before);
}
