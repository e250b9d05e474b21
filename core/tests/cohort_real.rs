//! Locks in the order `throughput` on real stores: threads of two clients, and processes, judged from
//! outside the library.
#![allow(clippy::disallowed_methods, reason = "threads of a user's program, in real time")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{await_view, is_free, millis};
use leasehold::{Client, Lock, Order, block_on};
use leasehold_testkit::oracle::judge;
use leasehold_testkit::server::{Flavour, RedisSetup, on_redis};
use leasehold_testkit::{Process, folder, program};
use libtest_mimic::{Arguments, Trial};

type Test = (&'static str, fn(&str, &Path));

/// On each store.
const THREADS: &[Test] = &[
    ("threads_of_two_clients_exclude_each_other", threads_of_two_clients_exclude_each_other),
    ("who_waits_elsewhere_is_overtaken_by_few", who_waits_elsewhere_is_overtaken_by_few),
    ("ten_thousand_names_are_as_many_locks", ten_thousand_names_are_as_many_locks),
];

/// On the stores that several processes share.
const PROCESSES: &[Test] = &[
    ("processes_exclude_each_other", processes_exclude_each_other),
    ("a_killed_cohort_costs_one_lease", a_killed_cohort_costs_one_lease),
];

/// So many hold one tenure in turn, at most.
const MOST: u64 = 512;

fn main() {
    let mut arguments = Arguments::from_args();
    // One at a time: the machine is small.
    arguments.test_threads = Some(1);
    let mut trials = Vec::new();
    for (name, test) in THREADS {
        trials.push(Trial::test(format!("memory::{name}"), move || {
            test(&format!("memory://{name}"), Path::new(""));
            Ok(())
        }));
    }
    for (name, test) in THREADS.iter().chain(PROCESSES) {
        trials.push(Trial::test(format!("sqlite::{name}"), move || {
            let folder = folder("cohort").expect("a folder");
            let url = format!("sqlite://{}", folder.path().join("locks.db").display());
            test(&url, folder.path());
            Ok(())
        }));
        trials.push(Trial::ignorable_test(format!("redis::{name}"), move || {
            let folder = folder("cohort").expect("a folder");
            on_redis(&RedisSetup::new(Flavour::Redis), |server| test(&server.url(), folder.path()))
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn two(url: &str) -> [Client; 2] {
    [0; 2].map(|_| Client::connect(url).expect("a client"))
}

fn hot(client: &Client) -> Lock {
    client.lock("hot").order(Order::Throughput)
}

/// Oracles O1 and O2, and that most tenures went on without the store: else this would test nothing.
fn threads_of_two_clients_exclude_each_other(url: &str, _: &Path) {
    const THREADS: usize = 8;
    const TURNS: u64 = 150;
    let clients = two(url);
    let (inside, last) = (AtomicI64::new(0), AtomicU64::new(0));
    let (passed, turns) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let client = &clients[thread % 2];
            let (inside, last, passed, turns) = (&inside, &last, &passed, &turns);
            scope.spawn(move || {
                for _ in 0..TURNS {
                    let lease = hot(client).acquire_blocking().expect("granted");
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "not alone");
                    let before = last.swap(lease.fence(), Ordering::SeqCst);
                    assert!(lease.fence() > before, "{} after {before}", lease.fence());
                    passed.fetch_add(u64::from(lease.fence() == before + 1), Ordering::SeqCst);
                    turns.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    block_on(lease.release());
                }
            });
        }
    });
    let (passed, turns) = (passed.into_inner(), turns.into_inner());
    println!("{passed} of {turns} turns with no step of the store");
    assert_eq!(turns, THREADS as u64 * TURNS);
    assert!(passed > turns / 4, "hardly any went from hand to hand");
    await_view(&clients[0], "hot", "free", is_free);
}

/// Hazard 48, counted: what others of one client get between the moment when a waiter of another is seen
/// in the queue and its grant. They never stop of themselves.
fn who_waits_elsewhere_is_overtaken_by_few(url: &str, _: &Path) {
    const ROUNDS: usize = 20;
    const STARVED: u64 = 20_000;
    let [near, far] = two(url);
    let stop = AtomicBool::new(false);
    let grants = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            let (near, stop, grants) = (&near, &stop, &grants);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let lease = hot(near).acquire_blocking().expect("granted");
                    grants.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    block_on(lease.release());
                }
            });
        }
        let mut most = 0;
        for _ in 0..ROUNDS {
            let wait = far.lock("hot").note("from afar").wait(Duration::from_secs(120));
            let waiter = scope.spawn(move || wait.acquire_blocking());
            let seen = loop {
                let view = block_on(far.inspect("hot")).expect("a view");
                let before = grants.load(Ordering::SeqCst);
                let holds = view.holder.is_some_and(|holder| holder.profile.note == "from afar");
                let waits = view.queue.iter().any(|waiter| waiter.profile.note == "from afar");
                if waits || holds || waiter.is_finished() {
                    break before;
                }
            };
            while !waiter.is_finished() && grants.load(Ordering::SeqCst) - seen < STARVED {
                std::thread::yield_now();
            }
            let overtaken = grants.load(Ordering::SeqCst) - seen;
            if overtaken >= STARVED {
                stop.store(true, Ordering::SeqCst);
            }
            let lease = waiter.join().expect("no panic").expect("granted");
            assert!(overtaken <= MOST, "{overtaken} went before it");
            most = most.max(overtaken);
            block_on(lease.release());
        }
        stop.store(true, Ordering::SeqCst);
        println!("at most {most} went before it, of {} grants", grants.load(Ordering::SeqCst));
    });
    assert!(grants.load(Ordering::SeqCst) > 2 * MOST, "nobody was in the way");
    await_view(&near, "hot", "free", is_free);
}

/// Hazard 76: no two names are one lock, and none is forgotten while it is held.
fn ten_thousand_names_are_as_many_locks(url: &str, _: &Path) {
    const NAMES: usize = 10_000;
    let [client, other] = two(url);
    let lock = |client: &Client, name: usize| {
        client.lock(format!("name {name}")).order(Order::Throughput).wait(Duration::from_secs(60))
    };
    let mut held = Vec::with_capacity(NAMES);
    block_on(async {
        for name in 0..NAMES {
            held.push(lock(&client, name).acquire().await.expect("nobody else asks for it"));
        }
        let mut fences: Vec<u64> = held.iter().map(leasehold::Lease::fence).collect();
        assert!(held.iter().all(leasehold::Lease::is_held));
        fences.dedup();
        assert!(fences.len() > NAMES / 2, "hardly any fence is a lock's own");
        // Every other one is given back, and these alone are free.
        let mut index = 0;
        held.retain(|_| {
            index += 1;
            index % 2 == 0
        });
        for name in (0..NAMES).step_by(499) {
            if name % 2 == 0 {
                await_view(&client, &format!("name {name}"), "free", is_free);
            }
            let found = lock(&other, name).try_acquire().await.expect("an answer");
            assert_eq!(found.is_some(), name % 2 == 0, "name {name}");
            let again = lock(&client, name).try_acquire().await.expect("an answer");
            assert!(again.is_none(), "name {name} is held, here or there");
        }
        for lease in held {
            lease.release().await;
        }
    });
    await_view(&client, "name 9999", "free", is_free);
}

fn crowd(url: &str, folder: &Path, who: &str, count: u64, tasks: u64) -> Process {
    let mut command = Command::new(program("leasehold-testkit", "contender"));
    command.args([url, "hot", &count.to_string()]).arg(folder);
    command.args(["--who", who, "--tasks", &tasks.to_string(), "--ttl-ms", "2000"]);
    Process::start(&mut command)
}

/// Oracles O1 and O2, by files and the kernel's clock.
fn processes_exclude_each_other(url: &str, folder: &Path) {
    const TASKS: u64 = 5;
    const TURNS: u64 = 60;
    let mut crowds: Vec<Process> =
        (0..3).map(|index| crowd(url, folder, &format!("crowd-{index}"), TURNS, TASKS)).collect();
    for crowd in &mut crowds {
        crowd.wait_for("ready");
        crowd.say("go");
    }
    for mut crowd in crowds {
        crowd.wait_for("done");
        assert!(crowd.finish().success());
    }
    let verdict = judge(folder).expect("the oracle's files");
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!(verdict.ended, 3 * TASKS * TURNS, "{verdict}");
    let pairs = || verdict.sections.iter().zip(&verdict.sections[1..]);
    let moved = pairs().filter(|(one, next)| one.pid != next.pid).count();
    let passed = pairs().filter(|(one, next)| one.fence + 1 == next.fence).count();
    println!("{verdict}; {passed} went from hand to hand, {moved} to another process");
    assert!(passed as u64 > verdict.ended / 4 && moved > 2, "{passed} and {moved}");
}

/// A process that is killed, its holder, its waiters and the one who asks for them, holds the others up
/// for the lease that it had.
fn a_killed_cohort_costs_one_lease(url: &str, folder: &Path) {
    let mut dead = crowd(url, folder, "dead", 1_000_000, 4);
    dead.wait_for("ready");
    dead.say("go");
    for _ in 0..3 {
        dead.wait_for("granted");
    }
    let client = Client::connect(url).expect("a client");
    dead.kill();
    let begin = Instant::now();
    let lock = client.lock("hot").order(Order::Throughput).wait(Duration::from_secs(60));
    let lease = lock.acquire_blocking().expect("the dead hold nothing for ever");
    let took = begin.elapsed();
    println!("granted after {took:.2?}");
    // Its ttl, what the store keeps beyond it, the claim of the one who asked, and room.
    assert!(took < millis(2000 + 500 + 1500) + Duration::from_secs(10), "{took:?}");
    let verdict = judge(folder).expect("the oracle's files");
    assert!(verdict.overlaps.is_empty() && verdict.disorder.is_empty(), "{verdict}");
    let last = verdict.sections.iter().map(|section| section.fence).max().unwrap_or_default();
    assert!(lease.fence() > last, "{} after {last}", lease.fence());
}
