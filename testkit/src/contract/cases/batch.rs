//! Several locks in one request: together or each for itself.

use leasehold::ErrorKind;
use leasehold::store::{Answer, Ask, How, Kind};

use crate::contract::case::cases;
use crate::contract::{Case, GRACE, Scene, Seat, TTL};

pub(super) const CASES: &[Case] = cases![
    now:
        all_or_nothing_grants_all,
        all_or_nothing_changes_nothing_when_one_is_busy,
        all_or_nothing_counts_what_the_attempt_holds,
        all_or_nothing_refuses_a_name_twice,
        all_or_nothing_refuses_to_wait,
        all_or_nothing_refuses_a_cancelled_attempt,
        each_alone_answers_each,
        calls_at_once_are_answered_apart,
        no_asks_have_no_answers;
    later:
        all_or_nothing_refuses_an_expired_attempt,
        all_or_nothing_does_not_overtake;
];

fn asks(scene: &mut Scene<'_>, names: &[&str]) -> Vec<Ask> {
    names.iter().map(|name| scene.ask(name)).collect()
}

/// A store that can't do it in one step must say so rather than half do it.
fn atomic(scene: &mut Scene<'_>) -> bool {
    if scene.capabilities().atomic_multi {
        return true;
    }
    let pair = asks(scene, &["a", "b"]);
    let error = scene
        .try_acquire_many(Seat::First, &pair, How::AllOrNothing)
        .expect_err("not declared, so refused");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    false
}

fn all_or_nothing_grants_all(scene: &mut Scene<'_>) {
    if !atomic(scene) {
        return;
    }
    let all = asks(scene, &["c", "a", "b"]);
    for (answer, ask) in scene.acquire_many(&all, How::AllOrNothing).iter().zip(&all) {
        let Answer::Granted { fence, .. } = answer else { panic!("{}: {answer:?}", ask.name) };
        assert_eq!(scene.holder(ask.name.as_str()), Some(*fence), "answers are in the asks' order");
    }
}

fn all_or_nothing_changes_nothing_when_one_is_busy(scene: &mut Scene<'_>) {
    if !atomic(scene) {
        return;
    }
    let holder = scene.ask("b");
    let fence = scene.grant(&holder);
    let all = asks(scene, &["a", "b", "c"]);
    let answers = scene.acquire_many(&all, How::AllOrNothing);
    assert_eq!(answers[0], Answer::Busy { holder: None }, "free, but left alone");
    assert!(matches!(answers[1], Answer::Busy { holder: Some(_) }), "{:?}", answers[1]);
    assert_eq!(answers[2], Answer::Busy { holder: None });
    assert_eq!(scene.list("", None, 10), ["b"]);
    assert_eq!(scene.holder("b"), Some(fence));
}

fn all_or_nothing_counts_what_the_attempt_holds(scene: &mut Scene<'_>) {
    if !atomic(scene) {
        return;
    }
    let all = asks(scene, &["a", "b"]);
    let fence = scene.grant(&all[0]);
    let answers = scene.acquire_many(&all, How::AllOrNothing);
    assert!(matches!(answers[0], Answer::Granted { fence: same, .. } if same == fence));
    assert!(matches!(answers[1], Answer::Granted { .. }));
    let again = scene.acquire_many(&all, How::AllOrNothing);
    assert_eq!(again, answers, "asking again confirms");
}

fn all_or_nothing_refuses_a_name_twice(scene: &mut Scene<'_>) {
    if !atomic(scene) {
        return;
    }
    let all = asks(scene, &["a", "b", "a"]);
    let answers = scene.acquire_many(&all, How::AllOrNothing);
    assert!(answers.iter().all(|answer| matches!(answer, Answer::Busy { .. })), "{answers:?}");
    assert!(scene.list("", None, 10).is_empty(), "and grants nothing");
}

fn all_or_nothing_refuses_to_wait(scene: &mut Scene<'_>) {
    if !atomic(scene) {
        return;
    }
    let all = [scene.ask("a"), scene.patient("b")];
    let error = scene
        .try_acquire_many(Seat::First, &all, How::AllOrNothing)
        .expect_err("waiting for all while holding none needs a place in each queue");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.message().contains("\"b\""), "{error} should name the lock");
    assert!(scene.list("", None, 10).is_empty());
}

fn all_or_nothing_refuses_a_cancelled_attempt(scene: &mut Scene<'_>) {
    if !atomic(scene) {
        return;
    }
    let all = asks(scene, &["a", "b"]);
    scene.cancel(&all[1], TTL);
    let answers = scene.acquire_many(&all, How::AllOrNothing);
    assert_eq!(answers, [Answer::Busy { holder: None }, Answer::Cancelled]);
    assert!(scene.list("", None, 10).is_empty());
}

/// Whether the attempt is barred must be known before the first of its locks is granted.
fn all_or_nothing_refuses_an_expired_attempt(scene: &mut Scene<'_>) {
    if !atomic(scene) {
        return;
    }
    let all = asks(scene, &["a", "b"]);
    scene.grant(&all[1]);
    scene.pass(TTL + GRACE);
    let answers = scene.acquire_many(&all, How::AllOrNothing);
    assert_eq!(answers, [Answer::Busy { holder: None }, Answer::Cancelled]);
    assert!(scene.list("", None, 10).is_empty());
}

fn each_alone_answers_each(scene: &mut Scene<'_>) {
    let holder = scene.ask("busy");
    scene.grant(&holder);
    let gone = scene.ask("gone");
    scene.cancel(&gone, TTL);
    let all = [
        scene.ask("busy"),
        scene.ask("free"),
        scene.patient("busy"),
        gone,
        holder.clone(),
        scene.ask("free"),
    ];
    let answers = scene.acquire_many(&all, How::EachAlone);
    assert!(matches!(answers[0], Answer::Busy { .. }), "{:?}", answers[0]);
    assert!(matches!(answers[1], Answer::Granted { .. }), "{:?}", answers[1]);
    assert!(matches!(answers[2], Answer::Queued { first: true, .. }), "{:?}", answers[2]);
    assert_eq!(answers[3], Answer::Cancelled);
    assert!(matches!(answers[4], Answer::Granted { .. }), "{:?}", answers[4]);
    assert!(matches!(answers[5], Answer::Busy { .. }), "taken by the second: {:?}", answers[5]);
}

/// A store may send what is asked at once as one, but not what is all or nothing with anything else.
fn calls_at_once_are_answered_apart(scene: &mut Scene<'_>) {
    if !atomic(scene) {
        return;
    }
    let holder = scene.ask("busy");
    scene.grant(&holder);
    for kind in [Kind::Exclusive, Kind::Shared] {
        if kind == Kind::Shared && !scene.capabilities().kinds.shared {
            continue;
        }
        let asks: Vec<Ask> = (0..12)
            .map(|index| match index % 3 {
                0 => Ask { kind, ..scene.ask(&format!("free {kind:?} {index}")) },
                1 => Ask { kind, ..scene.ask("busy") },
                _ => Ask { kind, ..scene.patient("busy") },
            })
            .collect();
        let how = |index| if index % 3 == 2 { How::EachAlone } else { How::AllOrNothing };
        let calls = asks.chunks(1).enumerate().map(|(index, ask)| (ask, how(index)));
        let answers = scene.acquire_at_once(&calls.collect::<Vec<_>>());
        for (index, answer) in answers.iter().enumerate() {
            let right = match index % 3 {
                0 => matches!(answer[..], [Answer::Granted { .. }]),
                1 => matches!(answer[..], [Answer::Busy { holder: Some(_) }]),
                _ => matches!(answer[..], [Answer::Queued { .. }]),
            };
            assert!(right, "{kind:?}, call {index}: {answer:?}");
        }
    }
}

fn no_asks_have_no_answers(scene: &mut Scene<'_>) {
    assert!(scene.acquire_many(&[], How::EachAlone).is_empty());
    if scene.capabilities().atomic_multi {
        assert!(scene.acquire_many(&[], How::AllOrNothing).is_empty());
    }
}

fn all_or_nothing_does_not_overtake(scene: &mut Scene<'_>) {
    if !atomic(scene) {
        return;
    }
    let (holder, waiter) = (scene.ask("b"), scene.patient("b"));
    scene.grant(&holder);
    scene.queue(&waiter);
    scene.pass(TTL + GRACE);
    let all = asks(scene, &["a", "b"]);
    let answers = scene.acquire_many(&all, How::AllOrNothing);
    assert!(answers.iter().all(|answer| matches!(answer, Answer::Busy { .. })), "{answers:?}");
    scene.grant(&waiter);
}
