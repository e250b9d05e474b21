//! Several locks, all or none: never a part of them, no circle of waiters, few requests. In virtual time;
//! what a thousand of them cost a real server is in faults/crowds.rs.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use common::{Stage, millis, seconds};
use leasehold::store::{Evict, Kind};
use leasehold::{Client, ErrorKind, Lease, LockAll, LostReason, Release};
use leasehold_testkit::property;
use proptest::strategy::Strategy;

const NAMES: [&str; 4] = ["d", "b", "a", "c"];

fn all(client: &Client, names: &[&str]) -> LockAll {
    client.lock_all(names.iter().map(|name| client.lock(name)).collect::<Vec<_>>())
}

fn take(stage: &Stage, client: &Client, name: &str) -> Lease {
    stage.world.run(client.lock(name).acquire()).expect("free")
}

fn held(stage: &Stage) -> Vec<&'static str> {
    NAMES.into_iter().filter(|name| stage.holder(name).is_some()).collect()
}

#[test]
fn all_are_taken_in_the_order_of_the_list() {
    let stage = Stage::new();
    let leases = stage.world.run(all(&stage.client, &NAMES).acquire()).expect("free");
    let names: Vec<&str> = leases.iter().map(|lease| lease.name().as_str()).collect();
    assert_eq!(names, NAMES);
    assert!(leases.is_held());
    assert!(leases.remaining() > seconds(29) && leases.remaining() < seconds(30));
    leases.check(seconds(20)).expect("enough is left");
    for (lease, name) in leases.iter().zip(NAMES) {
        assert_eq!(stage.holder(name).map(|holder| holder.fence), Some(lease.fence()));
    }
    assert_eq!(stage.world.run(leases.release()), [Release::Released; 4]);
    assert_eq!(held(&stage), [""; 0]);
    assert_eq!(stage.world.run(leases.release()), [Release::Repeated; 4]);
    let none = stage.world.run(all(&stage.client, &[]).acquire()).expect("nothing to wait for");
    assert!(none.is_empty() && none.is_held());
}

#[test]
fn one_that_is_taken_leaves_the_others_free() {
    let stage = Stage::new();
    for busy in NAMES {
        let lease = take(&stage, &stage.other, busy);
        let got = stage.world.run(all(&stage.client, &NAMES).try_acquire()).expect("an answer");
        assert!(got.is_none());
        assert_eq!(held(&stage), [busy]);
        let late = stage.world.run(all(&stage.client, &NAMES).wait(millis(300)).acquire());
        assert_eq!(late.expect_err("it is held").kind(), ErrorKind::Timeout);
        assert_eq!(held(&stage), [busy]);
        stage.world.run(lease.release());
    }
}

#[test]
fn those_that_are_taken_are_waited_for_in_the_order_of_names() {
    let stage = Stage::new();
    let (b, d) = (take(&stage, &stage.other, "b"), take(&stage, &stage.other, "d"));
    let mut taking = Box::pin(all(&stage.client, &NAMES).acquire());
    assert!(stage.world.poll_once(taking.as_mut()).is_pending());
    let holds = |name: &str, mine: bool| {
        assert_eq!(stage.holder(name).is_some(), mine, "{name}");
    };
    holds("a", true);
    assert_eq!((stage.view("b").waiting, stage.view("d").waiting), (1, 0));
    holds("c", false);
    stage.world.run(b.release());
    stage.world.settle();
    assert!(stage.world.poll_once(taking.as_mut()).is_pending());
    holds("c", true);
    assert_eq!(stage.view("d").waiting, 1);
    stage.world.run(d.release());
    let leases = stage.world.run(taking).expect("all are free");
    assert!(leases.is_held());
}

/// All or none: one whose term ran out while another was waited for is taken anew, with the others.
#[test]
fn one_that_is_lost_during_the_wait_is_no_part_of_all() {
    let stage = Stage::new();
    let b = take(&stage, &stage.other, "b");
    let short = || {
        let a = stage.client.lock("a").ttl(seconds(1)).fixed_term();
        stage.client.lock_all([a, stage.client.lock("b")])
    };
    let mut taking = Box::pin(short().acquire());
    assert!(stage.world.poll_once(taking.as_mut()).is_pending());
    stage.world.advance(seconds(3));
    assert!(stage.world.poll_once(taking.as_mut()).is_pending());
    stage.world.run(b.release());
    let leases = stage.world.run(taking).expect("both are free");
    assert!(leases.is_held());
    stage.world.run(leases.release());

    let _b = take(&stage, &stage.other, "b");
    let late = stage.world.run(short().wait(seconds(3)).acquire());
    assert_eq!(late.expect_err("it is held").kind(), ErrorKind::Timeout);
    assert_eq!(held(&stage), ["b"]);
}

#[test]
fn what_is_dropped_at_any_point_leaves_nothing() {
    for polls in 0.. {
        let stage = Stage::new();
        let (b, d) = (take(&stage, &stage.other, "b"), take(&stage, &stage.other, "d"));
        let mut obstacles = vec![d, b];
        let mut taking = Box::pin(all(&stage.client, &NAMES).acquire());
        let mut done = false;
        for poll in 0..polls {
            if let Poll::Ready(leases) = stage.world.poll_once(taking.as_mut()) {
                drop(leases.expect("free"));
                done = true;
                break;
            }
            if poll % 2 == 0
                && let Some(lease) = obstacles.pop()
            {
                stage.world.run(lease.release());
            }
            stage.world.settle();
        }
        drop(taking);
        drop(obstacles);
        stage.world.settle();
        for name in NAMES {
            let view = stage.view(name);
            assert!(view.holder.is_none() && view.waiting == 0, "after {polls} polls: {view:?}");
        }
        if done {
            assert!(polls > 3, "it waited for nothing");
            return;
        }
    }
}

/// Four tasks in two processes with lists that overlap in every order: all of them get through, and no
/// two hold a name at once.
#[test]
fn lists_in_any_order_wait_for_each_other_in_no_circle() {
    let lists = proptest::collection::vec(
        proptest::sample::subsequence(NAMES.to_vec(), 1..=4).prop_shuffle(),
        4,
    );
    property(60, &lists, |lists: &Vec<Vec<&'static str>>| {
        let stage = Stage::new();
        let inside: Arc<[AtomicU32; 4]> = Arc::default();
        let done = Arc::<AtomicU32>::default();
        for (number, list) in lists.iter().enumerate() {
            let client = if number % 2 == 0 { &stage.client } else { &stage.other };
            let (taking, sys) = (all(client, list), stage.world.sys());
            let (inside, done, list) = (Arc::clone(&inside), Arc::clone(&done), list.clone());
            stage.world.sys().spawn(Box::pin(async move {
                let places =
                    || list.iter().filter_map(|name| NAMES.iter().position(|other| other == name));
                for _ in 0..5 {
                    let leases = taking.clone().acquire().await.expect("its turn comes");
                    for place in places() {
                        assert_eq!(inside[place].fetch_add(1, Ordering::SeqCst), 0);
                    }
                    sys.sleep_until(sys.now() + millis(1)).await;
                    for place in places() {
                        inside[place].fetch_sub(1, Ordering::SeqCst);
                    }
                    leases.release().await;
                }
                done.fetch_add(1, Ordering::SeqCst);
            }));
        }
        stage.world.advance(seconds(60));
        match done.load(Ordering::SeqCst) {
            4 => Ok(()),
            done => Err(format!("{done} of 4 were done in a minute")),
        }
    });
}

#[test]
fn kinds_and_owners_are_mixed() {
    let stage = Stage::new();
    let client = &stage.client;
    let reader = stage.world.run(stage.other.rwlock("prices").read().acquire()).expect("free");
    let owner = client.owner().expect("a number");
    let outer = stage.world.run(client.lock("own").owner(owner).acquire()).expect("free");
    let list = [
        client.rwlock("prices").read(),
        client.semaphore("slots", 3).permits(2),
        client.lock("plain"),
    ];
    let leases = stage.world.run(client.lock_all(list.clone()).acquire()).expect("free");
    let kinds: Vec<Kind> = leases.iter().map(Lease::kind).collect();
    let permits = Kind::Permits { count: 2, capacity: 3 };
    assert_eq!(kinds, [Kind::Shared, permits, Kind::Exclusive]);
    assert_eq!(leases[0].epoch(), reader.epoch());
    assert!(stage.world.run(client.lock_all(list).try_acquire()).expect("an answer").is_none());
    stage.world.run(leases.release());

    let again = [client.lock("own").owner(owner), client.lock("plain").owner(owner)];
    let inner = stage.world.run(client.lock_all(again).acquire()).expect("its own");
    assert_eq!(inner[0].fence(), outer.fence());
    stage.world.run(inner.release());
    assert!(outer.is_held() && stage.holder("own").is_some());
}

#[test]
fn each_for_itself() {
    let stage = Stage::new();
    let other = take(&stage, &stage.other, "b");
    let slots = stage.world.run(stage.other.semaphore("slots", 3).permits(1).acquire());
    let slots = slots.expect("free");
    let client = &stage.client;
    let list = [client.lock("a"), client.lock("b"), client.semaphore("slots", 4).permits(1)];
    let mut each = stage.world.run(client.lock_all(list).try_each()).expect("an answer");
    let error = each.remove(2).expect_err("another capacity");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(each.remove(1).expect("an answer").is_none(), "it is held");
    assert!(each.remove(0).expect("an answer").expect("free").is_held());
    drop((other, slots));
}

#[test]
fn the_loss_of_one_is_told_by_all() {
    let stage = Stage::new();
    let leases = stage.world.run(all(&stage.client, &NAMES).acquire()).expect("free");
    let why = Evict { why: "a test".to_owned(), fence: None };
    stage.world.run(stage.other.evict("b", &why)).expect("it is held");
    stage.world.advance(seconds(15));
    assert!(!leases.is_held());
    assert!(leases.remaining().is_zero());
    let error = leases.check(millis(1)).expect_err("one is lost");
    assert!(error.to_string().contains("lock \"b\""), "{error}");
    let found = stage.world.run(leases.release());
    let lost = Release::Lost(LostReason::Revoked);
    assert_eq!(found, [Release::Released, lost, Release::Released, Release::Released]);
    assert_eq!(held(&stage), [""; 0]);
}

#[test]
fn wrong_lists_are_refused_before_anything_is_asked() {
    let stage = Stage::new();
    let client = &stage.client;
    let many: Vec<_> = (0..=LockAll::MOST).map(|n| client.lock(n.to_string())).collect();
    let cases = [
        (all(client, &["a", "b", "a"]), "lock \"a\" is in the list twice"),
        (
            client.lock_all([client.lock("a"), stage.other.lock("b")]),
            "lock \"b\" is of another client",
        ),
        (client.lock_all(many), "1001 locks at once: at most 1000 can be"),
        (client.lock_all([client.lock("a"), client.lock("")]), "name"),
        (client.lock_all([client.lock("a"), client.lock("b").ttl(millis(1))]), "ttl is 1ms"),
    ];
    for (list, says) in cases {
        let error = stage.world.run(list.acquire()).expect_err(says);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(held(&stage), [""; 0]);
    assert!(stage.world.run(client.shutdown(seconds(1))));
    let error = stage.world.run(all(client, &NAMES).acquire()).expect_err("it is shut down");
    assert_eq!(error.kind(), ErrorKind::ShutDown, "{error}");
}

/// An exit in the middle: what was granted and is not known yet is given back.
#[test]
fn a_shutdown_ends_those_that_wait() {
    let stage = Stage::new();
    let b = take(&stage, &stage.other, "b");
    let mut taking = Box::pin(all(&stage.client, &NAMES).acquire());
    assert!(stage.world.poll_once(taking.as_mut()).is_pending());
    stage.world.run(b.release());
    assert!(stage.world.run(stage.client.shutdown(seconds(1))));
    let error = stage.world.run(taking).expect_err("it was ended");
    assert_eq!(error.kind(), ErrorKind::ShutDown, "{error}");
    assert_eq!(held(&stage), [""; 0]);
}

#[test]
fn the_loss_of_one_is_told_once_and_ends_what_needs_them_all() {
    let stage = Stage::new();
    let short = stage.client.lock("b").ttl(seconds(1)).fixed_term();
    let locks = || stage.client.lock_all([stage.client.lock("a"), short.clone()]);
    let leases = stage.world.run(locks().acquire()).expect("free");
    let told = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&told);
    leases.on_lost(move |reason| {
        assert_eq!(reason, LostReason::Expired);
        count.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(leases.lost_reason(), None);
    stage.world.advance(seconds(2));
    stage.world.settle();
    assert_eq!(stage.world.run(leases.lost()), (1, LostReason::Expired));
    assert_eq!(leases.lost_reason(), Some(LostReason::Expired));
    assert_eq!((leases.is_held(), leases[0].is_held()), (false, true));
    // What is lost later is no news.
    stage
        .world
        .run(stage.other.evict("a", &Evict { why: "test".to_owned(), fence: None }))
        .expect("held");
    stage.world.advance(seconds(11));
    stage.world.settle();
    assert!(!leases[0].is_held());
    assert_eq!(told.load(Ordering::SeqCst), 1);
    drop(leases);
    // Beyond what the store keeps.
    stage.world.advance(seconds(2));

    let mut run = Box::pin(locks().run(async |_| std::future::pending::<()>().await));
    assert!(stage.world.poll_once(run.as_mut()).is_pending());
    stage.world.advance(seconds(2));
    stage.world.settle();
    let Poll::Ready(Err(error)) = stage.world.poll_once(run.as_mut()) else {
        panic!("the body is dropped")
    };
    assert_eq!((error.kind(), error.lost_reason()), (ErrorKind::Lost, Some(LostReason::Expired)));
    assert!(error.message().contains("\"b\""), "{error}");
    drop(run);
    stage.world.advance(seconds(2));
    let done = stage.world.run(locks().run(async |leases| leases.len()));
    assert_eq!(done.expect("held to the end"), 2);
    assert_eq!(held(&stage), [""; 0]);
}
