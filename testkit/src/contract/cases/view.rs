//! What people and tools see of locks.

use std::time::Duration;

use leasehold::store::{Ask, SHOWN};

use crate::contract::case::cases;
use crate::contract::{ALIVE, Case, GRACE, Scene, TTL};

pub(super) const CASES: &[Case] = cases![
    now:
        a_free_lock_has_an_empty_view,
        a_view_shows_the_holder,
        a_view_shows_the_queue_in_order,
        a_view_shows_a_hundred_waiters_and_counts_all,
        a_list_has_what_is_held_or_waited_for,
        a_list_is_by_prefix_and_in_order,
        a_list_has_pages;
    later:
        the_expired_and_the_dead_are_not_shown,
        a_view_counts_time_down;
];

fn a_free_lock_has_an_empty_view(scene: &mut Scene<'_>) {
    let view = scene.view("empty");
    assert_eq!((view.holder, view.waiting, view.queue.len()), (None, 0, 0));
}

fn a_view_shows_the_holder(scene: &mut Scene<'_>) {
    let ask = scene.ask("shown");
    let fence = scene.grant(&ask);
    let holder = scene.view("shown").holder.expect("held");
    assert_eq!((holder.fence, &holder.profile), (fence, &ask.profile));
    assert!(!holder.claimed);
    assert!(holder.told <= TTL && holder.told > TTL / 2, "told {:?}", holder.told);
    assert!(holder.stored <= TTL + GRACE && holder.stored >= holder.told, "{holder:?}");
}

fn a_view_shows_the_queue_in_order(scene: &mut Scene<'_>) {
    let holder = scene.ask("line");
    scene.grant(&holder);
    let waiters: Vec<Ask> = (0..5).map(|_| scene.waiter("line")).collect();
    for waiter in &waiters {
        scene.queue(waiter);
    }
    let view = scene.view("line");
    assert_eq!(view.waiting, 5);
    for (shown, waiter) in view.queue.iter().zip(&waiters) {
        assert_eq!(shown.profile, waiter.profile);
        assert!(shown.alive_for <= ALIVE, "{shown:?}");
    }
}

fn a_view_shows_a_hundred_waiters_and_counts_all(scene: &mut Scene<'_>) {
    let holder = scene.ask("crowd");
    scene.grant(&holder);
    for _ in 0..SHOWN + 20 {
        let waiter = scene.patient("crowd");
        scene.queue(&waiter);
    }
    let view = scene.view("crowd");
    assert_eq!((view.queue.len(), view.waiting), (SHOWN, SHOWN as u64 + 20));
}

fn a_list_has_what_is_held_or_waited_for(scene: &mut Scene<'_>) {
    assert!(scene.list("", None, 100).is_empty());
    let (held, released) = (scene.ask("held"), scene.ask("released"));
    scene.grant(&held);
    scene.grant(&released);
    scene.release(&released);
    assert_eq!(scene.list("", None, 100), ["held"]);
}

fn a_list_is_by_prefix_and_in_order(scene: &mut Scene<'_>) {
    for name in ["b", "a/2", "a", "a/", "ab", "a/1", "a/10", "A/1", "a%", "a_"] {
        let ask = scene.ask(name);
        scene.grant(&ask);
    }
    let bytewise = ["A/1", "a", "a%", "a/", "a/1", "a/10", "a/2", "a_", "ab", "b"];
    assert_eq!(scene.list("", None, 100), bytewise);
    assert_eq!(scene.list("a/", None, 100), ["a/", "a/1", "a/10", "a/2"]);
    assert_eq!(scene.list("a/1", None, 100), ["a/1", "a/10"]);
    assert_eq!(scene.list("a%", None, 100), ["a%"], "no pattern: the characters themselves");
    assert_eq!(scene.list("a_", None, 100), ["a_"]);
    assert!(scene.list("c", None, 100).is_empty());
    assert!(scene.list("a/1/", None, 100).is_empty());
}

fn a_list_has_pages(scene: &mut Scene<'_>) {
    let names: Vec<String> = (0..25).map(|index| format!("page {index:02}")).collect();
    for name in &names {
        let ask = scene.ask(name);
        scene.grant(&ask);
    }
    let outside = scene.ask("q");
    scene.grant(&outside);
    let (mut seen, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let page = scene.list("page ", after.as_deref(), 10);
        assert!(page.len() <= 10, "a page has its limit");
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        seen.extend(page);
    }
    assert_eq!(seen, names, "each once, in order");
    assert!(scene.list("page ", None, 0).is_empty());
}

fn the_expired_and_the_dead_are_not_shown(scene: &mut Scene<'_>) {
    let (holder, waiter) = (scene.ask("past"), scene.waiter("past"));
    scene.grant(&holder);
    scene.queue(&waiter);
    scene.pass(ALIVE);
    assert_eq!(scene.view("past").waiting, 0);
    assert_eq!(scene.list("", None, 10), ["past"]);
    scene.pass(TTL + GRACE);
    let view = scene.view("past");
    assert_eq!((view.holder, view.waiting), (None, 0));
    assert!(scene.list("", None, 10).is_empty());
}

fn a_view_counts_time_down(scene: &mut Scene<'_>) {
    let ask = scene.ask("clock");
    scene.grant(&ask);
    scene.pass(Duration::from_secs(7));
    let holder = scene.view("clock").holder.expect("held");
    scene.assert_about(holder.told, TTL - Duration::from_secs(7), "told");
    scene.assert_about(holder.stored, TTL + GRACE - Duration::from_secs(7), "stored");
}
