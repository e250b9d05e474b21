//! Readers, writers and permits in real time: threads that contend, and processes that are killed.
#![allow(clippy::disallowed_methods, reason = "threads of a user's program, in real time")]

mod common;

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::{await_view, is_free, millis, seed};
use leasehold::store::{Kind, LockView};
use leasehold::{Client, block_on};
use leasehold_testkit::{Process, SeededRandom, folder, program};
use tempfile::TempDir;

/// One at a time: they measure time, and the machine is small.
static ALONE: Mutex<()> = Mutex::new(());

/// What the store keeps beyond a short ttl, and room for a loaded machine.
const GRACE: Duration = millis(500);
const ROOM: Duration = millis(1500);

fn file() -> (TempDir, String) {
    let folder = folder("kinds").expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("locks.db").display());
    (folder, url)
}

/// Two clients of one memory store, and two of one file.
fn each_store(test: impl Fn([Client; 2])) {
    let url = format!("memory://kinds-{}", std::process::id());
    test([0; 2].map(|_| Client::connect(&url).expect("a client")));
    let (_folder, url) = file();
    test([0; 2].map(|_| Client::connect(&url).expect("a client")));
}

/// Oracle O1: never a writer beside another, and fences that grow; judged outside the library.
#[test]
fn threads_never_read_while_one_writes() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    each_store(|clients| {
        // Readers count 1 each, a writer -1,000.
        let (inside, last) = (AtomicI64::new(0), AtomicU64::new(0));
        let (together, reads, writes) = (AtomicI64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let (client, writer) = (clients[thread % 2].clone(), thread < 2);
                let (inside, last, together) = (&inside, &last, &together);
                let (reads, writes) = (&reads, &writes);
                scope.spawn(move || {
                    for _ in 0..100 {
                        let lock = client.rwlock("threads");
                        if writer {
                            let lease = lock.write().acquire_blocking().expect("granted");
                            assert_eq!(inside.fetch_sub(1000, Ordering::SeqCst), 0, "not alone");
                            let before = last.swap(lease.fence(), Ordering::SeqCst);
                            assert!(lease.fence() > before, "{} after {before}", lease.fence());
                            std::thread::yield_now();
                            writes.fetch_add(1, Ordering::SeqCst);
                            inside.fetch_add(1000, Ordering::SeqCst);
                            block_on(lease.release());
                        } else {
                            let lease = lock.read().acquire_blocking().expect("granted");
                            let beside = inside.fetch_add(1, Ordering::SeqCst);
                            assert!(beside >= 0, "beside a writer");
                            assert!(
                                lease.epoch() >= Some(last.load(Ordering::SeqCst)),
                                "an old epoch"
                            );
                            together.fetch_max(beside + 1, Ordering::SeqCst);
                            std::thread::sleep(millis(1));
                            reads.fetch_add(1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            block_on(lease.release());
                        }
                    }
                });
            }
        });
        let most = together.load(Ordering::SeqCst);
        println!(
            "{} reads, {} writes, at most {most} readers together",
            reads.load(Ordering::SeqCst),
            writes.load(Ordering::SeqCst),
        );
        assert_eq!(reads.load(Ordering::SeqCst) + writes.load(Ordering::SeqCst), 600);
        assert!(most > 1, "readers never met");
        await_view(&clients[0], "threads", "free", is_free);
    });
}

#[test]
fn threads_never_have_more_permits_than_there_are() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    each_store(|clients| {
        let (used, most) = (AtomicI64::new(0), AtomicI64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..6_u32 {
                let client = clients[thread as usize % 2].clone();
                let (used, most) = (&used, &most);
                scope.spawn(move || {
                    for round in 0..60 {
                        let count = [1, 2, 5][(thread + round) as usize % 3];
                        let permits = client.semaphore("threads", 5).permits(count);
                        let lease = permits.acquire_blocking().expect("granted");
                        let sum = used.fetch_add(i64::from(count), Ordering::SeqCst);
                        let sum = sum + i64::from(count);
                        assert!(sum <= 5, "{sum} permits of 5");
                        most.fetch_max(sum, Ordering::SeqCst);
                        std::thread::sleep(millis(1));
                        used.fetch_sub(i64::from(count), Ordering::SeqCst);
                        block_on(lease.release());
                    }
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 5, "all were in use at some time");
        await_view(&clients[0], "threads", "free", is_free);
    });
}

/// Threads that share an owner each enter and leave; the lock is free when the last has left.
#[test]
fn threads_of_one_owner_share_a_tenure() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    each_store(|clients| {
        let owner = clients[0].owner().expect("an owner");
        let (theirs, done) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (client, theirs, done) = (clients[0].clone(), &theirs, &done);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let lock = client.lock("threads").owner(owner);
                        let lease = lock.acquire_blocking().expect("granted");
                        assert!(!theirs.load(Ordering::SeqCst), "beside another holder");
                        assert!(lease.is_held());
                        done.fetch_add(1, Ordering::SeqCst);
                        block_on(lease.release());
                    }
                });
            }
            let (client, theirs) = (clients[1].clone(), &theirs);
            scope.spawn(move || {
                for _ in 0..50 {
                    let lease = client.lock("threads").acquire_blocking().expect("granted");
                    theirs.store(true, Ordering::SeqCst);
                    std::thread::yield_now();
                    theirs.store(false, Ordering::SeqCst);
                    block_on(lease.release());
                }
            });
        });
        assert_eq!(done.load(Ordering::SeqCst), 800);
        await_view(&clients[0], "threads", "free", is_free);
    });
}

fn holder(url: &str, ttl: &str, how: &str) -> Process {
    let mut command = Command::new(program("leasehold-testkit", "holder"));
    Process::start(command.args([url, "killed", ttl, how]))
}

/// Hazard 18, with processes: the dead reader's tenure ends at its own time, the other's goes on.
#[test]
fn a_killed_reader_leaves_and_the_other_reads_on() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (_folder, url) = file();
    let client = Client::connect(&url).expect("a client");
    let (mut dead, mut live) = (holder(&url, "600", "read"), holder(&url, "600", "read"));
    dead.wait_for("granted");
    live.wait_for("granted");
    assert_eq!(block_on(client.inspect("killed")).expect("a view").holding, 2);
    dead.kill();
    let start = Instant::now();
    await_view(&client, "killed", "read by one", |view| view.holding == 1);
    let took = start.elapsed();
    println!("the killed reader was gone after {took:.2?}");
    assert!(took <= millis(600) + GRACE + ROOM, "{took:?}");
    live.say("held");
    assert_eq!(live.wait_for("held"), "true");
    let writer = client.rwlock("killed").write().wait(Duration::from_secs(60));
    live.say("release");
    live.wait_for("released");
    let lease = writer.acquire_blocking().expect("the last reader has left");
    assert!(lease.is_held());
}

const KILLS: usize = 60;

/// Hazard 46: holders and waiters are killed at random, and no permit is lost or made.
#[test]
fn permits_are_conserved_through_random_kills() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    const CAPACITY: u32 = 6;
    let (_folder, url) = file();
    let client = Client::connect(&url).expect("a client");
    let random = SeededRandom::new(seed());
    let start = || {
        let count = 1 + random.below(3);
        holder(&url, "400", &format!("{count}/{CAPACITY}"))
    };
    let mut crowd: Vec<Process> = (0..8).map(|_| start()).collect();
    let mut most = 0;
    for _ in 0..KILLS {
        let victim = random.below(crowd.len() as u64) as usize;
        crowd[victim].kill();
        crowd[victim] = start();
        let used = permits(&block_on(client.inspect("killed")).expect("a view"));
        assert!(used <= CAPACITY, "{used} permits of {CAPACITY}");
        most = most.max(used);
    }
    assert!(most > 0, "nothing was ever held");
    drop(crowd);
    let all = client.semaphore("killed", CAPACITY).permits(CAPACITY);
    let begin = Instant::now();
    let lease = all.wait(Duration::from_secs(60)).acquire_blocking().expect("none was lost");
    println!(
        "{KILLS} kills, at most {most} permits in use; all {CAPACITY} after {:.2?}",
        begin.elapsed()
    );
    assert!(lease.is_held());
}

fn permits(view: &LockView) -> u32 {
    let all = view.holder.iter().chain(&view.others);
    all.map(|holder| match holder.kind {
        Kind::Permits { count, .. } => count,
        other => panic!("{other:?} among permits"),
    })
    .sum()
}
