//! Elections: who leads is told to all, and a leader that is none any more can't say anything.

use std::time::{Duration, Instant};

use leasehold::options::HEARTBEAT;
use leasehold::store::Evict;
use leasehold::{Client, Election, ErrorKind, Leader, LostReason, Observer, Release};
use tokio::time::timeout;

use crate::scene::{LONG, SHORT, SHORT_IS_OVER, Scene, after_polls, line};
use crate::{Case, cases};

pub(crate) const CASES: &[Case] = cases![
    alone:
        one_leads_and_all_are_told,
        what_the_leader_says_is_told_without_polling,
        a_leader_that_resigned_leads_no_more,
        a_leader_that_is_dropped_is_gone_before_its_lease,
        a_deposed_leader_says_nothing_more,
        a_deposed_leader_is_not_shown_for_its_successor,
        fences_that_are_shown_only_grow,
        of_many_candidates_each_leads_once,
        a_lead_that_is_taken_is_not_waited_for,
        a_value_that_is_too_long_is_refused,
        a_lease_that_was_not_proclaimed_is_no_leader,
        a_campaign_that_is_dropped_leaves_nothing,
        an_observer_that_is_dropped_goes_on_where_it_was,
        a_client_that_is_shut_down_ends_its_observers;
    processes:
        a_killed_leader_is_followed_and_all_are_told,
        a_stopped_leader_is_deposed;
];

const NAME: &str = "primary";

async fn next(observer: &mut Observer) -> Option<Leader> {
    observer.next().await.expect("the store answers")
}

/// Waits until the observer shows what is wanted.
async fn shows(observer: &mut Observer, what: impl Fn(&Option<Leader>) -> bool) -> Option<Leader> {
    loop {
        let found = next(observer).await;
        if what(&found) {
            return found;
        }
    }
}

fn election(client: &Client) -> Election {
    client.election(NAME)
}

async fn one_leads_and_all_are_told(scene: Scene) {
    let mut observers = scene.clients.each_ref().map(|client| election(client).observe());
    for observer in &mut observers {
        assert_eq!(next(observer).await, None, "nobody leads yet");
    }
    let first =
        election(&scene.clients[0]).campaign().value("one").note("first").await.expect("won");
    assert!(first.is_leader());
    for observer in &mut observers {
        let leader = next(observer).await.expect("one leads");
        assert_eq!((leader.fence, &leader.value[..]), (first.fence(), &b"one"[..]));
        assert_eq!(
            (leader.profile.note.as_str(), leader.profile.pid),
            ("first", std::process::id())
        );
    }
    let second = election(&scene.clients[1]).campaign().value("two").acquire();
    let second = tokio::spawn(second);
    assert_eq!(first.resign().await, Release::Released);
    let second = second.await.expect("no panic").expect("won");
    for observer in &mut observers {
        let leader = shows(observer, Option::is_some).await.expect("the second leads");
        assert_eq!((leader.fence, &leader.value[..]), (second.fence(), &b"two"[..]));
        assert!(leader.profile.note.is_empty());
    }
    assert_eq!(
        election(&scene.clients[2]).leader().await.expect("an answer").map(|it| it.fence),
        Some(second.fence())
    );
}

async fn what_the_leader_says_is_told_without_polling(scene: Scene) {
    let leadership = election(&scene.clients[0]).campaign().value("0").await.expect("won");
    let mut observer = election(&scene.clients[1]).observe();
    next(&mut observer).await.expect("one leads");
    let mut quickest = Duration::MAX;
    for round in 1..=8_u8 {
        // The observer watches before the leader speaks.
        let watching = tokio::spawn(async move {
            let leader = next(&mut observer).await;
            (observer, leader, Instant::now())
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let begin = Instant::now();
        leadership.proclaim([round]).await.expect("it leads");
        let (back, leader, at) = watching.await.expect("no panic");
        observer = back;
        assert_eq!(leader.expect("it leads").value, [round]);
        quickest = quickest.min(at.saturating_duration_since(begin));
    }
    println!("told after {quickest:.2?} at best");
    assert!(quickest < HEARTBEAT / 4, "{quickest:?}: that is a heartbeat's, not a push's");
}

async fn a_leader_that_resigned_leads_no_more(scene: Scene) {
    let leadership = election(&scene.clients[0]).campaign().ttl(LONG).await.expect("won");
    let mut observer = election(&scene.clients[1]).observe();
    assert_eq!(next(&mut observer).await.expect("one leads").value, b"");
    assert_eq!(leadership.resign().await, Release::Released);
    assert_eq!(leadership.resign().await, Release::Repeated);
    let error = leadership.proclaim("late").await.expect_err("it leads no more");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error:?}");
    // Far before the lease's end.
    let found = timeout(LONG / 10, next(&mut observer)).await.expect("told");
    assert_eq!(found, None);
}

async fn a_leader_that_is_dropped_is_gone_before_its_lease(scene: Scene) {
    let leadership =
        election(&scene.clients[0]).campaign().ttl(LONG).value("x").await.expect("won");
    let mut observer = election(&scene.clients[1]).observe();
    next(&mut observer).await.expect("one leads");
    drop(leadership);
    let found = timeout(LONG / 10, next(&mut observer)).await.expect("told");
    assert_eq!(found, None);
    scene.free(NAME).await;
}

async fn a_deposed_leader_says_nothing_more(scene: Scene) {
    let old = election(&scene.clients[0]).campaign().value("old").ttl(LONG).await.expect("won");
    let evict = Evict { why: "a test".to_owned(), fence: None };
    scene.clients[2].evict(NAME, &evict).await.expect("an answer");
    let new = election(&scene.clients[1]).campaign().value("new").await.expect("won");
    assert!(old.is_leader(), "it could not know yet");
    let error = old.proclaim("late").await.expect_err("it is none any more");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error:?}");
    assert_eq!(error.lost_reason(), Some(LostReason::Superseded));
    let leader = election(&scene.clients[2]).leader().await.expect("an answer").expect("one leads");
    assert_eq!((leader.fence, &leader.value[..]), (new.fence(), &b"new"[..]));
    // It tells nobody that the other's lead is over.
    drop(old);
    new.proclaim("still").await.expect("it leads");
    let leader = election(&scene.clients[2]).leader().await.expect("an answer").expect("one leads");
    assert_eq!(leader.value, b"still");
}

/// Its value is still there, and the lock is held: by one who has said nothing yet.
async fn a_deposed_leader_is_not_shown_for_its_successor(scene: Scene) {
    let old = election(&scene.clients[0]).campaign().value("old").ttl(LONG).await.expect("won");
    let mut observer = election(&scene.clients[2]).observe();
    assert_eq!(next(&mut observer).await.map(|it| it.fence), Some(old.fence()));
    let evict = Evict { why: "a test".to_owned(), fence: None };
    scene.clients[2].evict(NAME, &evict).await.expect("an answer");
    let successor = scene.clients[1].lock(NAME).ttl(LONG).await.expect("free");
    assert!(successor.fence() > old.fence());
    assert_eq!(election(&scene.clients[2]).leader().await.expect("an answer"), None);
    // The same for one that saw the old one lead, once it looks.
    drop(old);
    assert_eq!(next(&mut observer).await, None);
}

async fn fences_that_are_shown_only_grow(scene: Scene) {
    let mut observer = election(&scene.clients[2]).observe();
    let watching = tokio::spawn(async move {
        let mut seen = Vec::new();
        loop {
            let Some(leader) = next(&mut observer).await else { continue };
            seen.push(leader.fence);
            if leader.value == b"last" {
                return seen;
            }
        }
    });
    let mut last = 0;
    for round in 0..20 {
        let value = if round == 19 { "last" } else { "" };
        let client = &scene.clients[round % 2];
        let leadership = election(client).campaign().value(value).await.expect("won");
        assert!(leadership.fence() > last);
        last = leadership.fence();
        match round {
            19 => {
                let seen = watching.await.expect("no panic");
                println!("{} of 20 leaders were shown", seen.len());
                assert!(seen.is_sorted() && seen.last() == Some(&last), "{seen:?}");
                return;
            }
            _ if round % 3 == 0 => drop(leadership),
            _ => drop(leadership.resign().await),
        }
    }
}

async fn of_many_candidates_each_leads_once(scene: Scene) {
    let candidates: Vec<_> = (0..12)
        .map(|index: usize| {
            let campaign = election(&scene.clients[index % 3]).campaign().value([index as u8]);
            tokio::spawn(async move {
                let leadership = campaign.await.expect("won in the end");
                let fence = leadership.fence();
                leadership.proclaim("mine").await.expect("it leads");
                leadership.resign().await;
                fence
            })
        })
        .collect();
    let mut fences = Vec::new();
    for candidate in candidates {
        fences.push(candidate.await.expect("no panic"));
    }
    fences.sort_unstable();
    fences.dedup();
    assert_eq!(fences.len(), 12);
    assert_eq!(election(&scene.clients[0]).leader().await.expect("an answer"), None);
}

async fn a_lead_that_is_taken_is_not_waited_for(scene: Scene) {
    let _leadership = election(&scene.clients[0]).campaign().await.expect("won");
    let other = election(&scene.clients[1]);
    assert!(other.campaign().try_acquire().await.expect("an answer").is_none());
    let late = other.campaign().wait(Duration::from_millis(200)).await.expect_err("it is led");
    assert_eq!(late.kind(), ErrorKind::Timeout, "{late:?}");
}

async fn a_value_that_is_too_long_is_refused(scene: Scene) {
    let long = vec![7; Election::MAX_VALUE];
    let longer = vec![7; Election::MAX_VALUE + 1];
    let campaign = election(&scene.clients[0]).campaign();
    let error = campaign.clone().value(longer.clone()).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    scene.free(NAME).await;
    let leadership = campaign.value(long.clone()).await.expect("the longest");
    let leader = election(&scene.clients[1]).leader().await.expect("an answer").expect("one leads");
    assert!(leader.value == long);
    let error = leadership.proclaim(longer).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    assert!(leadership.is_leader());
    for name in ["", &"x".repeat(1025)] {
        let election = scene.clients[0].election(name);
        let error = election.campaign().await.expect_err("no name");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        let error = election.leader().await.expect_err("no name");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    }
}

async fn a_lease_that_was_not_proclaimed_is_no_leader(scene: Scene) {
    let mut observer = election(&scene.clients[1]).observe();
    assert_eq!(next(&mut observer).await, None);
    let lease = scene.clients[0].lock(NAME).await.expect("free");
    assert_eq!(election(&scene.clients[1]).leader().await.expect("an answer"), None);
    lease.release().await;
    let leadership = election(&scene.clients[0]).campaign().await.expect("won");
    assert_eq!(next(&mut observer).await.map(|it| it.fence), Some(leadership.fence()));
}

async fn a_campaign_that_is_dropped_leaves_nothing(scene: Scene) {
    for polls in 1.. {
        let campaign = election(&scene.clients[0]).campaign().ttl(LONG).value("dropped").acquire();
        let won = after_polls(campaign, polls).await;
        let whole = won.is_some();
        drop(won);
        scene.free(NAME).await;
        let waiting = scene.clients[1].inspect(NAME).await.expect("a view").waiting;
        assert_eq!(waiting, 0, "after {polls} polls");
        let leader = election(&scene.clients[1]).leader().await.expect("an answer");
        assert_eq!(leader, None, "after {polls} polls");
        if whole {
            println!("dropped after each of {polls} polls");
            return;
        }
    }
}

async fn an_observer_that_is_dropped_goes_on_where_it_was(scene: Scene) {
    let mut observer = election(&scene.clients[1]).observe();
    assert_eq!(next(&mut observer).await, None);
    for span in [0, 1, 20] {
        timeout(Duration::from_millis(span), observer.next()).await.expect_err("nothing changed");
    }
    let leadership = election(&scene.clients[0]).campaign().value("x").await.expect("won");
    assert_eq!(next(&mut observer).await.map(|it| it.fence), Some(leadership.fence()));
}

async fn a_client_that_is_shut_down_ends_its_observers(scene: Scene) {
    let mut observer = election(&scene.clients[1]).observe();
    assert_eq!(next(&mut observer).await, None);
    let watching = tokio::spawn(async move { observer.next().await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Not whether that was in time: it waits for what other cases give back, too.
    scene.clients[1].shutdown(Duration::from_secs(5)).await;
    let error = watching.await.expect("no panic").expect_err("it was shut down");
    assert_eq!(error.kind(), ErrorKind::ShutDown, "{error:?}");
}

async fn a_killed_leader_is_followed_and_all_are_told(scene: Scene) {
    let ttl = SHORT.as_millis().to_string();
    let (mut process, fence) = line(scene.party(&["lead", NAME, &ttl, "theirs"]), "leading ").await;
    let fence: u64 = fence.parse().expect("a fence");
    let mut observers = [1, 2].map(|index: usize| election(&scene.clients[index]).observe());
    for observer in &mut observers {
        let leader = next(observer).await.expect("one leads");
        assert_eq!((leader.fence, &leader.value[..]), (fence, &b"theirs"[..]));
        assert_eq!(leader.profile.pid, process.id());
    }
    process.kill();
    // Nobody follows: that is told by nobody, and must be seen.
    let begin = Instant::now();
    let found = timeout(SHORT_IS_OVER, next(&mut observers[0])).await.expect("seen");
    println!("the killed leader was gone after {:.2?}", begin.elapsed());
    assert_eq!(found, None);
    let campaign = election(&scene.clients[0]).campaign().value("mine").acquire();
    let leadership = timeout(SHORT_IS_OVER, campaign).await.expect("soon").expect("won");
    assert!(leadership.fence() > fence);
    for observer in &mut observers {
        let leader = shows(observer, Option::is_some).await.expect("one leads");
        assert_eq!((leader.fence, &leader.value[..]), (leadership.fence(), &b"mine"[..]));
    }
}

async fn a_stopped_leader_is_deposed(scene: Scene) {
    let ttl = SHORT.as_millis().to_string();
    let (process, _) = line(scene.party(&["lead", NAME, &ttl, "theirs"]), "leading ").await;
    process.stop();
    let campaign = election(&scene.clients[0]).campaign().value("mine").acquire();
    let leadership = timeout(SHORT_IS_OVER, campaign).await.expect("soon").expect("won");
    process.wake();
    let mut process = process;
    process.say("proclaim late");
    let (_process, answer) = line(process, "proclaimed ").await;
    assert_eq!(answer, "LOCK_LOST");
    let leader = election(&scene.clients[1]).leader().await.expect("an answer").expect("one leads");
    assert_eq!((leader.fence, &leader.value[..]), (leadership.fence(), &b"mine"[..]));
}
