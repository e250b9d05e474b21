//! Latches, elections and barriers over a network that loses answers and pushes: what was counted
//! counts once, and what was said is heard.

use std::time::Duration;

use leasehold::options::{HEARTBEAT, REQUEST_TIMEOUT};
use leasehold::{Release, block_on};
use leasehold_testkit::proxy::{Action, Direction};

use super::scene::{LONG, SLACK, Scene, Test, now, report, test};

pub(super) const TESTS: &[Test] = &[
    test("a_count_whose_answer_is_lost_counts_once", counts),
    test("a_proclamation_whose_answer_is_lost_is_made", proclamations),
    test("members_come_and_go_although_answers_are_lost", members),
    test("an_observer_whose_push_is_cut_off_is_told", |scene| told(scene, Lost::Push)),
    test("an_observer_whose_connection_is_forgotten_is_told", |scene| {
        told(scene, Lost::Connection)
    }),
];

/// What the writes of each kind carry, and nothing else does.
const LATCH: &str = "latch {";
const ELECTION: &str = "election {";
const BARRIER: &str = "barrier {";
/// What every request about the barrier's cell carries: who leaves last writes no value.
const CELL: &str = "}:c:met";
/// What a push that tells of a cell carries.
const PUSH: &str = "cell leasehold:";

/// Others count all the while, so that what is found after a lost answer is mostly not one's own write.
fn counts(scene: &Scene<'_>) {
    const CALLS: u64 = 12;
    scene.warm();
    for lost in 1..=2 {
        let name = format!("counted-{lost}");
        let mine = scene.client.latch(&name, 2 * CALLS + 1);
        let theirs = scene.other.latch(&name, 2 * CALLS + 1);
        let sprung: u64 = std::thread::scope(|scope| {
            let others = scope.spawn(|| {
                for _ in 0..CALLS {
                    block_on(theirs.count_down(1)).expect("an answer");
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let calls = (0..CALLS).map(|_| {
                let trap = scene.proxy.trap(Direction::ToServer, LATCH, Action::DropReply, lost);
                block_on(mine.count_down(1)).expect("it is asked for again");
                let sprung = scene.proxy.stats().sprung(trap);
                scene.proxy.heal();
                sprung
            });
            let sprung = calls.sum();
            others.join().expect("no panic");
            sprung
        });
        assert!(sprung >= CALLS, "{sprung} answers were lost in {CALLS} calls");
        assert_eq!(block_on(theirs.count()).expect("an answer"), 1, "each counted once");
        report(&format!("{CALLS} calls, {sprung} answers lost: each counted once"));
        let trap = scene.proxy.trap(Direction::ToServer, LATCH, Action::DropReply, 1);
        assert_eq!(block_on(mine.count_down(1)).expect("it is asked for again"), 0);
        assert_eq!(scene.proxy.stats().sprung(trap), 1);
        scene.proxy.heal();
        block_on(theirs.wait(None)).expect("open");
    }
}

fn proclamations(scene: &Scene<'_>) {
    scene.warm();
    let (mine, theirs) = (scene.client.election("said"), scene.other.election("said"));
    let trap = scene.proxy.trap(Direction::ToServer, ELECTION, Action::DropReply, 1);
    let leadership = block_on(mine.campaign().ttl(LONG).value("first").acquire()).expect("won");
    assert_eq!(scene.proxy.stats().sprung(trap), 1);
    for value in ["first", "second", "third"] {
        if value != "first" {
            let trap = scene.proxy.trap(Direction::ToServer, ELECTION, Action::DropReply, 2);
            block_on(leadership.proclaim(value)).expect("it is asked for again");
            assert!(scene.proxy.stats().sprung(trap) > 0);
            scene.proxy.heal();
        }
        let leader = block_on(theirs.leader()).expect("an answer").expect("one leads");
        assert_eq!((leader.fence, &leader.value[..]), (leadership.fence(), value.as_bytes()));
    }
    let trap = scene.proxy.trap(Direction::ToServer, ELECTION, Action::DropReply, 1);
    assert_eq!(block_on(leadership.resign()), Release::Released);
    assert_eq!(scene.proxy.stats().sprung(trap), 1);
    assert_eq!(block_on(theirs.leader()).expect("an answer"), None);
    scene.proxy.heal();
    scene.assert_free("said");
}

fn members(scene: &Scene<'_>) {
    scene.warm();
    for round in 0..6 {
        let (mine, theirs) = (scene.client.barrier("met", 2), scene.other.barrier("met", 2));
        std::thread::scope(|scope| {
            let trap = scene.proxy.trap(Direction::ToServer, BARRIER, Action::DropReply, 1);
            let other = scope.spawn(|| {
                let inside = block_on(theirs.ttl(LONG).enter(None)).expect("both came");
                block_on(inside.leave(None)).expect("both left");
            });
            let inside = block_on(mine.ttl(LONG).enter(None)).expect("both came");
            assert_eq!(scene.proxy.stats().sprung(trap), 1, "round {round}");
            let trap = scene.proxy.trap(Direction::ToServer, CELL, Action::DropReply, 3);
            block_on(inside.leave(None)).expect("both left");
            assert!(scene.proxy.stats().sprung(trap) > 1, "round {round}");
            scene.proxy.heal();
            other.join().expect("no panic");
        });
        scene.await_free("met");
    }
}

#[derive(PartialEq)]
enum Lost {
    Push,
    Connection,
}

fn told(scene: &Scene<'_>, lost: Lost) {
    scene.warm();
    let leadership =
        block_on(scene.other.election("told").campaign().ttl(LONG).acquire()).expect("won");
    let mut observer = scene.client.election("told").observe();
    block_on(observer.next()).expect("an answer").expect("one leads");
    let rounds: u8 = if lost == Lost::Push { 10 } else { 1 };
    let bound = match lost {
        Lost::Push => HEARTBEAT + SLACK,
        Lost::Connection => HEARTBEAT + REQUEST_TIMEOUT + Duration::from_secs(1) + SLACK,
    };
    let (mut most, mut cut) = (Duration::ZERO, 0);
    for round in 1..=rounds {
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| (block_on(observer.next()), now()));
            // Until the server knows that it watches.
            super::scene::eventually("it watches", || {
                let keys = scene.server.admin(&["KEYS", "leasehold:{*}:w:told"]);
                !keys.list().is_empty()
            });
            let trap = match lost {
                Lost::Push => Some(scene.proxy.trap(Direction::ToClient, PUSH, Action::Cut, 1)),
                Lost::Connection => {
                    // Answers come in order: after this one its own has come.
                    block_on(scene.client.ping()).expect("an answer");
                    scene.forget_connections();
                    None
                }
            };
            let said = now();
            block_on(leadership.proclaim([round])).expect("it leads");
            let (found, at) = watching.join().expect("no panic");
            assert_eq!(found.expect("an answer").expect("it leads").value, [round]);
            most = most.max(at.since(said));
            cut += trap.map_or(0, |trap| scene.proxy.stats().sprung(trap));
            if trap.is_some() {
                scene.proxy.heal();
            }
        });
    }
    if lost == Lost::Push {
        assert_eq!(cut, u64::from(rounds), "each push was cut off");
    }
    report(&format!("told within {most:.1?}"));
    assert!(most <= bound, "{most:?}");
}
