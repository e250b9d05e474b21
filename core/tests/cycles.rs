//! Deadlocks: every cycle of owners is found, by one victim, and nothing else is taken for one. In
//! virtual time over the memory store; over several processes on SQLite here and on Redis in faults/.

#[path = "common/chains.rs"]
mod chains;
mod common;
#[path = "common/ring.rs"]
mod ring;

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use common::{Stage, millis, seconds, seed};
use leasehold::{Client, ClientOptions, Deadlocks, ErrorKind, Lease, Lock, Owner, Result};
use leasehold_testkit::{SeededRandom, folder};

type Taking = Pin<Box<dyn Future<Output = Result<Lease>>>>;

fn owner(number: u128) -> Owner {
    Owner::from_number(number)
}

fn lock(client: &Client, name: &str, by: u128) -> Lock {
    client.lock(name).owner(owner(by))
}

fn take(stage: &Stage, client: &Client, name: &str, by: u128) -> Lease {
    stage.world.run(lock(client, name, by).acquire()).expect("free")
}

/// Begins to wait, a microsecond after whoever began before.
fn wait(stage: &Stage, lock: Lock) -> Taking {
    stage.world.advance(Duration::from_micros(1));
    let mut taking: Taking = Box::pin(lock.acquire());
    assert!(stage.world.poll_once(taking.as_mut()).is_pending());
    taking
}

/// Lets time pass in steps, and answers who of `waits` ended meanwhile.
fn pass(stage: &Stage, span: Duration, waits: &mut [Taking]) -> Vec<(usize, Result<Lease>)> {
    let (mut ended, mut over) = (Vec::new(), vec![false; waits.len()]);
    for _ in 0..span.as_millis() / 5 {
        stage.world.advance(millis(5));
        stage.world.settle();
        for (index, taking) in waits.iter_mut().enumerate() {
            if !over[index]
                && let Poll::Ready(result) = stage.world.poll_once(taking.as_mut())
            {
                over[index] = true;
                ended.push((index, result));
            }
        }
    }
    ended
}

fn deadlocks(client: &Client) -> Deadlocks {
    client.deadlocks().expect("counts")
}

#[test]
fn the_wait_that_closes_a_cycle_ends_and_names_it() {
    let stage = Stage::new();
    let _a = take(&stage, &stage.client, "a", 1);
    let _b = take(&stage, &stage.other, "b", 2);
    let mut waits = [
        wait(&stage, lock(&stage.client, "b", 1).note("the first")),
        wait(&stage, lock(&stage.other, "a", 2)),
    ];
    let ended = pass(&stage, millis(60), &mut waits);
    let [(1, Err(error))] = &ended[..] else { panic!("the last one ends: {ended:?}") };
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    let [own, other] = error.cycle() else { panic!("two waits: {:?}", error.cycle()) };
    assert!(own.contains("waits for lock \"a\", held by rust process"), "{own}");
    assert!(other.contains("(the first) waits for lock \"b\""), "{other}");
    let counts = deadlocks(&stage.other);
    assert_eq!((counts.found, counts.victims, counts.longest), (1, 1, 2));
    // The victim is out of the queue; the other wait goes on and is not disturbed.
    stage.world.settle();
    assert_eq!((stage.view("a").waiting, stage.view("b").waiting), (0, 1));
    assert!(pass(&stage, seconds(5), &mut waits[..1]).is_empty());
    assert_eq!(deadlocks(&stage.client).victims, 0);
}

#[test]
fn cycles_of_any_length_have_one_victim() {
    for owners in 2..=8_u128 {
        let stage = Stage::new();
        let name = |index: u128| format!("lock {}", index % owners);
        let held: Vec<Lease> =
            (0..owners).map(|it| take(&stage, &stage.client, &name(it), it)).collect();
        let mut waits: Vec<Taking> =
            (0..owners).map(|it| wait(&stage, lock(&stage.other, &name(it + 1), it))).collect();
        let ended = pass(&stage, seconds(3), &mut waits);
        assert_eq!(ended.len(), 1, "{owners} owners: {ended:?}");
        let last = usize::try_from(owners).expect("few") - 1;
        assert_eq!(ended[0].0, last, "the youngest of {owners}");
        let error = ended[0].1.as_ref().expect_err("it does not hold it");
        assert_eq!((error.kind(), error.cycle().len()), (ErrorKind::Deadlock, last + 1));
        drop(held);
    }
}

#[test]
fn the_lowest_priority_is_the_victim_and_then_the_youngest() {
    let stage = Stage::new();
    let _held = [1, 2, 3].map(|it| take(&stage, &stage.client, &format!("lock {it}"), it));
    let waiting = |want: u8, by, priority| {
        wait(&stage, lock(&stage.client, &format!("lock {want}"), by).priority(priority))
    };
    let mut waits = [waiting(2, 1, 1), waiting(3, 2, -1), waiting(1, 3, 0)];
    let ended = pass(&stage, seconds(3), &mut waits);
    let [(1, Err(error))] = &ended[..] else { panic!("the one of priority -1: {ended:?}") };
    assert_eq!(error.cycle().len(), 3);
}

/// What each wait says of itself lies in the store: whoever looks first names the same victim, though
/// they are of several clients.
#[test]
fn a_wait_may_be_dear_or_cheap_whatever_its_place_in_the_queue() {
    let by = |order: [Option<i32>; 3]| {
        let stage = Stage::new();
        let _held = [0, 1, 2].map(|it| take(&stage, &stage.client, &format!("lock {it}"), it));
        let mut waits: Vec<Taking> = (0..3_u8)
            .map(|it| {
                let client = if it == 1 { &stage.other } else { &stage.client };
                let lock = lock(client, &format!("lock {}", (it + 1) % 3), it.into());
                // The first is the last in its queue, were there others.
                let lock = lock.priority(-i32::from(it == 0));
                wait(
                    &stage,
                    match order[usize::from(it)] {
                        Some(priority) => lock.deadlock_priority(priority),
                        None => lock,
                    },
                )
            })
            .collect();
        let ended = pass(&stage, seconds(3), &mut waits);
        let [(index, Err(error))] = &ended[..] else { panic!("one ends: {ended:?}") };
        assert_eq!((error.kind(), error.cycle().len()), (ErrorKind::Deadlock, 3));
        *index
    };
    assert_eq!(by([None, None, None]), 0, "the lowest priority");
    assert_eq!(by([Some(1), None, None]), 2, "it is dear: of the others the youngest");
    assert_eq!(by([Some(1), Some(-7), None]), 1, "one is cheap");
    assert_eq!(by([Some(1), Some(1), Some(1)]), 2, "all are dear: the youngest");
}

#[test]
fn how_many_stand_still_is_counted() {
    let stage = Stage::new();
    let _held = [take(&stage, &stage.client, "a", 1), take(&stage, &stage.client, "b", 2)];
    let mut waits = vec![
        wait(&stage, lock(&stage.client, "b", 1)),
        // Without an owner, or of one that nobody waits for.
        wait(&stage, stage.other.lock("b")),
        wait(&stage, lock(&stage.other, "a", 3)),
    ];
    assert!(pass(&stage, seconds(2), &mut waits).is_empty());
    waits.push(wait(&stage, lock(&stage.other, "a", 2)));
    assert!(matches!(&pass(&stage, millis(60), &mut waits[3..])[..], [(0, Err(_))]));
    let counts = deadlocks(&stage.other);
    assert_eq!((counts.victims, counts.longest, counts.severest), (1, 2, 4), "{counts:?}");
}

/// A chain beyond the client's limit is not searched to its end, and that is said; one more is enough.
#[test]
fn a_chain_that_is_too_long_is_cut_and_counted() {
    for (depth, found) in [(4, true), (3, false)] {
        let stage = Stage::new();
        let deep =
            stage.with(ClientOptions { deadlock_depth: Some(depth), ..ClientOptions::default() });
        let name = |index: u128| format!("lock {}", index % 4);
        let _held = [0, 1, 2, 3].map(|it| take(&stage, &stage.client, &name(it), it));
        let mut waits: Vec<Taking> =
            (0..3).map(|it| wait(&stage, lock(&stage.other, &name(it + 1), it))).collect();
        waits.push(wait(&stage, lock(&deep, &name(4), 3)));
        let ended = pass(&stage, seconds(3), &mut waits);
        let counts = deadlocks(&deep);
        assert_eq!(ended.len(), usize::from(found), "{depth}: {ended:?}");
        assert_eq!((counts.found > 0, counts.cut > 0), (found, !found), "{depth}: {counts:?}");
        assert_eq!(counts.deepest, u64::from(depth), "{counts:?}");
        // Those with a larger limit find it, and know whose wait it is that must end.
        assert!(deadlocks(&stage.other).found > 0 || found);
    }
    for depth in [0, 10_001] {
        let options = ClientOptions { deadlock_depth: Some(depth), ..ClientOptions::default() };
        let error = Client::with("memory://", options).expect_err("out of bounds");
        assert!(error.message().contains(&format!("deadlock_depth is {depth}")), "{error}");
    }
}

#[test]
fn an_owner_that_waits_for_itself_is_told_at_once() {
    let stage = Stage::new();
    // Of the same client the lock is entered again, which another client can't know.
    let _held = take(&stage, &stage.client, "own", 1);
    let again = stage.world.run(lock(&stage.client, "own", 1).acquire()).expect("re-entry");
    let mut waits = [wait(&stage, lock(&stage.other, "own", 1))];
    let ended = pass(&stage, millis(60), &mut waits);
    let [(0, Err(error))] = &ended[..] else { panic!("it ends: {ended:?}") };
    assert_eq!((error.kind(), error.cycle().len()), (ErrorKind::Deadlock, 1));
    drop(again);

    let read = stage.client.rwlock("book").read().owner(owner(2));
    let _reader = stage.world.run(read.acquire()).expect("free");
    let write = stage.client.rwlock("book").write().owner(owner(2));
    let ended = pass(&stage, millis(60), &mut [wait(&stage, write)]);
    let [(0, Err(error))] = &ended[..] else { panic!("a reader that asks to write: {ended:?}") };
    assert_eq!(error.kind(), ErrorKind::Deadlock);

    let permits = |count| stage.client.semaphore("few", 3).permits(count).owner(owner(3));
    let _two = stage.world.run(permits(2).acquire()).expect("free");
    let ended = pass(&stage, millis(60), &mut [wait(&stage, permits(2))]);
    let [(0, Err(error))] = &ended[..] else { panic!("it waits for its own permits: {ended:?}") };
    assert_eq!(error.kind(), ErrorKind::Deadlock);
}

/// The store keeps a tenure for longer than its holder is told: an owner that has lost its lease waits
/// for what is left of it, which ends by itself.
#[test]
fn what_an_owner_has_lost_is_waited_for() {
    let stage = Stage::new();
    let short = lock(&stage.client, "own", 1).ttl(seconds(1)).fixed_term();
    let lost = stage.world.run(short.acquire()).expect("free");
    stage.world.advance(seconds(1));
    assert!(!lost.is_held() && stage.holder("own").is_some());
    let ended = pass(&stage, seconds(1), &mut [wait(&stage, lock(&stage.client, "own", 1))]);
    assert!(matches!(&ended[..], [(0, Ok(_))]), "{ended:?}");

    // Also where it is the end of a longer chain.
    let short = lock(&stage.client, "a", 2).ttl(seconds(1)).fixed_term();
    let lost = stage.world.run(short.acquire()).expect("free");
    let b = take(&stage, &stage.other, "b", 3);
    let waits = wait(&stage, lock(&stage.other, "a", 3));
    stage.world.advance(seconds(1));
    assert!(!lost.is_held() && stage.holder("a").is_some());
    let mut waits = [waits, wait(&stage, lock(&stage.client, "b", 2))];
    let ended = pass(&stage, seconds(1), &mut waits);
    assert!(matches!(&ended[..], [(0, Ok(_))]), "{ended:?}");
    drop(b);
}

#[test]
fn readers_are_waited_for_together_and_permits_one_of_many() {
    let stage = Stage::new();
    let read = |by| stage.client.rwlock("book").read().owner(owner(by)).acquire();
    let _readers = [1, 2].map(|by| stage.world.run(read(by)).expect("free"));
    let _a = take(&stage, &stage.client, "a", 3);
    // One of two readers waits for the writer.
    let mut waits = [
        wait(&stage, lock(&stage.client, "a", 2)),
        wait(&stage, stage.client.rwlock("book").write().owner(owner(3))),
    ];
    let ended = pass(&stage, millis(60), &mut waits);
    let [(1, Err(error))] = &ended[..] else { panic!("the writer ends: {ended:?}") };
    assert_eq!((error.kind(), error.cycle().len()), (ErrorKind::Deadlock, 2));
    drop(waits);

    // Either holder of permits may make room: not a deadlock while one of them is free to.
    let permit = |by| stage.client.semaphore("few", 2).permits(1).owner(owner(by));
    let _one = stage.world.run(permit(4).acquire()).expect("free");
    let two = stage.world.run(permit(5).acquire()).expect("free");
    let _b = take(&stage, &stage.client, "b", 6);
    let mut waits = [wait(&stage, lock(&stage.client, "b", 4)), wait(&stage, permit(6))];
    assert!(pass(&stage, seconds(3), &mut waits).is_empty());
    stage.world.run(two.release());
    let ended = pass(&stage, millis(60), &mut waits);
    assert!(matches!(&ended[..], [(1, Ok(_))]), "{ended:?}");
}

#[test]
fn a_holder_without_an_owner_ends_the_search() {
    let stage = Stage::new();
    let _a = take(&stage, &stage.client, "a", 1);
    let _b = stage.world.run(stage.client.lock("b").acquire()).expect("free");
    let mut waits =
        [wait(&stage, lock(&stage.client, "b", 1)), wait(&stage, stage.client.lock("a"))];
    assert!(pass(&stage, seconds(3), &mut waits).is_empty());
    let counts = deadlocks(&stage.client);
    assert!(counts.looks >= 3, "{counts:?}");
    assert_eq!((counts.found, counts.cut), (0, 0));
}

/// A wait whose time runs out by itself is not held up by the search, nor counted.
#[test]
fn a_wait_that_runs_out_is_a_timeout() {
    let stage = Stage::new();
    let _a = take(&stage, &stage.client, "a", 1);
    let mut waits = [wait(&stage, lock(&stage.client, "a", 2).wait(millis(40)))];
    let ended = pass(&stage, millis(60), &mut waits);
    let [(0, Err(error))] = &ended[..] else { panic!("it ends: {ended:?}") };
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

const LOOKS: u64 = 10_000;

/// The level of the lock that is waited for, and the wait.
type Wanted = Option<(u64, Taking)>;

/// Owners that take locks in one order can't wait in a circle, however they are interleaved: what the
/// search makes of ten thousand such graphs, each read while it changes, is nothing.
#[test]
fn chains_that_are_no_cycle_are_never_taken_for_one() {
    const OWNERS: usize = 24;
    let (stage, random) = (Stage::new(), SeededRandom::new(seed()));
    let mut owners: Vec<(Vec<Lease>, Wanted)> = (0..OWNERS).map(|_| (Vec::new(), None)).collect();
    let mut level = [0_u64; OWNERS];
    let (mut granted, mut waited) = (0, 0);
    while deadlocks(&stage.client).looks < LOOKS {
        for index in 0..OWNERS {
            let (held, wanted) = &mut owners[index];
            if let Some((number, taking)) = wanted {
                match stage.world.poll_once(taking.as_mut()) {
                    Poll::Ready(result) => {
                        granted += 1;
                        level[index] = *number + 1;
                        held.push(result.expect("no cycle"));
                        *wanted = None;
                    }
                    Poll::Pending => waited += 1,
                }
            } else if level[index] >= 10 || (!held.is_empty() && random.below(4) == 0) {
                // In any order: those who wait for one of them go on while others look.
                let lease = held.swap_remove(random.below(held.len() as u64) as usize);
                drop(lease);
                if held.is_empty() {
                    level[index] = 0;
                }
            } else {
                let number = level[index] + random.below(3);
                let by = index as u128 + 1;
                let lock = lock(&stage.client, &format!("level {number}"), by);
                *wanted = Some((number, Box::pin(lock.acquire())));
            }
        }
        stage.world.advance(millis(1 + random.below(30)));
        stage.world.settle();
    }
    let counts = deadlocks(&stage.client);
    println!("{counts:?}, {granted} grants, {waited} waits seen");
    assert_eq!((counts.found, counts.victims), (0, 0));
    assert!(granted > 1000 && waited > 1000);
}

#[test]
fn rings_of_two_to_eight_processes_on_one_file() {
    let folder = folder("rings").expect("a folder");
    ring::close_all(&format!("sqlite://{}", folder.path().join("locks.db").display()));
}

#[test]
fn chains_on_one_file_are_never_taken_for_a_cycle() {
    let folder = folder("chains").expect("a folder");
    chains::no_phantoms(&format!("sqlite://{}", folder.path().join("locks.db").display()), seed());
}
