//! What histories and the contract of a store leave open: exact texts and exact instants of the rules.

use std::sync::Arc;
use std::time::Duration;

use super::{Book, Event, Rows, acquire, available, renew, resize};
use crate::store::memory::Locks;
use crate::store::{Answer, Ask, Hold, Kind, Renewal, Resize, Wait};
use crate::sys::{BootTime, Token};
use crate::{LostReason, Name, Profile};

const TTL: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(3);

fn at(seconds: u64) -> Event {
    let now = BootTime::from_nanos(seconds * 1_000_000_000);
    Event { now, wall_us: seconds * 1_000_000 }
}

fn ask(attempt: u8, kind: Kind) -> Ask {
    Ask {
        name: Name::new("rules").expect("a valid name"),
        kind,
        token: Token::from_bytes([attempt; 16]),
        ttl: TTL,
        grace: GRACE,
        wait: None,
        owner: None,
        profile: Arc::new(Profile::default()),
    }
}

fn acquired(locks: &mut Locks, ask: &Ask, at: Event) -> Answer {
    acquire(&mut locks.rows(&ask.name), ask, 1, at, &mut Vec::new()).expect("rows in memory")
}

#[test]
fn a_reader_that_asks_to_write_is_told_how_many_others_read() {
    let mut locks = Locks::default();
    for reader in 1..=3 {
        let answer = acquired(&mut locks, &ask(reader, Kind::Shared), at(1));
        assert!(matches!(answer, Answer::Granted { .. }));
    }
    let Answer::Deadlock { cycle } = acquired(&mut locks, &ask(1, Kind::Exclusive), at(2)) else {
        panic!("it waits for itself");
    };
    assert_eq!(
        cycle,
        [
            "a reader of lock \"rules\" that asks to write",
            "2 other readers, itself among those they exclude",
        ]
    );
}

/// Each ask that says a former number would be a write of its own otherwise.
#[test]
fn a_change_is_noted_anew_once_half_of_its_time_is_over() {
    let (mut locks, half) = (Locks::default(), 12 * 3600);
    let one = ask(1, Kind::Permits { count: 1, capacity: 2 });
    let mut rows = locks.rows(&one.name);
    let change = Resize { from: 2, to: 3, version: 0 };
    resize(&mut rows, &change, at(1), &mut Vec::new()).expect("rows in memory");
    for (said, until) in [(1 + half, 1 + 2 * half), (2 + half, 2 + 3 * half)] {
        available(&mut rows, &one, at(said), &mut Vec::new()).expect("rows in memory");
        let known = rows.capacity(at(said).now).expect("rows in memory").expect("remembered");
        assert_eq!(known.until, at(until).now, "said at {said} s");
    }
}

/// All or nothing: whether the attempt could be granted what it asks for now.
fn may_hold(locks: &mut Locks, ask: &Ask, at: Event) -> Option<Answer> {
    available(&mut locks.rows(&ask.name), ask, at, &mut Vec::new()).expect("rows in memory")
}

#[test]
fn what_an_attempt_holds_decides_what_it_may_hold_instead() {
    let permits = |count, capacity| Kind::Permits { count, capacity };
    let (busy, misfit) = (Answer::Busy { holder: None }, |used| Some(Answer::Misfit { used }));
    let (writes, reads, one) = (Kind::Exclusive, Kind::Shared, permits(1, 4));
    for (held, beside, asked, expected) in [
        (writes, None, writes, None),
        (writes, None, reads, None),
        (writes, None, one, misfit(writes)),
        (reads, Some(reads), reads, None),
        (reads, Some(reads), writes, Some(busy.clone())),
        (reads, None, writes, None),
        (reads, None, one, misfit(reads)),
        (one, Some(one), one, None),
        (one, Some(one), permits(2, 4), Some(busy)),
        (one, None, permits(1, 5), misfit(one)),
        (one, None, writes, misfit(one)),
    ] {
        let mut locks = Locks::default();
        acquired(&mut locks, &ask(1, held), at(1));
        if let Some(kind) = beside {
            acquired(&mut locks, &ask(2, kind), at(1));
        }
        let answer = may_hold(&mut locks, &ask(1, asked), at(2));
        assert_eq!(answer, expected, "{asked:?} instead of {held:?}, beside {beside:?}");
    }
}

/// When a tenure that begins at 1 s ends.
const END: u64 = 1 + TTL.as_secs() + GRACE.as_secs();

fn waiting(attempt: u8, kind: Kind, alive_for: Duration) -> Ask {
    let wait = Wait { alive_for, claim: TTL, heartbeat: TTL, max_queue: 9, priority: 0, fences: 1 };
    Ask { wait: Some(wait), ..ask(attempt, kind) }
}

fn queue(locks: &mut Locks, waiter: &Ask) {
    let answer = acquired(locks, waiter, at(1));
    assert!(matches!(answer, Answer::Queued { .. }), "{answer:?}");
}

#[test]
fn only_a_live_waiter_is_held_to_what_it_waits_for() {
    let misfit = Some(Answer::Misfit { used: Kind::Shared });
    for (asked_at, expected) in [(END - 1, misfit), (END, None)] {
        let mut locks = Locks::default();
        acquired(&mut locks, &ask(1, Kind::Exclusive), at(1));
        queue(&mut locks, &waiting(2, Kind::Shared, TTL + GRACE));
        let answer = may_hold(&mut locks, &ask(2, Kind::Exclusive), at(asked_at));
        assert_eq!(answer, expected, "at {asked_at} s");
    }
}

#[test]
fn a_reader_that_dies_as_its_phase_begins_is_passed_over() {
    let (mut locks, mut told) = (Locks::default(), Vec::new());
    acquired(&mut locks, &ask(1, Kind::Exclusive), at(1));
    queue(&mut locks, &waiting(2, Kind::Shared, TTL + GRACE));
    let writer = waiting(3, Kind::Exclusive, 2 * TTL);
    queue(&mut locks, &writer);
    let other = ask(4, Kind::Exclusive);
    acquire(&mut locks.rows(&other.name), &other, 1, at(END), &mut told).expect("rows in memory");
    let told: Vec<Token> = told.iter().map(|hand_off| hand_off.token).collect();
    assert_eq!(told, [writer.token]);
}

/// A downgrade whose answer was lost: its holder still renews as a writer.
#[test]
fn a_renewal_is_told_who_took_its_place_by_those_that_live() {
    for (other_ends, expected) in [(END + 9, LostReason::Superseded), (END, LostReason::Expired)] {
        let mut locks = Locks::default();
        let own = ask(1, Kind::Shared);
        acquired(&mut locks, &own, at(1));
        let other =
            Ask { ttl: Duration::from_secs(other_ends - 1) - GRACE, ..ask(2, Kind::Shared) };
        acquired(&mut locks, &other, at(1));
        let hold = Hold { kind: Kind::Exclusive, ..Hold::of(&own) };
        let renewal = renew(&mut locks.rows(&own.name), &hold, at(END)).expect("rows in memory");
        assert_eq!(renewal, Renewal::Gone(expected), "the other's ends at {other_ends} s");
    }
}

/// Readers are told apart from the writers before and after them, not from each other.
#[test]
fn a_reader_has_the_fence_of_the_writer_before_it() {
    let mut locks = Locks::default();
    let writer = acquired(&mut locks, &ask(1, Kind::Exclusive), at(1));
    assert_eq!(acquired(&mut locks, &ask(2, Kind::Shared), at(END)), writer);
}
