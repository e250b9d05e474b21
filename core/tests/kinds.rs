//! Read-write locks, semaphores and re-entry as their users see them, in virtual time.

mod common;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use common::{Stage, millis, seconds};
use leasehold::store::{Evict, Kind};
use leasehold::{Client, ErrorKind, Lease, Lock, LostReason, Owner, Release};

const TTL: Duration = seconds(30);

fn take(stage: &Stage, lock: Lock) -> Lease {
    stage.world.run(lock.ttl(TTL).acquire()).expect("free")
}

fn is_free_for(stage: &Stage, lock: Lock) -> bool {
    stage.world.settle();
    stage.world.run(lock.try_acquire()).expect("an answer").is_some()
}

/// The reasons that `lease`'s listener hears.
fn heard(lease: &Lease) -> Arc<Mutex<Vec<LostReason>>> {
    let heard = Arc::<Mutex<Vec<LostReason>>>::default();
    let listener = Arc::clone(&heard);
    lease.on_lost(move |reason| listener.lock().unwrap().push(reason));
    heard
}

/// One lease of each kind, on names of their own.
fn one_of_each(stage: &Stage) -> [Lease; 3] {
    let client = &stage.client;
    [
        take(stage, client.rwlock("read").read()),
        take(stage, client.rwlock("write").write()),
        take(stage, client.semaphore("permits", 3).permits(2)),
    ]
}

/// Takes `lock` again and again, each time for `hold`, until told to stop. How many hold it is
/// counted in `holding`.
fn stream(stage: &Stage, lock: Lock, hold: Duration, until: &Arc<AtomicBool>) -> Arc<AtomicU32> {
    let (sys, stop) = (stage.world.sys(), Arc::clone(until));
    let holding = Arc::<AtomicU32>::default();
    let count = Arc::clone(&holding);
    let task_sys = sys.clone();
    sys.spawn(Box::pin(async move {
        while !stop.load(Ordering::Acquire) {
            let lease = lock.clone().acquire().await.expect("granted in its turn");
            count.fetch_add(1, Ordering::AcqRel);
            task_sys.sleep_until(task_sys.now() + hold).await;
            assert!(lease.is_held());
            lease.release().await;
        }
    }));
    holding
}

#[test]
fn readers_share_and_writers_do_not() {
    let stage = Stage::new();
    let prices = stage.client.rwlock("prices");
    let (one, other) = (take(&stage, prices.read()), take(&stage, prices.read()));
    assert_eq!((one.kind(), one.epoch()), (Kind::Shared, other.epoch()));
    assert!(!is_free_for(&stage, stage.other.rwlock("prices").write()));
    assert!(!is_free_for(&stage, stage.other.lock("prices")), "a lock is what a writer takes");
    assert!(is_free_for(&stage, stage.other.rwlock("prices").read()));
    drop(one);
    assert!(!is_free_for(&stage, stage.other.rwlock("prices").write()));
    drop(other);
    stage.world.settle();
    let writer = take(&stage, stage.other.rwlock("prices").write());
    assert_eq!((writer.kind(), writer.epoch()), (Kind::Exclusive, None));
    assert!(!is_free_for(&stage, prices.read()));
}

/// Hazard 49: readers come all the time, and never are there none.
#[test]
fn a_writer_waits_for_one_phase_of_readers() {
    let stage = Stage::new();
    let stop = Arc::default();
    let hold = millis(900);
    for offset in 0..4 {
        let lock = stage.client.rwlock("stream").read().ttl(TTL);
        stream(&stage, lock, hold, &stop);
        stage.world.advance(millis(200) * u32::from(offset > 0));
    }
    stage.world.advance(seconds(20));
    for _ in 0..20 {
        assert!(stage.view("stream").holding > 0, "no moment without a reader");
        let start = stage.world.now();
        let lock = stage.other.rwlock("stream").write().ttl(TTL);
        let writer = stage.world.run(lock.acquire()).expect("granted");
        let waited = stage.world.now().since(start);
        assert!(waited <= hold + millis(50), "{waited:?} for a phase of {hold:?}");
        stage.world.run(writer.release());
        stage.world.advance(millis(350));
    }
    stop.store(true, Ordering::Release);
    stage.world.advance(seconds(10));
}

/// Hazard 50: writers come all the time.
#[test]
fn a_reader_waits_for_one_writer() {
    let stage = Stage::new();
    let stop = Arc::default();
    let hold = millis(900);
    let writers: Vec<_> = (0..3)
        .map(|_| stream(&stage, stage.client.rwlock("busy").write().ttl(TTL), hold, &stop))
        .collect();
    stage.world.advance(seconds(5));
    for _ in 0..20 {
        assert_eq!(stage.view("busy").waiting, 2, "writers wait all the time");
        let start = stage.world.now();
        let lock = stage.other.rwlock("busy").read().ttl(TTL);
        let reader = stage.world.run(lock.acquire()).expect("granted");
        let waited = stage.world.now().since(start);
        assert!(waited <= hold + millis(50), "{waited:?} for a writer of {hold:?}");
        stage.world.run(reader.release());
        stage.world.advance(millis(350));
    }
    let counts: Vec<u32> = writers.iter().map(|count| count.load(Ordering::Acquire)).collect();
    assert!(counts.iter().all(|count| count.abs_diff(counts[0]) <= 1), "in turn: {counts:?}");
    stop.store(true, Ordering::Release);
    stage.world.advance(seconds(10));
}

#[test]
fn leases_of_all_kinds_are_kept() {
    let stage = Stage::new();
    let leases = one_of_each(&stage);
    for _ in 0..100 {
        stage.world.advance(TTL / 2);
        for lease in &leases {
            assert!(lease.is_held() && lease.remaining() > TTL / 3, "{lease:?}");
        }
    }
}

#[test]
fn holders_of_all_kinds_are_told_of_their_loss() {
    let stage = Stage::new();
    let leases = one_of_each(&stage);
    let told = leases.each_ref().map(heard);
    for lease in &leases {
        let why = Evict { why: "test".to_owned(), fence: None };
        stage.world.run(stage.other.evict(lease.name().as_str(), &why)).expect("evicted");
    }
    stage.world.advance(TTL / 2);
    for (lease, told) in leases.iter().zip(&told) {
        assert_eq!(lease.lost_reason(), Some(LostReason::Revoked), "{lease:?}");
        assert_eq!(*told.lock().unwrap(), [LostReason::Revoked], "told once");
    }
    let leases = one_of_each(&stage);
    stage.world.pause(TTL);
    for lease in &leases {
        assert!(!lease.is_held(), "the first look after a pause knows: {lease:?}");
        assert_eq!(lease.lost_reason(), Some(LostReason::Expired));
    }
}

/// A reader that is gone leaves at its own expiry, whatever the others do (hazard 18).
#[test]
fn one_of_several_readers_is_lost_alone() {
    let stage = Stage::new();
    let kept = take(&stage, stage.client.rwlock("alone").read());
    let term = stage.other.rwlock("alone").read().ttl(seconds(10)).fixed_term();
    let gone = stage.world.run(term.acquire()).expect("shared");
    assert_eq!(stage.view("alone").holding, 2);
    stage.world.advance(seconds(12));
    assert_eq!(gone.lost_reason(), Some(LostReason::Expired));
    assert!(kept.is_held());
    assert_eq!(stage.view("alone").holding, 1);
}

#[test]
fn a_dropped_lease_of_any_kind_is_given_back() {
    let stage = Stage::new();
    for lease in one_of_each(&stage) {
        let name = lease.name().clone();
        drop(lease);
        let view = stage.view(name.as_str());
        assert_eq!((view.holding, view.waiting), (0, 0), "{name}");
    }
}

#[test]
fn a_writer_that_reads_on_keeps_its_fence() {
    let stage = Stage::new();
    let lease = take(&stage, stage.client.rwlock("down").write());
    let fence = lease.fence();
    stage.world.run(lease.downgrade()).expect("downgraded");
    assert_eq!((lease.kind(), lease.fence(), lease.epoch()), (Kind::Shared, fence, Some(fence)));
    let other = take(&stage, stage.other.rwlock("down").read());
    assert_eq!(other.epoch(), Some(fence), "what it reads is what the writer left");
    stage.world.run(lease.downgrade()).expect("twice is fine");
    stage.world.advance(10 * TTL);
    assert!(lease.is_held() && other.is_held(), "renewed as a reader's");
    let error = stage.world.run(lease.upgrade()).expect_err("another reads");
    assert_eq!(error.kind(), ErrorKind::Deadlock, "{error:?}");
    assert!(lease.is_held(), "it reads on");
    stage.world.run(other.release());
    stage.world.run(lease.upgrade()).expect("the only reader");
    assert!(lease.kind() == Kind::Exclusive && lease.fence() > fence);
    assert!(!is_free_for(&stage, stage.other.rwlock("down").read()));
    stage.world.run(lease.release());
    assert!(is_free_for(&stage, stage.other.rwlock("down").write()));
}

#[test]
fn a_lease_that_is_over_is_not_changed() {
    let stage = Stage::new();
    let lease = take(&stage, stage.client.rwlock("over").write());
    let why = Evict { why: "test".to_owned(), fence: None };
    stage.world.run(stage.other.evict("over", &why)).expect("evicted");
    let error = stage.world.run(lease.downgrade()).expect_err("evicted");
    assert_eq!(error.lost_reason(), Some(LostReason::Revoked), "{error:?}");
    assert!(!lease.is_held());
    assert!(is_free_for(&stage, stage.other.rwlock("over").write()), "nothing is held by it");
    let permits = take(&stage, stage.client.semaphore("permits", 2).permits(1));
    let error = stage.world.run(permits.upgrade()).expect_err("permits");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    assert!(permits.is_held());
}

/// A change whose future is dropped before its answer may take place or not.
#[test]
fn a_change_that_was_given_up_leaves_a_reader() {
    for polls in 0..2 {
        let stage = Stage::new();
        let lease = take(&stage, stage.client.rwlock("given up").write());
        let mut change = Box::pin(lease.downgrade());
        for _ in 0..polls {
            let _ = stage.world.poll_once(change.as_mut());
        }
        drop(change);
        stage.world.advance(3 * TTL);
        assert!(lease.is_held());
        let expected = if polls == 0 { Kind::Exclusive } else { Kind::Shared };
        assert_eq!(lease.kind(), expected);
        stage.world.run(lease.release());
        assert_eq!(stage.view("given up").holding, 0);
    }
}

#[test]
fn permits_are_counted_and_weighed() {
    let stage = Stage::new();
    let (mine, theirs) = (stage.client.semaphore("slots", 10), stage.other.semaphore("slots", 10));
    let (light, heavy) = (take(&stage, mine.permits(3)), take(&stage, theirs.permits(7)));
    assert_ne!(light.fence(), heavy.fence());
    assert!(!is_free_for(&stage, mine.permits(1)));
    drop(light);
    assert!(!is_free_for(&stage, mine.permits(4)));
    assert!(is_free_for(&stage, mine.permits(3)));
}

/// Small requests in a stream do not keep a large one waiting.
#[test]
fn a_large_request_waits_for_those_before_it_only() {
    let stage = Stage::new();
    let stop = Arc::default();
    let hold = millis(900);
    for offset in 0..3 {
        let lock = stage.client.semaphore("large", 3).permits(1).ttl(TTL);
        stream(&stage, lock, hold, &stop);
        stage.world.advance(millis(300) * u32::from(offset < 2));
    }
    stage.world.advance(seconds(10));
    for _ in 0..20 {
        let start = stage.world.now();
        let lock = stage.other.semaphore("large", 3).permits(3).ttl(TTL);
        let lease = stage.world.run(lock.acquire()).expect("granted");
        let waited = stage.world.now().since(start);
        assert!(waited <= hold + millis(50), "{waited:?}, with {hold:?} held by each before it");
        stage.world.run(lease.release());
        stage.world.advance(millis(350));
    }
    stop.store(true, Ordering::Release);
    stage.world.advance(seconds(10));
}

#[test]
fn what_a_name_is_not_is_refused_with_both_named() {
    let stage = Stage::new();
    let _held = take(&stage, stage.client.semaphore("odd", 3).permits(1));
    for (lock, names) in [
        (stage.other.semaphore("odd", 5).permits(1), ["a semaphore of 3", "a semaphore of 5"]),
        (stage.other.lock("odd"), ["a semaphore of 3", "an exclusive lock"]),
        (stage.other.rwlock("odd").read(), ["a semaphore of 3", "a shared lock"]),
    ] {
        let error = stage.world.run(lock.acquire()).expect_err("in use");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(names.iter().all(|name| error.message().contains(name)), "{error}");
    }
    for (count, capacity) in [(0, 3), (4, 3), (1, 0)] {
        let permits = stage.client.semaphore("none", capacity).permits(count);
        let error = stage.world.run(permits.acquire()).expect_err("never");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(error.message().contains(&format!("{count} permits of {capacity}")), "{error}");
    }
    let view = stage.view("none");
    assert_eq!((view.holding, view.waiting), (0, 0));
}

fn owned(client: &Client, owner: Owner) -> Lock {
    client.lock("own").owner(owner)
}

/// Hazard 36: the same fence, and the lock goes with the last lease.
#[test]
fn an_owner_may_enter_again() {
    let stage = Stage::new();
    let owner = stage.client.owner().expect("an owner");
    let outer = take(&stage, owned(&stage.client, owner));
    let inner = take(&stage, owned(&stage.client, owner));
    let tried = stage.world.run(owned(&stage.client, owner).try_acquire()).expect("an answer");
    let tried = tried.expect("a try enters, too");
    assert_eq!([inner.fence(), tried.fence()], [outer.fence(); 2]);
    assert_eq!(stage.view("own").holding, 1, "the store knows of one tenure");
    let told = heard(&inner);
    assert_eq!(stage.world.run(inner.release()), Release::Released);
    assert_eq!(stage.world.run(inner.release()), Release::Repeated);
    assert!(!inner.is_held() && outer.is_held());
    drop(tried);
    stage.world.advance(10 * TTL);
    assert!(outer.is_held(), "still renewed");
    assert!(!is_free_for(&stage, stage.other.lock("own")));
    stage.world.run(outer.release());
    assert!(is_free_for(&stage, stage.other.lock("own")));
    assert!(told.lock().unwrap().is_empty() && inner.lost_reason().is_none());
}

#[test]
fn the_outer_lease_may_go_first() {
    let stage = Stage::new();
    let owner = stage.client.owner().expect("an owner");
    let outer = take(&stage, owned(&stage.client, owner));
    let inner = take(&stage, owned(&stage.client, owner));
    drop(outer);
    stage.world.advance(3 * TTL);
    assert!(inner.is_held());
    drop(inner);
    assert!(is_free_for(&stage, stage.other.lock("own")));
    let next = take(&stage, owned(&stage.client, owner));
    assert!(next.is_held(), "a new tenure");
}

#[test]
fn all_leases_of_a_tenure_are_lost_together() {
    let stage = Stage::new();
    let owner = stage.client.owner().expect("an owner");
    let leases = [0; 3].map(|_| take(&stage, owned(&stage.client, owner)));
    let told = leases.each_ref().map(heard);
    stage.world.run(leases[0].release());
    let why = Evict { why: "test".to_owned(), fence: None };
    stage.world.run(stage.other.evict("own", &why)).expect("evicted");
    stage.world.advance(TTL / 2);
    assert_eq!(leases[0].lost_reason(), None, "it was given back before");
    assert!(told[0].lock().unwrap().is_empty());
    for index in [1, 2] {
        assert_eq!(leases[index].lost_reason(), Some(LostReason::Revoked));
        assert_eq!(*told[index].lock().unwrap(), [LostReason::Revoked]);
    }
    let next = take(&stage, owned(&stage.client, owner));
    assert!(next.fence() > leases[1].fence(), "no re-entry into what is lost");
}

/// Hazard 36: a listener is called by whoever finds the tenure over, which may be an acquire of its owner.
#[test]
#[allow(clippy::disallowed_methods, reason = "a thread of its own, for what might never end")]
fn a_listener_may_ask_for_the_lock_that_was_lost() {
    let (done, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let stage = Stage::new();
        let owner = stage.client.owner().expect("an owner");
        let lost = take(&stage, owned(&stage.client, owner));
        let (client, told) = (stage.client.clone(), done.clone());
        lost.on_lost(move |_| {
            let asked = pin!(owned(&client, owner).try_acquire());
            let polled = asked.poll(&mut Context::from_waker(Waker::noop()));
            told.send(format!("{polled:?}")).expect("somebody hears");
        });
        stage.world.pause(TTL);
        let next = take(&stage, owned(&stage.client, owner));
        assert!(next.is_held() && next.fence() > lost.fence());
        done.send("another tenure".to_owned()).expect("somebody hears");
    });
    let patience = Duration::from_secs(30);
    println!("in the listener: {}", heard.recv_timeout(patience).expect("no deadlock"));
    assert_eq!(heard.recv_timeout(patience).as_deref(), Ok("another tenure"));
}

/// Hazard 35: who it is that asks is the owner's number, in one client, and nothing else.
#[test]
fn nobody_else_enters() {
    let stage = Stage::new();
    let owner = stage.client.owner().expect("an owner");
    let _held = take(&stage, owned(&stage.client, owner));
    let another = stage.client.owner().expect("an owner");
    assert!(!is_free_for(&stage, owned(&stage.client, another)), "another owner");
    assert!(!is_free_for(&stage, stage.client.lock("own")), "no owner");
    assert!(!is_free_for(&stage, owned(&stage.other, owner)), "another process, with its number");
    assert!(is_free_for(&stage, stage.client.lock("else").owner(owner)), "another lock");
}

/// Two acquires of one owner at once: one asks the store, and the other enters with it.
#[test]
fn an_owner_does_not_wait_for_itself() {
    let stage = Stage::new();
    let owner = stage.client.owner().expect("an owner");
    let holder = take(&stage, stage.other.lock("own"));
    let leases = Arc::<Mutex<Vec<Lease>>>::default();
    for _ in 0..5 {
        let (mine, lock) = (Arc::clone(&leases), owned(&stage.client, owner));
        stage.world.sys().spawn(Box::pin(async move {
            let lease = lock.acquire().await.expect("granted");
            mine.lock().unwrap().push(lease);
        }));
    }
    stage.world.settle();
    assert_eq!(stage.view("own").waiting, 1);
    let tried = stage.world.run(owned(&stage.client, owner).try_acquire()).expect("an answer");
    assert!(tried.is_none(), "a try does not wait");
    let start = stage.world.now();
    let error = stage.world.run(owned(&stage.client, owner).wait(seconds(2)).acquire());
    assert_eq!(error.expect_err("held by another").kind(), ErrorKind::Timeout);
    assert!(stage.world.now().since(start) <= seconds(2) + millis(50));
    stage.world.run(holder.release());
    stage.world.settle();
    let mut leases = leases.lock().unwrap();
    assert_eq!(leases.len(), 5);
    assert!(leases.iter().all(|lease| lease.is_held() && lease.fence() == leases[0].fence()));
    leases.clear();
    drop(leases);
    assert!(is_free_for(&stage, stage.other.lock("own")));
}

/// The first of several is given up while it waits: the next takes its place.
#[test]
fn an_owners_second_acquire_outlives_the_first() {
    let stage = Stage::new();
    let owner = stage.client.owner().expect("an owner");
    let holder = take(&stage, stage.other.lock("own"));
    let mut first = Box::pin(owned(&stage.client, owner).acquire());
    let mut second = Box::pin(owned(&stage.client, owner).acquire());
    assert!(stage.world.poll_once(first.as_mut()).is_pending());
    assert!(stage.world.poll_once(second.as_mut()).is_pending());
    drop(first);
    stage.world.run(holder.release());
    let lease = stage.world.run(second).expect("granted");
    assert!(lease.is_held());
}

#[test]
fn a_lock_taken_twice_is_not_downgraded() {
    let stage = Stage::new();
    let owner = stage.client.owner().expect("an owner");
    let outer = take(&stage, owned(&stage.client, owner));
    let inner = take(&stage, owned(&stage.client, owner));
    let error = stage.world.run(inner.downgrade()).expect_err("the outer one writes");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    drop(inner);
    stage.world.run(outer.downgrade()).expect("downgraded");
    let tried = stage.world.run(owned(&stage.client, owner).try_acquire()).expect("an answer");
    assert!(tried.is_none(), "nobody enters a reader's lease to write");
}

#[test]
fn a_lease_of_any_kind_moves_between_threads() {
    let client = Client::connect("memory://").expect("a client");
    let owner = client.owner().expect("an owner");
    for lock in [
        client.rwlock("moves").read(),
        client.rwlock("moves").write(),
        client.lock("moves").owner(owner),
        client.semaphore("moves", 2).permits(2),
    ] {
        let lease = lock.clone().acquire_blocking().expect("free");
        #[allow(clippy::disallowed_methods, reason = "a thread of the user's")]
        let thread = std::thread::spawn(move || {
            assert!(lease.is_held());
            leasehold::block_on(lease.release())
        });
        assert_eq!(thread.join().expect("no panic"), Release::Released);
        let again = leasehold::block_on(lock.try_acquire()).expect("an answer");
        drop(again.expect("free again"));
        common::await_view(&client, "moves", "free", common::is_free);
    }
}

/// A program that was not brought to the new number goes on, also one that waits.
#[test]
fn a_semaphore_grows_while_it_is_waited_for() {
    let stage = Stage::new();
    let (old, new) = (stage.client.semaphore("grows", 2), stage.other.semaphore("grows", 3));
    let _held = take(&stage, old.permits(2));
    let mut waiter = Box::pin(old.permits(1).ttl(TTL).acquire());
    assert!(stage.world.poll_once(waiter.as_mut()).is_pending());
    stage.world.settle();
    let change = stage.world.run(stage.other.semaphore("grows", 2).resize(3)).expect("changed");
    let granted = stage.world.run(waiter).expect("granted in the same step");
    assert!(change > 0 && granted.is_held());
    // Asked for by others that know nothing of each other: done already.
    assert_eq!(stage.world.run(old.resize(3)).expect("so it is"), change);
    assert!(!is_free_for(&stage, new.permits(1)));
    drop(granted);
    assert!(is_free_for(&stage, new.permits(1)) && is_free_for(&stage, old.permits(1)));
}

#[test]
fn a_change_of_permits_names_what_speaks_against_it() {
    let stage = Stage::new();
    let _held = take(&stage, stage.client.semaphore("named", 4).permits(2));
    let waits = stage.client.semaphore("named", 4);
    let mut waiter = Box::pin(waits.permits(4).ttl(TTL).acquire());
    assert!(stage.world.poll_once(waiter.as_mut()).is_pending());
    stage.world.settle();
    let refused = |error: leasehold::Error, word: &str| {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(error.message().contains(word), "{error:?}");
    };
    let of = |permits| stage.other.semaphore("named", permits);
    refused(stage.world.run(of(5).resize(6)).expect_err("it has 4"), "a semaphore of 4");
    refused(stage.world.run(of(4).resize(0)).expect_err("none"), "0 permits");
    let first = stage.world.run(of(4).resize(3)).expect("changed");
    refused(stage.world.run(waiter).expect_err("there are not so many"), "a semaphore of 3");
    refused(stage.world.run(of(5).permits(1).acquire()).expect_err("it has 3"), "a semaphore of 3");
    // One that knows of no change before it asks twice.
    assert!(stage.world.run(of(3).resize(2)).expect("changed") > first);
    let _lock = take(&stage, stage.client.lock("other"));
    let other = stage.other.semaphore("other", 1);
    refused(stage.world.run(other.resize(2)).expect_err("a lock"), "an exclusive lock");
}
