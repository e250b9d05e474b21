//! Double barriers: in together, out together, round after round, whoever dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use leasehold::options::HEARTBEAT;
use leasehold::{Barrier, ErrorKind, Inside, Release};
use tokio::time::timeout;

use crate::scene::{LONG, SHORT, SHORT_IS_OVER, Scene, after_polls, line};
use crate::{Case, cases};

pub(crate) const CASES: &[Case] = cases![
    alone:
        none_goes_in_before_all_have_come_and_none_out_before_all_leave,
        rounds_follow_each_other,
        who_comes_while_a_round_is_full_waits_for_the_next,
        those_who_wait_are_told_without_polling,
        a_wait_that_runs_out_is_a_timeout_and_leaves_nothing,
        who_waited_too_long_is_gone_when_it_is_told,
        one_that_leaves_late_holds_the_others_up,
        one_may_leave_without_waiting_and_wait_later,
        one_that_is_dropped_has_left,
        what_does_not_fit_is_refused,
        an_entry_that_is_dropped_leaves_nothing;
    processes:
        a_member_that_died_has_left,
        one_that_died_while_all_gathered_does_not_count;
];

const NAME: &str = "barrier";

fn barrier(scene: &Scene, client: usize, parties: u32) -> Barrier {
    scene.clients[client % 3].barrier(NAME, parties).ttl(LONG)
}

async fn enter(barrier: Barrier) -> Inside {
    barrier.enter(None).await.expect("all came")
}

async fn none_goes_in_before_all_have_come_and_none_out_before_all_leave(scene: Scene) {
    let mut waiting: Vec<_> =
        (0..2).map(|index| tokio::spawn(enter(barrier(&scene, index, 3)))).collect();
    scene.counts(NAME, 2, 0).await;
    assert!(waiting.iter().all(|task| !task.is_finished()), "one is missing");
    waiting.push(tokio::spawn(enter(barrier(&scene, 2, 3))));
    let mut inside = Vec::new();
    for task in waiting {
        inside.push(task.await.expect("no panic"));
    }
    assert!(inside.iter().all(|member| member.lease().is_held()));
    let last = inside.pop().expect("three");
    let leaving: Vec<_> = inside
        .into_iter()
        .map(|member| tokio::spawn(async move { member.leave(None).await }))
        .collect();
    scene.counts(NAME, 1, 0).await;
    assert!(leaving.iter().all(|task| !task.is_finished()), "one is still in");
    last.leave(None).await.expect("all left");
    for task in leaving {
        task.await.expect("no panic").expect("all left");
    }
    scene.free(NAME).await;
}

/// Five that go round and round: judged outside of the library, by counting who came and who left.
async fn rounds_follow_each_other(scene: Scene) {
    const PARTIES: usize = 5;
    const ROUNDS: usize = 8;
    let (came, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let members: Vec<_> = (0..PARTIES)
        .map(|index| {
            let barrier = barrier(&scene, index, PARTIES as u32);
            let (came, left) = (Arc::clone(&came), Arc::clone(&left));
            tokio::spawn(async move {
                for round in 1..=ROUNDS {
                    came.fetch_add(1, Ordering::SeqCst);
                    let inside = enter(barrier.clone()).await;
                    let seen = came.load(Ordering::SeqCst);
                    assert!(seen >= round * PARTIES, "in with {seen} in round {round}");
                    left.fetch_add(1, Ordering::SeqCst);
                    inside.leave(None).await.expect("all left");
                    let seen = left.load(Ordering::SeqCst);
                    assert!(seen >= round * PARTIES, "out with {seen} in round {round}");
                }
            })
        })
        .collect();
    for member in members {
        member.await.expect("no panic");
    }
    scene.free(NAME).await;
}

async fn who_comes_while_a_round_is_full_waits_for_the_next(scene: Scene) {
    let other = tokio::spawn(enter(barrier(&scene, 1, 2)));
    let first = enter(barrier(&scene, 0, 2)).await;
    let second = other.await.expect("no panic");
    // Its permit is free for the third, who must not pass for one of the round.
    let leaving = tokio::spawn(async move { first.leave(None).await });
    scene.counts(NAME, 1, 0).await;
    let third = tokio::spawn(enter(barrier(&scene, 2, 2)));
    let fourth = tokio::spawn(enter(barrier(&scene, 0, 2)));
    scene.counts(NAME, 2, 1).await;
    assert!(!third.is_finished() && !fourth.is_finished() && !leaving.is_finished());
    second.leave(None).await.expect("all left");
    leaving.await.expect("no panic").expect("all left");
    let (third, fourth) = (third.await.expect("no panic"), fourth.await.expect("no panic"));
    let leaving = tokio::spawn(async move { third.leave(None).await });
    fourth.leave(None).await.expect("all left");
    leaving.await.expect("no panic").expect("all left");
}

async fn those_who_wait_are_told_without_polling(scene: Scene) {
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let waits = barrier(&scene, 0, 2);
        let waiting = tokio::spawn(async move {
            let inside = enter(waits).await;
            (inside, Instant::now())
        });
        scene.counts(NAME, 1, 0).await;
        let begin = Instant::now();
        let second = enter(barrier(&scene, 1, 2)).await;
        let (first, at) = waiting.await.expect("no panic");
        quickest = quickest.min(at.saturating_duration_since(begin));
        let leaving = tokio::spawn(async move { first.leave(None).await });
        second.leave(None).await.expect("all left");
        leaving.await.expect("no panic").expect("all left");
    }
    println!("told after {quickest:.2?} at best");
    assert!(quickest < HEARTBEAT / 4, "{quickest:?}: that is a heartbeat's, not a push's");
}

async fn a_wait_that_runs_out_is_a_timeout_and_leaves_nothing(scene: Scene) {
    for limit in [0, 100] {
        let entering = barrier(&scene, 0, 2).enter(Some(Duration::from_millis(limit))).await;
        let error = entering.expect_err("nobody else came");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        scene.free(NAME).await;
    }
    // The one that gave up is not counted among those that come now.
    let first = tokio::spawn(enter(barrier(&scene, 1, 2)));
    scene.counts(NAME, 1, 0).await;
    assert!(!first.is_finished());
    let (second, first) = (enter(barrier(&scene, 2, 2)).await, first.await.expect("no panic"));
    drop((first, second));
    scene.free(NAME).await;
}

/// What is said to have gone is gone by then: whoever comes next must not be let in with it.
async fn who_waited_too_long_is_gone_when_it_is_told(scene: Scene) {
    for _ in 0..50 {
        let late = barrier(&scene, 0, 2).enter(Some(Duration::from_millis(5))).await;
        assert_eq!(late.expect_err("one is missing").kind(), ErrorKind::Timeout);
        let view = scene.clients[1].inspect(NAME).await.expect("a view");
        assert_eq!((view.holding, view.waiting), (0, 0));
    }
}

async fn one_that_leaves_late_holds_the_others_up(scene: Scene) {
    let other = tokio::spawn(enter(barrier(&scene, 1, 2)));
    let (first, second) = (enter(barrier(&scene, 0, 2)).await, other.await.expect("no panic"));
    let error = first.leave(Some(Duration::from_millis(100))).await.expect_err("one is still in");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    // It has left all the same.
    second.leave(Some(LONG)).await.expect("all left");
    scene.free(NAME).await;
}

async fn one_may_leave_without_waiting_and_wait_later(scene: Scene) {
    let other = tokio::spawn(enter(barrier(&scene, 1, 2)));
    let (first, second) = (enter(barrier(&scene, 0, 2)).await, other.await.expect("no panic"));
    assert_eq!(first.release().await, Release::Released);
    assert_eq!(first.release().await, Release::Repeated);
    let error = first.leave(Some(Duration::from_millis(100))).await.expect_err("one is still in");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    let leaving = tokio::spawn(async move { first.leave(None).await });
    // Far before its lease's end: the one that did not wait was seen to go.
    timeout(LONG / 10, second.leave(None)).await.expect("told").expect("all left");
    leaving.await.expect("no panic").expect("all left");
    scene.free(NAME).await;
}

async fn one_that_is_dropped_has_left(scene: Scene) {
    let other = tokio::spawn(enter(barrier(&scene, 1, 2)));
    let (first, second) = (enter(barrier(&scene, 0, 2)).await, other.await.expect("no panic"));
    drop(second);
    // Far before its lease's end.
    timeout(LONG / 10, first.leave(None)).await.expect("told").expect("all left");
    scene.free(NAME).await;
}

async fn what_does_not_fit_is_refused(scene: Scene) {
    for parties in [0, Barrier::MOST + 1, u32::MAX] {
        let error = barrier(&scene, 0, parties).enter(None).await.expect_err("so many can't be");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    }
    let inside = enter(barrier(&scene, 0, 1)).await;
    for other in [barrier(&scene, 1, 2), scene.clients[1].barrier("", 1)] {
        let error = other.enter(Some(LONG)).await.expect_err("it does not fit");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    }
    let latch = scene.clients[1].latch(NAME, 1);
    let error = latch.count_down(1).await.expect_err("it is a barrier");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    inside.leave(None).await.expect("alone");
    // Nothing of it is left that another number of parties could not fit.
    let second = tokio::spawn(enter(barrier(&scene, 1, 2)));
    drop(enter(barrier(&scene, 0, 2)).await);
    drop(second.await.expect("no panic"));
}

async fn an_entry_that_is_dropped_leaves_nothing(scene: Scene) {
    for polls in 1..30 {
        let barrier = barrier(&scene, 0, 2);
        let entering = after_polls(barrier.enter(None), polls);
        let entered = timeout(Duration::from_millis(150), entering).await;
        assert!(!matches!(entered, Ok(Some(_))), "the other never came");
        scene.free(NAME).await;
        assert_eq!(scene.clients[1].inspect(NAME).await.expect("a view").waiting, 0);
        if entered.is_err() {
            println!("dropped after each of {polls} polls, and while it waited");
            break;
        }
    }
    let first = tokio::spawn(enter(barrier(&scene, 1, 2)));
    scene.counts(NAME, 1, 0).await;
    assert!(!first.is_finished(), "none of those is counted");
    drop(enter(barrier(&scene, 2, 2)).await);
    drop(first.await.expect("no panic"));
}

async fn a_member_that_died_has_left(scene: Scene) {
    let ttl = SHORT.as_millis().to_string();
    let process = scene.party(&["enter", NAME, "2", &ttl]);
    let inside = tokio::spawn(enter(barrier(&scene, 0, 2)));
    let (mut process, _) = line(process, "entered").await;
    let inside = inside.await.expect("no panic");
    process.kill();
    let begin = Instant::now();
    timeout(SHORT_IS_OVER, inside.leave(None)).await.expect("seen").expect("it has left");
    println!("the dead member had left after {:.2?}", begin.elapsed());
    // And the next round begins without it.
    let first = tokio::spawn(enter(barrier(&scene, 1, 2)));
    let second = timeout(LONG / 10, enter(barrier(&scene, 2, 2))).await.expect("in");
    drop((first.await.expect("no panic"), second));
}

async fn one_that_died_while_all_gathered_does_not_count(scene: Scene) {
    let ttl = SHORT.as_millis().to_string();
    let process = scene.party(&["enter", NAME, "3", &ttl]);
    let (mut process, _) = line(process, "ready").await;
    let first = tokio::spawn(enter(barrier(&scene, 0, 3)));
    scene.counts(NAME, 2, 0).await;
    process.kill();
    // As long as its lease lasts, it counts: nobody can know.
    scene.counts(NAME, 1, 0).await;
    let second = tokio::spawn(enter(barrier(&scene, 1, 3)));
    scene.counts(NAME, 2, 0).await;
    assert!(!first.is_finished() && !second.is_finished(), "two entered as three");
    let third = timeout(LONG / 10, enter(barrier(&scene, 2, 3))).await.expect("in");
    drop((first.await.expect("no panic"), second.await.expect("no panic"), third));
}
