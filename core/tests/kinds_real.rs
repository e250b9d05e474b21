//! Readers, writers and permits in real time: threads that contend, and processes that are killed.
#![allow(clippy::disallowed_methods, reason = "threads of a user's program, in real time")]

mod common;

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{await_view, is_free, millis, seed};
use leasehold::store::{Kind, LockView};
use leasehold::{Client, Lease, Lock, block_on};
use leasehold_testkit::beliefs::{Believed, believed};
use leasehold_testkit::server::{Flavour, RedisSetup, on_redis};
use leasehold_testkit::{Process, SeededRandom, folder, program, size};
use libtest_mimic::{Arguments, Trial};

/// What the store keeps beyond a short ttl, and room for a loaded machine.
const GRACE: Duration = millis(500);
const ROOM: Duration = millis(1500);

type Test = (&'static str, fn(&str));

/// What threads do, on each store.
const THREADS: &[Test] = &[
    ("threads_never_read_while_one_writes", threads_never_read_while_one_writes),
    (
        "threads_never_have_more_permits_than_there_are",
        threads_never_have_more_permits_than_there_are,
    ),
    ("threads_of_one_owner_share_a_tenure", threads_of_one_owner_share_a_tenure),
    ("a_writer_gets_through_a_stream_of_readers", a_writer_gets_through_a_stream_of_readers),
    ("a_reader_gets_through_a_stream_of_writers", a_reader_gets_through_a_stream_of_writers),
    ("grants_follow_arrival", grants_follow_arrival),
    ("grants_follow_arrival_from_several_clients", grants_follow_arrival_from_several_clients),
];

/// What processes do, on the stores that several share.
const PROCESSES: &[Test] = &[
    (
        "a_killed_reader_leaves_and_the_other_reads_on",
        a_killed_reader_leaves_and_the_other_reads_on,
    ),
    ("permits_are_conserved_through_random_kills", permits_are_conserved_through_random_kills),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // One at a time: they measure time, and the machine is small.
    arguments.test_threads = Some(1);
    let mut trials = Vec::new();
    for (name, test) in THREADS {
        trials.push(Trial::test(format!("memory::{name}"), move || {
            test(&format!("memory://{name}"));
            Ok(())
        }));
    }
    for (name, test) in THREADS.iter().chain(PROCESSES) {
        trials.push(Trial::test(format!("sqlite::{name}"), move || {
            let folder = folder("kinds").expect("a folder");
            test(&format!("sqlite://{}", folder.path().join("locks.db").display()));
            Ok(())
        }));
        trials.push(Trial::ignorable_test(format!("redis::{name}"), move || {
            on_redis(&RedisSetup::new(Flavour::Redis), |server| test(&server.url()))
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn two(url: &str) -> [Client; 2] {
    [0; 2].map(|_| Client::connect(url).expect("a client"))
}

/// Oracle O1: never a writer beside another, and fences that grow; judged outside the library.
fn threads_never_read_while_one_writes(url: &str) {
    let clients = two(url);
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
                        assert!(lease.epoch() >= Some(last.load(Ordering::SeqCst)), "an old epoch");
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
}

fn threads_never_have_more_permits_than_there_are(url: &str) {
    let clients = two(url);
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
}

/// Threads that share an owner each enter and leave; the lock is free when the last has left.
fn threads_of_one_owner_share_a_tenure(url: &str) {
    let clients = two(url);
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
}

/// Hazard 49: readers that come while a writer waits stand behind it, so it is granted once those who
/// read already have left, however many more come. Counted in phases: no reader reads twice before.
fn a_writer_gets_through_a_stream_of_readers(url: &str) {
    const READERS: usize = 6;
    let clients = two(url);
    let rounds = size(20, 500);
    let (over, reads) = (AtomicBool::new(false), [0; READERS].map(AtomicU64::new));
    std::thread::scope(|scope| {
        for (thread, reads) in reads.iter().enumerate() {
            let (client, over) = (&clients[thread % 2], &over);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let lease = client.rwlock("stream").read().acquire_blocking().expect("granted");
                    reads.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(millis(3));
                    block_on(lease.release());
                }
            });
        }
        let lock = clients[0].rwlock("stream");
        let _over = Over(&over);
        for round in 0..rounds {
            // Nobody waits among readers alone: whoever does came behind the writer, or is it.
            let waits = |view: &LockView| view.waiting > 0;
            let (lease, before) = phase(&clients[0], lock.clone().write(), waits, &reads);
            for (before, now) in before.iter().zip(counts(&reads)) {
                // One that was granted before the writer came may count itself after.
                assert!(now <= before + 1, "round {round}: a reader came twice before the writer");
            }
            block_on(lease.release());
            while block_on(clients[1].inspect("stream")).expect("a view").holding < 2 {
                std::thread::yield_now();
            }
        }
    });
    println!("{} reads beside {rounds} writes", counts(&reads).iter().sum::<u64>());
    await_view(&clients[0], "stream", "free", is_free);
}

/// Hazard 50: a reader that comes while writers wait is granted when the one that writes has left.
fn a_reader_gets_through_a_stream_of_writers(url: &str) {
    const WRITERS: usize = 4;
    let clients = two(url);
    let rounds = size(20, 500);
    let (over, writes) = (AtomicBool::new(false), [0; WRITERS].map(AtomicU64::new));
    std::thread::scope(|scope| {
        for (thread, writes) in writes.iter().enumerate() {
            let (client, over) = (&clients[thread % 2], &over);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let lease =
                        client.rwlock("stream").write().acquire_blocking().expect("granted");
                    writes.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(millis(3));
                    block_on(lease.release());
                }
            });
        }
        let lock = clients[0].rwlock("stream");
        let _over = Over(&over);
        for round in 0..rounds {
            let waits = |view: &LockView| view.queue.iter().any(|it| it.kind == Kind::Shared);
            let (lease, before) = phase(&clients[0], lock.clone().read(), waits, &writes);
            let passed = counts(&writes).iter().sum::<u64>() - before.iter().sum::<u64>();
            assert!(passed <= 1, "round {round}: {passed} writers came before the reader");
            block_on(lease.release());
            while block_on(clients[1].inspect("stream")).expect("a view").waiting + 1
                < WRITERS as u64
            {
                std::thread::yield_now();
            }
        }
    });
    println!("{} writes beside {rounds} reads", counts(&writes).iter().sum::<u64>());
    await_view(&clients[0], "stream", "free", is_free);
}

/// Says that it is over when a test ends, however it does: threads of a scope are waited for.
struct Over<'t>(&'t AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn counts(counts: &[AtomicU64]) -> Vec<u64> {
    counts.iter().map(|count| count.load(Ordering::SeqCst)).collect()
}

/// Takes `lock`, and answers how much was counted when the store's view first said that it waits. One
/// that had not to wait is asked for anew.
fn phase(
    client: &Client,
    lock: Lock,
    waits: impl Fn(&LockView) -> bool,
    counted: &[AtomicU64],
) -> (Lease, Vec<u64>) {
    loop {
        let mut taking = Box::pin(lock.clone().acquire());
        let mut before = None;
        let lease = block_on(async {
            loop {
                if let Some(lease) = poll_once(&mut taking).await {
                    return lease.expect("granted");
                }
                if waits(&client.inspect("stream").await.expect("a view")) {
                    before = Some(counts(counted));
                    return taking.await.expect("granted");
                }
            }
        });
        if let Some(before) = before {
            return (lease, before);
        }
        block_on(lease.release());
    }
}

/// The first step of `future`, and its result if that was all.
async fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Hazard 48: ten thousand grants, each to whoever came first of those who wait. The requests of one
/// client reach the store in the order in which they are sent.
fn grants_follow_arrival(url: &str) {
    const ROUNDS: usize = 20;
    const WAITERS: usize = 500;
    let clients = two(url);
    for _ in 0..ROUNDS {
        // Where the machine stands still for longer than a waiter may be silent, some are taken for dead
        // and come to wait anew: not each time.
        assert!((0..3).any(|_| in_order(&clients, WAITERS)), "a later one was granted first");
    }
    await_view(&clients[0], "line", "free", is_free);
}

/// Whether so many waiters are granted in the order in which they came.
fn in_order([client, other]: &[Client; 2], waiters: usize) -> bool {
    let first = block_on(other.lock("line").acquire()).expect("free");
    let mut waiting: Vec<_> = (0..waiters)
        .map(|_| {
            let lock = client.lock("line").ttl(Duration::from_secs(60));
            Box::pin(async move {
                let lease = lock.acquire().await?;
                lease.release().await;
                leasehold::Result::<u64>::Ok(lease.fence())
            })
        })
        .collect();
    let mut fences = vec![None; waiters];
    let mut released = false;
    block_on(async {
        let mut giving = Box::pin(async {
            while other.inspect("line").await.expect("a view").waiting < waiters as u64 {}
            first.release().await
        });
        std::future::poll_fn(|context| {
            for (one, fence) in waiting.iter_mut().zip(&mut fences) {
                if fence.is_none()
                    && let Poll::Ready(done) = one.as_mut().poll(context)
                {
                    *fence = Some(done.expect("granted"));
                }
            }
            released = released || giving.as_mut().poll(context).is_ready();
            if fences.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    });
    fences.is_sorted()
}

/// The same from several clients, each of whose waits begins once the store's own view has the one
/// before. Who was granted when is told outside the library: by a number that each takes while it holds.
fn grants_follow_arrival_from_several_clients(url: &str) {
    const WAITERS: usize = 50;
    let clients: Vec<Client> = (0..4).map(|_| Client::connect(url).expect("a client")).collect();
    let rounds = size(1_000, 10_000) / WAITERS;
    for _ in 0..rounds {
        assert!((0..3).any(|_| in_turn(&clients, WAITERS)), "a later one was granted first");
    }
    println!("{} grants in the order in which the store had them", rounds * WAITERS);
    await_view(&clients[0], "line", "free", is_free);
}

/// Whether so many waiters of these clients in turn are granted as they came to the store.
fn in_turn(clients: &[Client], waiters: usize) -> bool {
    let turn = AtomicU64::new(0);
    let take = |index: usize| {
        let lock = clients[index % clients.len()].lock("line").ttl(Duration::from_secs(60));
        let turn = &turn;
        Box::pin(async move {
            let lease = lock.acquire().await.expect("granted");
            let number = turn.fetch_add(1, Ordering::SeqCst);
            lease.release().await;
            number
        })
    };
    block_on(async {
        let first = clients[0].lock("line").acquire().await.expect("free");
        let mut waiting = Vec::new();
        for index in 0..waiters {
            let mut one = take(index);
            assert!(poll_once(&mut one).await.is_none(), "granted beside another");
            waiting.push((one, None));
            while clients[0].inspect("line").await.expect("a view").waiting <= index as u64 {
                for (one, _) in &mut waiting {
                    assert!(poll_once(one).await.is_none(), "granted beside another");
                }
            }
        }
        first.release().await;
        std::future::poll_fn(|context| {
            for (one, number) in &mut waiting {
                if number.is_none()
                    && let Poll::Ready(done) = one.as_mut().poll(context)
                {
                    *number = Some(done);
                }
            }
            let all = waiting.iter().all(|(_, number)| number.is_some());
            if all { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        waiting.is_sorted_by_key(|(_, number)| *number)
    })
}

fn holder(url: &str, ttl: &str, how: &str) -> Process {
    let mut command = Command::new(program("leasehold-testkit", "holder"));
    Process::start(command.args([url, "killed", ttl, how]))
}

/// Hazard 18, with processes: the dead reader's tenure ends at its own time, the other's goes on.
fn a_killed_reader_leaves_and_the_other_reads_on(url: &str) {
    let client = Client::connect(url).expect("a client");
    let (mut dead, mut live) = (holder(url, "600", "read"), holder(url, "600", "read"));
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

/// Hazard 46: holders and waiters are killed at random, and no permit is lost or made. What they
/// believed is judged outside the library.
fn permits_are_conserved_through_random_kills(url: &str) {
    const CAPACITY: u32 = 24;
    const CROWD: usize = 10;
    let kills = size(60, 1_000);
    let (client, folder) = (Client::connect(url).expect("a client"), folder("permits"));
    let folder = folder.expect("a folder");
    let random = SeededRandom::new(seed());
    let start = || {
        let (capacity, seed) = (CAPACITY.to_string(), random.next().to_string());
        let mut command = Command::new(program("leasehold-testkit", "permits"));
        command.args([url, "killed", &capacity]).arg(folder.path()).arg(seed);
        Process::start(&mut command)
    };
    let mut crowd: Vec<Process> = (0..CROWD).map(|_| start()).collect();
    for one in &mut crowd {
        one.wait_for("ready");
    }
    for kill in 0..kills {
        let victim = random.below(CROWD as u64) as usize;
        // Every second time one that has just been granted; else whatever it does.
        if kill % 2 == 0 {
            crowd[victim].wait_for("granted");
        }
        crowd[victim].kill();
        crowd[victim] = start();
        let used = permits(&block_on(client.inspect("killed")).expect("a view"));
        assert!(used <= CAPACITY, "{used} permits of {CAPACITY} in the store");
    }
    for one in &mut crowd {
        assert!(one.finish().success(), "{:?}", one.lines());
    }
    let all = client.semaphore("killed", CAPACITY).permits(CAPACITY);
    let begin = Instant::now();
    let lease = all.wait(Duration::from_secs(60)).acquire_blocking().expect("none was lost");
    let took = begin.elapsed();
    assert!(lease.is_held());
    block_on(lease.release());
    await_view(&client, "killed", "free", is_free);
    let Believed { tenures, most } = believed(folder.path()).expect("their files");
    println!(
        "{kills} kills, {tenures} tenures, at most {most} permits of {CAPACITY} believed in; all \
         free {took:.2?} after the last kill"
    );
    assert!(most <= u64::from(CAPACITY), "{most} permits of {CAPACITY} were believed in");
    assert!(most > u64::from(CAPACITY) / 4, "more than one may take: they met");
}

fn permits(view: &LockView) -> u32 {
    let all = view.holder.iter().chain(&view.others);
    all.map(|holder| match holder.kind {
        Kind::Permits { count, .. } => count,
        other => panic!("{other:?} among permits"),
    })
    .sum()
}
