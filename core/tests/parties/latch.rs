//! Latches: counted down once per call, opened once, and forgotten some time later.

use std::time::{Duration, Instant};

use leasehold::options::HEARTBEAT;
use leasehold::{ErrorKind, Latch};
use tokio::time::timeout;

use crate::scene::{Scene, after_polls, line};
use crate::{Case, cases};

pub(crate) const CASES: &[Case] = cases![
    alone:
        it_opens_when_all_have_counted,
        it_stays_open_and_never_goes_below_zero,
        each_of_many_calls_counts_once,
        those_who_wait_are_told_without_polling,
        a_wait_that_runs_out_is_a_timeout,
        what_does_not_fit_is_refused,
        a_call_that_is_dropped_counts_once_or_not_at_all,
        a_wait_that_is_dropped_leaves_nothing;
    processes:
        processes_count_together;
];

fn latch(scene: &Scene, client: usize, count: u64) -> Latch {
    scene.clients[client].latch("latch", count)
}

async fn down(latch: &Latch, count: u64) -> u64 {
    latch.count_down(count).await.expect("the store answers")
}

async fn it_opens_when_all_have_counted(scene: Scene) {
    let latches = [0, 1, 2].map(|client| latch(&scene, client, 4));
    assert_eq!(latches[2].count().await.expect("an answer"), 4, "nobody counted yet");
    let waits = [0, 1, 2].map(|client| {
        let latch = latches[client].clone();
        tokio::spawn(async move { latch.wait(None).await })
    });
    assert_eq!(down(&latches[0], 1).await, 3);
    assert_eq!(down(&latches[1], 2).await, 1);
    assert_eq!(latches[2].count().await.expect("an answer"), 1);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(waits.iter().all(|wait| !wait.is_finished()));
    assert_eq!(down(&latches[0], 1).await, 0);
    for wait in waits {
        wait.await.expect("no panic").expect("it opened");
    }
}

async fn it_stays_open_and_never_goes_below_zero(scene: Scene) {
    let latch = latch(&scene, 0, 3);
    assert_eq!(down(&latch, 100).await, 0);
    for _ in 0..2 {
        assert_eq!(down(&latch, 1).await, 0);
        assert_eq!(latch.count().await.expect("an answer"), 0);
        latch.wait(None).await.expect("open");
        latch.wait(Some(Duration::ZERO)).await.expect("open");
    }
}

async fn each_of_many_calls_counts_once(scene: Scene) {
    const CALLS: u64 = 20;
    // Two tasks share each object, and two objects each client.
    let objects: Vec<Latch> =
        (0..6).map(|index| latch(&scene, index % 3, 12 * CALLS + 1)).collect();
    let tasks: Vec<_> = (0..12)
        .map(|index| {
            let latch = objects[index % 6].clone();
            tokio::spawn(async move {
                for _ in 0..CALLS {
                    down(&latch, 1).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(objects[0].count().await.expect("an answer"), 1);
}

async fn those_who_wait_are_told_without_polling(scene: Scene) {
    let mut quickest = Duration::MAX;
    for round in 0..6 {
        let name = format!("quick {round}");
        let (waits, counts) = (scene.clients[0].latch(&name, 1), scene.clients[1].latch(&name, 1));
        let waiting = tokio::spawn(async move {
            waits.wait(None).await.expect("it opened");
            Instant::now()
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let begin = Instant::now();
        down(&counts, 1).await;
        let at = waiting.await.expect("no panic");
        quickest = quickest.min(at.saturating_duration_since(begin));
    }
    println!("told after {quickest:.2?} at best");
    assert!(quickest < HEARTBEAT / 4, "{quickest:?}: that is a heartbeat's, not a push's");
}

async fn a_wait_that_runs_out_is_a_timeout(scene: Scene) {
    let latch = latch(&scene, 0, 2);
    for limit in [0, 100] {
        let begin = Instant::now();
        let limit = Duration::from_millis(limit);
        let error = latch.wait(Some(limit)).await.expect_err("it is not open");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        assert!(begin.elapsed() >= limit);
        down(&latch, 1).await;
        if limit.is_zero() {
            assert_eq!(latch.count().await.expect("an answer"), 1);
        }
    }
    latch.wait(Some(Duration::ZERO)).await.expect("open");
}

async fn what_does_not_fit_is_refused(scene: Scene) {
    let three = latch(&scene, 0, 3);
    down(&three, 1).await;
    let refused = |what: &'static str, error: leasehold::Error| {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{what}: {error:?}");
        error.message().to_owned()
    };
    let other = latch(&scene, 1, 5);
    let said = refused("another count", other.count_down(1).await.expect_err("it has 3"));
    assert!(said.contains('3') && said.contains('5'), "{said}");
    refused("another count", other.count().await.expect_err("it has 3"));
    refused("another count", other.wait(None).await.expect_err("it has 3"));
    refused("by none", three.count_down(0).await.expect_err("zero"));
    refused("of none", latch(&scene, 0, 0).wait(None).await.expect_err("zero"));
    let brief = latch(&scene, 0, 3).keep(Duration::from_secs(59));
    refused("too brief", brief.count().await.expect_err("less than a minute"));
    refused("too long", three.wait(Some(Duration::MAX)).await.expect_err("no such wait"));
    refused("no name", scene.clients[0].latch("", 1).count().await.expect_err("empty"));
    // One name, several kinds.
    let campaign = scene.clients[0].election("latch").campaign().acquire();
    let said = refused("an election", campaign.await.expect_err("it is a latch"));
    assert!(said.contains("latch") && said.contains("election"), "{said}");
    let barrier = scene.clients[0].barrier("latch", 2).enter(None).await;
    refused("a barrier", barrier.expect_err("it is a latch"));
    scene.free("latch").await;
    assert_eq!(three.count().await.expect("an answer"), 2, "it is as it was");
}

async fn a_call_that_is_dropped_counts_once_or_not_at_all(scene: Scene) {
    for polls in 1.. {
        let name = format!("dropped {polls}");
        let latch = scene.clients[0].latch(&name, 3);
        let done = after_polls(latch.count_down(1), polls).await;
        // The same object goes on, and its next call counts.
        let left = down(&latch, 1).await;
        assert!(left == 1 || (left == 2 && done.is_none()), "{left} left after {polls} polls");
        // The dropped one may still be on its way, and is then late.
        let other = scene.clients[1].latch(&name, 3).count().await.expect("an answer");
        assert!(other == left, "{left} left, then {other}");
        if done.is_some() {
            println!("dropped after each of {polls} polls");
            return;
        }
    }
}

async fn a_wait_that_is_dropped_leaves_nothing(scene: Scene) {
    let latch = latch(&scene, 0, 1);
    for polls in 1..6 {
        let waited =
            timeout(Duration::from_millis(100), after_polls(latch.wait(None), polls)).await;
        assert!(!matches!(waited, Ok(Some(_))), "it is not open");
    }
    assert_eq!(down(&latch, 1).await, 0);
    latch.wait(None).await.expect("open");
}

async fn processes_count_together(scene: Scene) {
    let latch = latch(&scene, 0, 31);
    let mut processes: Vec<_> =
        (0..3).map(|_| scene.party(&["count", "latch", "31", "10"])).collect();
    for process in std::mem::take(&mut processes) {
        let (process, _) = line(process, "counted").await;
        processes.push(process);
    }
    assert_eq!(latch.count().await.expect("an answer"), 1);
    let mut waiting = Vec::new();
    for mut process in processes {
        process.say("wait");
        waiting.push(line(process, "waits").await.0);
    }
    waiting[0].kill();
    assert_eq!(down(&latch, 1).await, 0);
    for process in waiting.into_iter().skip(1) {
        let (_process, answer) = line(process, "waited ").await;
        assert_eq!(answer, "ok");
    }
}
