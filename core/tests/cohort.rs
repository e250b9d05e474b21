//! Locks in the order `throughput`, in virtual time: what goes from hand to hand within a client, how long,
//! and that it is one tenure for all who have it.

mod common;

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use common::{Stage, millis, seconds};
use leasehold::runtime::Runtime;
use leasehold::store::Evict;
use leasehold::{
    Client, ClientOptions, ErrorKind, Lease, Lock, LockOptions, LostReason, Order, Owner, Release,
    Result,
};

const TTL: Duration = seconds(30);
/// How many hold a tenure in turn: the first that others wait for, and at most.
const FIRST: u64 = 4;
const MOST: u64 = 512;

type Acquire = Pin<Box<dyn Future<Output = Result<Lease>> + Send>>;

fn hot(client: &Client) -> Lock {
    client.lock("hot").ttl(TTL).order(Order::Throughput)
}

/// An acquire of `lock` that waits.
fn waiting(stage: &Stage, lock: Lock) -> Acquire {
    let mut acquire: Acquire = Box::pin(lock.acquire());
    assert!(stage.world.poll_once(acquire.as_mut()).is_pending(), "it should have to wait");
    stage.world.settle();
    acquire
}

/// The lease of an acquire that need not wait any more.
fn granted(stage: &Stage, acquire: &mut Acquire) -> Lease {
    stage.world.settle();
    match stage.world.poll_once(acquire.as_mut()) {
        Poll::Ready(lease) => lease.expect("granted"),
        Poll::Pending => panic!("not granted: {:?}", stage.view("hot")),
    }
}

fn why() -> Evict {
    Evict { why: "a test".to_owned(), fence: None }
}

fn is_waiting(stage: &Stage, acquire: &mut Acquire) -> bool {
    stage.world.settle();
    stage.world.poll_once(acquire.as_mut()).is_pending()
}

/// The first lease of a tenure that others wait for, and these, in their order.
fn tenure(stage: &Stage, others: usize) -> (Lease, Vec<Acquire>) {
    let first = stage.world.run(hot(&stage.client).acquire()).expect("free");
    let mut second = waiting(stage, hot(&stage.client));
    let rest = (0..others).map(|_| waiting(stage, hot(&stage.client))).collect();
    drop(first);
    (granted(stage, &mut second), rest)
}

#[test]
fn a_lock_goes_from_hand_to_hand_with_no_step_of_the_store() {
    let stage = Stage::new();
    let (first, mut rest) = tenure(&stage, 3);
    let stored = stage.holder("hot").expect("held").fence;
    assert_eq!((stored, stage.view("hot").waiting), (first.fence() + FIRST - 1, 0));
    let (mut lease, mut fence) = (first, 0);
    for next in &mut rest {
        assert!(lease.fence() > fence && lease.is_held());
        fence = lease.fence();
        assert_eq!(stage.world.run(lease.release()), Release::Released);
        assert!(!lease.is_held());
        assert_eq!(stage.holder("hot").expect("held").fence, stored, "the store took a step");
        lease = granted(&stage, next);
        assert_eq!(lease.fence(), fence + 1);
    }
    drop(lease);
    assert_eq!(stage.holder("hot"), None);
    let next = stage.world.run(stage.other.lock("hot").acquire()).expect("free");
    assert!(next.fence() > stored, "a fence that the tenure had reserved");
}

/// Hazard 48: who waits elsewhere is overtaken by so many and no more. A tenure grows with those who want it,
/// as far as that.
#[test]
fn a_cohort_gives_the_lock_back_after_so_many() {
    let stage = Stage::new();
    let (mut lease, mut rest) = tenure(&stage, 2300);
    let stored = || stage.holder("hot").expect("held").fence;
    let (mut holders, mut before) = (vec![1], stored());
    rest.reverse();
    for _ in 0..1534 {
        drop(lease);
        let mut next = rest.pop().expect("more of them wait");
        lease = granted(&stage, &mut next);
        if stored() == before {
            *holders.last_mut().expect("one") += 1;
        } else {
            holders.push(1);
            before = stored();
        }
    }
    assert_eq!(holders, [FIRST, 8, 16, 32, 64, 128, 256, MOST, MOST, 3]);

    let mut remote = waiting(&stage, stage.other.lock("hot").ttl(TTL));
    let mut overtaken = 0;
    loop {
        drop(lease);
        stage.world.settle();
        let next = rest.last_mut().unwrap_or_else(|| panic!("{overtaken} went before it"));
        let Poll::Ready(passed) = stage.world.poll_once(next.as_mut()) else { break };
        lease = passed.expect("granted");
        rest.pop();
        overtaken += 1;
    }
    assert_eq!(overtaken, MOST - 3);
    let far = granted(&stage, &mut remote);
    assert!(far.is_held());
    // The cohort asks again, behind it.
    assert_eq!(stage.view("hot").waiting, 1);
    drop(far);
    let mut next = rest.pop().expect("more of them wait");
    assert!(granted(&stage, &mut next).is_held());
}

#[test]
fn a_cohort_gives_the_lock_back_after_a_while() {
    for (ttl, span) in [(TTL, millis(50)), (millis(60), millis(30))] {
        for (late, passed) in [(Duration::ZERO, false), (millis(1), true)] {
            let stage = Stage::new();
            let lock = || hot(&stage.client).ttl(ttl);
            let first = stage.world.run(lock().acquire()).expect("free");
            let mut second = waiting(&stage, lock());
            drop(first);
            let second = granted(&stage, &mut second);
            let stored = stage.holder("hot").expect("held").fence;
            let mut third = waiting(&stage, lock());
            stage.world.advance(span.checked_sub(late).expect("longer"));
            drop(second);
            let third = granted(&stage, &mut third);
            let same = stage.holder("hot").expect("held").fence == stored;
            assert_eq!(same, passed, "{ttl:?}, {late:?} before the end");
            assert!(third.is_held());
        }
    }
}

/// What was given back is the next one's, whatever the lease it was given back with is told to do.
#[test]
fn a_lease_that_was_given_back_does_nothing_to_the_next() {
    let stage = Stage::new();
    let lock = |limit| hot(&stage.client).max_hold(seconds(limit));
    let first = stage.world.run(lock(600).acquire()).expect("free");
    let (mut second, mut third) = (waiting(&stage, lock(600)), waiting(&stage, lock(5)));
    drop(first);
    let second = granted(&stage, &mut second);
    assert_eq!(stage.world.run(second.release()), Release::Released);
    let third = granted(&stage, &mut third);
    assert_eq!(stage.world.run(second.release()), Release::Repeated);
    assert_eq!(stage.world.run(second.extend(TTL)).unwrap_err().kind(), ErrorKind::Lost);
    assert_eq!(stage.world.run(second.downgrade()).unwrap_err().kind(), ErrorKind::Lost);
    second.touch();
    let lost = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let listener = Arc::clone(&lost);
    second.on_lost(move |_| listener.store(true, std::sync::atomic::Ordering::SeqCst));
    assert!(third.is_held() && second.lost_reason().is_none());
    // The limit is of each holder's own time, and the touch above did not move it.
    stage.world.advance(seconds(6));
    assert_eq!(third.lost_reason(), Some(LostReason::MaxHold));
    assert_eq!(second.lost_reason(), None);
    assert!(!lost.load(std::sync::atomic::Ordering::SeqCst), "told of another's loss");
    drop(second);
    assert_eq!(stage.holder("hot"), None, "a longest tenure ends in the store too");
}

/// The limit of one holder ends nothing of the next, and one tenure is renewed for all.
#[test]
fn a_tenure_is_renewed_for_whoever_has_it() {
    let stage = Stage::new();
    let first = stage.world.run(hot(&stage.client).acquire()).expect("free");
    let mut second = waiting(&stage, hot(&stage.client).max_hold(seconds(5)));
    let mut third = waiting(&stage, hot(&stage.client));
    drop(first);
    drop(granted(&stage, &mut second));
    let third = granted(&stage, &mut third);
    stage.world.advance(10 * TTL);
    assert!(third.is_held(), "{:?}", third.lost_reason());
}

#[test]
fn a_loss_is_the_present_holders_and_the_rest_ask_anew() {
    let stage = Stage::new();
    let (first, mut rest) = tenure(&stage, 2);
    let stored = stage.holder("hot").expect("held").fence;
    drop(first);
    let second = granted(&stage, &mut rest[0]);
    stage.world.run(stage.other.evict("hot", &why())).expect("evicted");
    assert!(is_waiting(&stage, &mut rest[1]), "the tenure's end is not known yet");
    stage.world.advance(TTL / 2);
    assert_eq!(second.lost_reason(), Some(LostReason::Revoked));
    let third = granted(&stage, &mut rest[1]);
    assert!(third.fence() > stored && third.is_held());
    assert!(matches!(stage.world.run(second.release()), Release::Lost(LostReason::Revoked)));
    drop(second);
    assert!(third.is_held());
    assert_eq!(stage.holder("hot").map(|holder| holder.fence >= third.fence()), Some(true));
}

#[test]
fn waiters_go_by_priority_and_give_up_in_time() {
    let stage = Stage::new();
    let (first, _) = tenure(&stage, 0);
    let mut short = waiting(&stage, hot(&stage.client).wait(millis(20)));
    let mut low = waiting(&stage, hot(&stage.client));
    let mut high = waiting(&stage, hot(&stage.client).priority(1));
    let refused = stage.world.run(hot(&stage.client).max_queue(3).acquire()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::QueueFull);
    stage.world.advance(millis(30));
    let Poll::Ready(late) = stage.world.poll_once(short.as_mut()) else { panic!("no limit") };
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(stage.world.run(hot(&stage.client).try_acquire()).expect("an answer").is_none());
    drop(first);
    let ahead = granted(&stage, &mut high);
    assert!(is_waiting(&stage, &mut low));
    drop(ahead);
    assert!(granted(&stage, &mut low).is_held());
}

/// One that goes before those who ask the store asks beside them.
#[test]
fn a_larger_priority_goes_first_in_the_store_too() {
    let stage = Stage::new();
    let far = stage.world.run(stage.other.lock("hot").ttl(TTL).acquire()).expect("free");
    let mut low = waiting(&stage, hot(&stage.client));
    let mut beside = waiting(&stage, hot(&stage.client));
    assert_eq!(stage.view("hot").waiting, 1, "one asks for both");
    let mut high = waiting(&stage, hot(&stage.client).priority(7));
    assert_eq!(stage.view("hot").waiting, 2);
    drop(far);
    let ahead = granted(&stage, &mut high);
    assert!(is_waiting(&stage, &mut low) && is_waiting(&stage, &mut beside));
    drop(ahead);
    // One of the two was handed on, or the one in the store's queue was granted.
    drop(granted(&stage, &mut low));
    assert!(granted(&stage, &mut beside).is_held());
}

#[test]
fn who_wants_another_lease_asks_the_store_for_it() {
    let stage = Stage::new();
    for other in [hot(&stage.client).ttl(2 * TTL), hot(&stage.client).fixed_term()] {
        let (first, _) = tenure(&stage, 0);
        let stored = stage.holder("hot").expect("held").fence;
        let mut next = waiting(&stage, other);
        drop(first);
        let next = granted(&stage, &mut next);
        assert!(next.fence() > stored);
        drop(next);
        stage.world.settle();
    }
}

#[test]
fn what_has_no_cohort_is_refused() {
    let stage = Stage::new();
    let client = &stage.client;
    let order = LockOptions { order: Order::Throughput, ..LockOptions::default() };
    let refused = |lock: Lock| {
        let error = stage.world.run(lock.order(Order::Throughput).acquire()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.message().contains("order throughput of lock \"hot\""), "{error}");
    };
    refused(client.rwlock("hot").read());
    refused(client.semaphore("hot", 2).permits(1));
    refused(client.lock("hot").owner(Owner::from_number(1)));
    let all = client.lock_all([hot(client), client.lock("cold")]);
    assert_eq!(stage.world.run(all.acquire()).unwrap_err().kind(), ErrorKind::Unsupported);
    let campaign = client.election("hot").campaign().options(order);
    assert_eq!(stage.world.run(campaign.acquire()).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(stage.holder("hot"), None);
}

/// A writer that became a reader is not handed on: the next one would read where it is to write.
#[test]
fn what_was_downgraded_ends_with_its_lease() {
    let stage = Stage::new();
    let (first, mut rest) = tenure(&stage, 1);
    stage.world.run(first.downgrade()).expect("a reader now");
    assert_eq!(first.epoch(), stage.holder("hot").map(|holder| holder.fence));
    let beside = stage.world.run(stage.other.rwlock("hot").read().try_acquire()).expect("answered");
    assert!(beside.is_some());
    drop(first);
    assert!(is_waiting(&stage, &mut rest[0]), "a writer among readers");
    drop(beside);
    assert!(granted(&stage, &mut rest[0]).is_held());
}

#[test]
fn the_end_of_the_client_ends_all_of_them() {
    let stage = Stage::new();
    let (first, mut rest) = tenure(&stage, 3);
    drop(first);
    // One whose turn has come and who doesn't know yet, and two who wait.
    assert!(stage.world.run(stage.client.shutdown(seconds(5))));
    for acquire in &mut rest {
        let Poll::Ready(refused) = stage.world.poll_once(acquire.as_mut()) else {
            panic!("waits for a client that is no more")
        };
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ShutDown);
    }
    let view = stage.view("hot");
    assert_eq!((view.holder, view.waiting), (None, 0));
}

#[test]
fn the_end_of_the_process_ends_the_holder_and_refuses_the_rest() {
    let stage = Stage::new();
    let runtime = Arc::new(Runtime::new(stage.world.sys()));
    let options = ClientOptions { runtime: Some(Arc::clone(&runtime)), ..ClientOptions::default() };
    let url = stage.client.url().expect("one").to_string();
    let client = Client::with(&url, options).expect("a client");
    let first = stage.world.run(hot(&client).acquire()).expect("free");
    let (mut second, mut third) = (waiting(&stage, hot(&client)), waiting(&stage, hot(&client)));
    drop(first);
    let second = granted(&stage, &mut second);
    assert!(stage.world.run(runtime.release_all(seconds(5))));
    assert_eq!(second.lost_reason(), Some(LostReason::Shutdown));
    let Poll::Ready(refused) = stage.world.poll_once(third.as_mut()) else { panic!("waits") };
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ShutDown);
    assert_eq!(stage.holder("hot"), None);
    drop(second);
    // Exit hooks of others may take locks.
    assert!(stage.world.run(hot(&client).acquire()).expect("free").is_held());
}

/// What happens between two polls of the future that is to be dropped.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Event {
    Release,
    Late,
    Evict,
    Beat,
}

/// Hazards 25 and 46: dropped at any await, whatever happened before, a waiter leaves no trace, and what it
/// was handed is the next one's.
#[test]
fn an_acquire_dropped_anywhere_hands_its_turn_on() {
    use Event::{Beat, Evict, Late, Release};
    let histories: &[&[Event]] = &[
        &[],
        &[Release],
        &[Late, Release],
        &[Evict, Beat],
        &[Release, Beat],
        &[Late, Release, Beat],
        &[Beat, Release],
    ];
    let mut drops = 0;
    for history in histories {
        for far in [false, true] {
            for late in [false, true] {
                for polls in 0..=history.len() + 2 {
                    drop_one(history, far, late, polls);
                    drops += 1;
                }
            }
        }
    }
    println!("{drops} drops");
}

fn drop_one(history: &[Event], far: bool, late: bool, polls: usize) {
    let stage = Stage::new();
    let (first, _) = tenure(&stage, 0);
    let mut holder = Some(first);
    let mut dropped: Acquire = Box::pin(hot(&stage.client).acquire());
    let remote = far.then(|| waiting(&stage, stage.other.lock("hot").ttl(TTL)));
    let mut behind: Option<Acquire> = None;
    for poll in 0..polls {
        let done = stage.world.poll_once(dropped.as_mut());
        behind.get_or_insert_with(|| waiting(&stage, hot(&stage.client)));
        if let Poll::Ready(lease) = done {
            drop(lease.expect("granted"));
            break;
        }
        if poll + 1 == polls && !late {
            break;
        }
        match history.get(poll) {
            Some(Event::Release) => drop(holder.take()),
            Some(Event::Late) => stage.world.advance(millis(60)),
            Some(Event::Evict) => {
                stage.world.run(stage.other.evict("hot", &why())).expect("an answer");
            }
            Some(Event::Beat) => stage.world.advance(seconds(15)),
            None => {}
        }
        stage.world.settle();
    }
    drop(dropped);
    let case = format!("{history:?}, far {far}, late {late}, {polls} polls");
    stage.world.settle();
    drop(holder);
    stage.world.settle();
    let mut rest: Vec<Acquire> = remote.into_iter().chain(behind).collect();
    for _ in 0..8 {
        rest.retain_mut(|acquire| match stage.world.poll_once(acquire.as_mut()) {
            Poll::Pending => true,
            Poll::Ready(lease) => {
                assert!(lease.expect("granted").is_held(), "{case}");
                false
            }
        });
        stage.world.advance(seconds(5));
    }
    assert!(rest.is_empty(), "{case}: {} were not granted", rest.len());
    let view = stage.view("hot");
    assert_eq!((view.holder, view.waiting), (None, 0), "{case}: an orphan");
    stage.world.advance(seconds(120));
    let view = stage.view("hot");
    assert_eq!((view.holder, view.waiting), (None, 0), "{case}: something came late");
    let next = stage.world.run(hot(&stage.client).try_acquire()).expect("an answer");
    assert!(next.is_some(), "{case}: its cohort believes in a holder");
}
