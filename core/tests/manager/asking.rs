//! The holder is asked first: it hears of the request, once, and only it does.

use std::sync::Arc;
use std::time::Duration;

use leasehold::store::{Evict, Evicted};
use leasehold::{AskBack, ErrorKind, LostReason, Release, Returned};

use super::scene::{LONG, SHORT, Scene, TTL, ask, asking, heard, hears_nothing, line};

pub(super) const CASES: &[super::Case] = super::cases![
    alone:
        a_holder_hears_and_gives_back,
        a_holder_that_holds_on_is_not_touched,
        then_it_may_be_evicted,
        a_request_from_before_it_listened_is_heard,
        a_late_request_is_no_later_tenures,
        of_two_requests_neither_ends_the_other,
        all_readers_and_all_permits_are_asked,
        a_writer_that_was_a_reader_hears,
        nobody_is_asked_where_nobody_holds,
        listening_ends_with_the_lease,
        listening_ends_with_one_of_several_leases,
        a_listener_is_called_for_each_request,
        a_dropped_request_ends_with_its_grace,
        the_longest_name_can_be_asked_for,
        wrong_requests_are_refused;
    processes:
        another_process_hears_and_gives_back,
        a_killed_holder_is_over_in_time;
];

async fn a_holder_hears_and_gives_back(scene: &Scene) {
    let lease = scene.held("asked").await;
    let asking = asking(&scene.clients[1], "asked", LONG);
    let request = heard(&lease).await;
    assert_eq!((request.why.as_str(), request.by.pid), ("it is needed", std::process::id()));
    assert_eq!(request.by.language, "rust");
    assert!(request.grace > LONG - Duration::from_secs(60) && request.grace <= LONG, "{request:?}");
    assert!(lease.is_held(), "nothing happens by itself");
    assert_eq!(lease.release().await, Release::Released);
    let Returned::GivenBack { fence, profile } =
        asking.await.expect("no panic").expect("an answer")
    else {
        panic!("it was given back");
    };
    assert_eq!((fence, profile.pid), (lease.fence(), std::process::id()));
    scene.nothing_left().await;
}

async fn a_holder_that_holds_on_is_not_touched(scene: &Scene) {
    let lease = scene.held("kept").await;
    let asking = asking(&scene.clients[1], "kept", SHORT);
    heard(&lease).await;
    let Returned::StillHeld { fence, others, .. } =
        asking.await.expect("no panic").expect("an answer")
    else {
        panic!("it is held");
    };
    assert_eq!((fence, others), (lease.fence(), vec![]));
    assert!(lease.is_held());
    // It is heard of once, and not at all when its grace is over.
    hears_nothing(&lease).await;
    lease.release().await;
    let next = scene.held("kept").await;
    hears_nothing(&next).await;
    next.release().await;
    scene.nothing_left().await;
}

async fn then_it_may_be_evicted(scene: &Scene) {
    let lease = scene.held("taken").await;
    let found = scene.clients[1].ask_back("taken", &ask(SHORT)).await.expect("an answer");
    let Returned::StillHeld { fence, .. } = found else { panic!("{found:?}") };
    let why = Evict { why: "it was asked".to_owned(), fence: Some(fence) };
    let evicted = scene.clients[1].evict("taken", &why).await.expect("an answer");
    assert!(matches!(evicted, Evicted::Evicted { fence, .. } if fence == lease.fence()));
    assert_eq!(lease.lost().await, LostReason::Revoked);
}

async fn a_request_from_before_it_listened_is_heard(scene: &Scene) {
    let owner = scene.clients[0].owner().expect("an owner");
    let lock = scene.clients[0].lock("before").ttl(TTL).owner(owner);
    // A second lease of the same tenure says when the request is there.
    let (probe, lease) =
        (lock.clone().await.expect("granted"), lock.clone().await.expect("granted"));
    let asking = asking(&scene.clients[1], "before", LONG);
    heard(&probe).await;
    let request = heard(&lease).await;
    assert_eq!(request.why, "it is needed");
    probe.release().await;
    lease.release().await;
    let found = asking.await.expect("no panic").expect("an answer");
    assert!(matches!(found, Returned::GivenBack { .. }), "{found:?}");
}

async fn a_late_request_is_no_later_tenures(scene: &Scene) {
    let first = scene.held("late").await;
    // While this one is on its way, the tenure that it is for ends and another begins.
    let asking = asking(&scene.clients[1], "late", LONG);
    heard(&first).await;
    let old = first.fence();
    first.release().await;
    let next = scene.held("late").await;
    hears_nothing(&next).await;
    let found = asking.await.expect("no panic").expect("an answer");
    assert!(matches!(found, Returned::GivenBack { fence, .. } if fence == old), "{found:?}");
    // And one that names the old tenure asks nobody.
    let late = AskBack { fence: Some(old), ..ask(LONG) };
    let found = scene.clients[1].ask_back("late", &late).await.expect("an answer");
    assert_eq!(found, Returned::NotHeld);
    hears_nothing(&next).await;
    assert!(next.is_held());
}

async fn of_two_requests_neither_ends_the_other(scene: &Scene) {
    let owner = scene.clients[0].owner().expect("an owner");
    let lock = scene.clients[0].lock("two").ttl(TTL).owner(owner);
    let (probe, lease) =
        (lock.clone().await.expect("granted"), lock.clone().await.expect("granted"));
    let patient = asking(&scene.clients[1], "two", LONG);
    heard(&probe).await;
    let found = scene.clients[2].ask_back("two", &ask(SHORT)).await.expect("an answer");
    assert!(matches!(found, Returned::StillHeld { .. }), "{found:?}");
    assert_eq!(heard(&probe).await.why, "it is needed", "the second request");
    // The patient one still stands, for whoever begins to listen now.
    heard(&lease).await;
    probe.release().await;
    lease.release().await;
    let found = patient.await.expect("no panic").expect("an answer");
    assert!(matches!(found, Returned::GivenBack { .. }), "{found:?}");
}

async fn all_readers_and_all_permits_are_asked(scene: &Scene) {
    let read = |client: usize| scene.clients[client].rwlock("read").read().ttl(TTL);
    let readers = [read(0).await.expect("granted"), read(1).await.expect("granted")];
    let asking_readers = asking(&scene.clients[2], "read", LONG);
    for reader in &readers {
        heard(reader).await;
        reader.release().await;
    }
    let found = asking_readers.await.expect("no panic").expect("an answer");
    assert!(matches!(found, Returned::GivenBack { .. }), "{found:?}");

    let permit = |client: usize| scene.clients[client].semaphore("permits", 3).permits(1).ttl(TTL);
    let permits = [permit(0).await.expect("granted"), permit(1).await.expect("granted")];
    let asking_permits = asking(&scene.clients[2], "permits", LONG);
    heard(&permits[0]).await;
    permits[0].release().await;
    heard(&permits[1]).await;
    assert!(!asking_permits.is_finished(), "one of them is still held");
    permits[1].release().await;
    let found = asking_permits.await.expect("no panic").expect("an answer");
    assert!(matches!(found, Returned::GivenBack { .. }), "{found:?}");

    let permits = [permit(0).await.expect("granted"), permit(1).await.expect("granted")];
    let found = scene.clients[2].ask_back("permits", &ask(SHORT)).await.expect("an answer");
    let Returned::StillHeld { fence, others, .. } = found else { panic!("{found:?}") };
    let mut numbers = permits.each_ref().map(|permit| permit.fence());
    numbers.sort_unstable();
    assert_eq!((fence, others), (numbers[0], vec![numbers[1]]));
    scene.nothing_left().await;
}

/// With the upgrade the fence changes, and with it where requests are looked for.
async fn a_writer_that_was_a_reader_hears(scene: &Scene) {
    let lease = scene.clients[0].rwlock("upgraded").read().ttl(TTL).await.expect("granted");
    let asking = {
        let mut listening = Box::pin(heard(&lease));
        // It listens as a reader when it becomes a writer.
        assert!(tokio::time::timeout(SHORT / 4, &mut listening).await.is_err());
        lease.upgrade().await.expect("the only reader");
        let asking = asking(&scene.clients[1], "upgraded", LONG);
        listening.await;
        asking
    };
    lease.release().await;
    let found = asking.await.expect("no panic").expect("an answer");
    assert!(matches!(found, Returned::GivenBack { fence, .. } if fence == lease.fence()));
}

async fn nobody_is_asked_where_nobody_holds(scene: &Scene) {
    let free = scene.clients[1].ask_back("free", &ask(LONG)).await.expect("an answer");
    assert_eq!(free, Returned::NotHeld);
    let lease = scene.held("other").await;
    let another = AskBack { fence: Some(lease.fence() + 1), ..ask(LONG) };
    let found = scene.clients[1].ask_back("other", &another).await.expect("an answer");
    assert_eq!(found, Returned::NotHeld);
    scene.nothing_left().await;
}

async fn listening_ends_with_the_lease(scene: &Scene) {
    let lease = Arc::new(scene.held("ended").await);
    let listening = tokio::spawn({
        let lease = Arc::clone(&lease);
        async move { lease.asked_back().await }
    });
    lease.release().await;
    assert_eq!(listening.await.expect("no panic").expect("no error"), None);
    assert_eq!(lease.asked_back().await.expect("no error"), None);

    let lost = scene.clients[0].lock("lost").ttl(SHORT).fixed_term().await.expect("granted");
    assert_eq!(lost.asked_back().await.expect("no error"), None);
    assert_eq!(lost.lost_reason(), Some(LostReason::Expired));

    let client = scene.alone();
    let lease = client.lock("shut").ttl(TTL).await.expect("granted");
    let listening = tokio::spawn(async move { lease.asked_back().await });
    assert!(client.shutdown(LONG).await);
    assert_eq!(listening.await.expect("no panic").expect("no error"), None);
}

async fn listening_ends_with_one_of_several_leases(scene: &Scene) {
    let owner = scene.clients[0].owner().expect("an owner");
    let lock = scene.clients[0].lock("entered").ttl(TTL).owner(owner);
    let (outer, inner) =
        (lock.clone().await.expect("granted"), Arc::new(lock.clone().await.expect("granted")));
    let listening = tokio::spawn({
        let inner = Arc::clone(&inner);
        async move { inner.asked_back().await }
    });
    inner.release().await;
    assert_eq!(listening.await.expect("no panic").expect("no error"), None);
    let asking = asking(&scene.clients[1], "entered", LONG);
    heard(&outer).await;
    outer.release().await;
    asking.await.expect("no panic").expect("an answer");
}

async fn a_listener_is_called_for_each_request(scene: &Scene) {
    let lease = scene.held("called").await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    lease.on_asked_back(move |request| {
        let _ = tell.send(request.why);
    });
    for round in 0..3 {
        let asked = AskBack { why: format!("round {round}"), ..ask(LONG) };
        let asking = {
            let client = scene.clients[1].clone();
            tokio::spawn(async move { client.ask_back("called", &asked).await })
        };
        assert_eq!(told.recv().await, Some(format!("round {round}")));
        asking.abort();
    }
    lease.release().await;
    // The listener goes with the lease.
    if let Some(late) = told.recv().await {
        panic!("{late} after the release");
    }
}

async fn a_dropped_request_ends_with_its_grace(scene: &Scene) {
    let lease = scene.held("dropped").await;
    let asking = asking(&scene.clients[1], "dropped", Duration::from_secs(2));
    heard(&lease).await;
    asking.abort();
    assert!(asking.await.is_err_and(|error| error.is_cancelled()));
    scene.nothing_left().await;
    assert!(lease.is_held());
}

async fn the_longest_name_can_be_asked_for(scene: &Scene) {
    let name = "ä".repeat(512);
    let lease = scene.held(&name).await;
    let asking = asking(&scene.clients[1], &name, LONG);
    heard(&lease).await;
    lease.release().await;
    let found = asking.await.expect("no panic").expect("an answer");
    assert!(matches!(found, Returned::GivenBack { .. }), "{found:?}");
}

async fn wrong_requests_are_refused(scene: &Scene) {
    let lease = scene.held("wrong").await;
    let long = "x".repeat(257);
    let table = [
        ("", ask(LONG), "the lock name"),
        ("wrong", ask(Duration::ZERO), "grace is 0ns"),
        ("wrong", ask(Duration::MAX), "grace is"),
        ("wrong", AskBack { why: long, ..ask(LONG) }, "the reason has 257 bytes"),
    ];
    for (name, request, words) in table {
        let error = scene.clients[1].ask_back(name, &request).await.expect_err(words);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(error.message().contains(words), "{error}");
    }
    hears_nothing(&lease).await;
}

async fn another_process_hears_and_gives_back(scene: &Scene) {
    let (mut holder, granted) = line(scene.holder("far"), "granted").await;
    let fence: u64 = granted.split(' ').next().expect("a fence").parse().expect("a number");
    holder.say("listen");
    let (holder, _) = line(holder, "listening").await;
    let asking = asking(&scene.clients[1], "far", LONG);
    let (mut holder, asked) = line(holder, "asked").await;
    assert_eq!(asked, format!("{} it is needed", std::process::id()));
    holder.say("release");
    let (_holder, _) = line(holder, "released Released").await;
    let found = asking.await.expect("no panic").expect("an answer");
    assert!(matches!(found, Returned::GivenBack { fence: other, .. } if other == fence));
}

async fn a_killed_holder_is_over_in_time(scene: &Scene) {
    let (mut holder, _) = line(scene.holder_for("killed", "1000"), "granted").await;
    let asking = asking(&scene.clients[1], "killed", LONG);
    holder.kill();
    let found = asking.await.expect("no panic").expect("an answer");
    assert!(matches!(found, Returned::GivenBack { .. }), "{found:?}");
}
