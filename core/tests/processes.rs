//! Real processes on one database file: they exclude each other by the word of an oracle outside
//! the library, whatever is killed or stopped.
//!
//! The command and the Rust contender are built on the way. Python joins where `LEASEHOLD_PYTHON`
//! names an interpreter that has the package, and must where `REQUIRE` names `python`.
#![allow(clippy::disallowed_methods, reason = "real processes in real time")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leasehold::{Client, block_on};
use leasehold_testkit::contract::required;
use leasehold_testkit::oracle::{Verdict, boot_nanos, judge};
use leasehold_testkit::{Face, Guarded, Process, folder, program, stop_between_steps};
use tempfile::TempDir;

/// One at a time: each test measures, or loads the machine.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Arena {
    folder: TempDir,
    url: String,
}

impl Arena {
    fn new(test: &str) -> Self {
        let folder = folder(test).expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("locks.db").display());
        Self { folder, url }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("locks.db")
    }

    fn client(&self) -> Client {
        Client::connect(&self.url).expect("a client")
    }

    fn holder(&self, name: &str, ttl_ms: u64) -> Process {
        let mut command = Command::new(program("leasehold-testkit", "holder"));
        let holder = Process::start(command.args([&self.url, name, &ttl_ms.to_string()]));
        holder.wait_for("ready");
        holder
    }

    fn contender(&self, face: Face, who: &str, count: usize) -> Process {
        let words = [&self.url, "contended", who];
        let command = face.contender(words, count, self.folder.path());
        Process::start(&mut command.expect("it is here"))
    }

    /// Lets all start at once, and waits for their ends.
    fn run(&self, mut contenders: Vec<Process>) -> (Verdict, Duration) {
        for contender in &contenders {
            contender.wait_for("ready");
        }
        let start = Instant::now();
        for contender in &mut contenders {
            contender.say("go");
        }
        for mut contender in contenders {
            contender.wait_for("done");
            assert!(contender.finish().success(), "{:?}", contender.lines());
        }
        (judge(self.folder.path()).expect("the oracle's files"), start.elapsed())
    }

    /// Waits until `count` wait for `name`. Polls: nobody is told when another queues.
    fn await_queue(&self, client: &Client, name: &str, count: u64) {
        let patience = Instant::now() + Duration::from_secs(60);
        while block_on(client.inspect(name)).expect("a view").waiting != count {
            assert!(Instant::now() < patience, "{count} never waited for {name}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A lost wake-up costs at most a heartbeat, and an orphan would cost a ttl of 30 s.
fn assert_progress(verdict: &Verdict) {
    let bound = leasehold::options::HEARTBEAT + Duration::from_secs(5);
    assert!(verdict.longest_gap() <= bound, "nobody held the lock for long: {verdict}");
}

/// Fence and time of the grant that `holder` reports.
fn granted(holder: &Process) -> (u64, u64) {
    let line = holder.wait_for("granted");
    let (fence, at) = line.split_once(' ').expect("fence and time");
    (fence.parse().expect("a fence"), at.parse().expect("a time"))
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[test]
fn a_mix_of_eight_processes_never_overlaps() {
    let _alone = alone();
    let arena = Arena::new("mix");
    let python = Face::Python.runner();
    assert!(python.is_ok() || !required("python"), "REQUIRE names python: {python:?}");
    let third = if python.is_ok() { Face::Python } else { Face::Rust };
    let mix = [(Face::Rust, "rust", 3), (Face::Cli, "shell", 2), (third, "third", 3)];
    let each = mix.into_iter().flat_map(|(face, who, crowd)| {
        (0..crowd).map(move |index| (face, format!("{who}-{index}")))
    });
    let contenders = each.map(|(face, who)| arena.contender(face, &who, 200)).collect();
    let (verdict, took) = arena.run(contenders);
    println!("{verdict}; {:.1} s", took.as_secs_f64());
    assert!(verdict.is_clean(), "{:?} {:?}", verdict.overlaps, verdict.disorder);
    assert_progress(&verdict);
    assert_eq!((verdict.ended, verdict.killed), (1600, 0));
    assert_eq!(verdict.shares().len(), 8);
}

#[test]
fn sixteen_processes_never_see_busy() {
    let _alone = alone();
    let arena = Arena::new("sixteen");
    let contenders =
        (0..16).map(|index| arena.contender(Face::Rust, &format!("rust-{index}"), 1000)).collect();
    let (verdict, took) = arena.run(contenders);
    let rate = 16_000.0 / took.as_secs_f64();
    println!("{verdict}; {:.1} s, {rate:.0} hand-offs per second", took.as_secs_f64());
    assert!(verdict.is_clean(), "{:?} {:?}", verdict.overlaps, verdict.disorder);
    assert_progress(&verdict);
    assert_eq!((verdict.ended, verdict.killed), (16_000, 0));
    assert!(verdict.fairness() > 0.9, "first come, first served: {verdict}");
}

#[test]
fn a_killed_holder_is_followed_at_its_expiry() {
    let _alone = alone();
    let arena = Arena::new("kill-holder");
    let client = arena.client();
    let mut holder = arena.holder("killed", 1000);
    let (fence, _) = granted(&holder);
    let waiter = arena.holder("killed", 1000);
    arena.await_queue(&client, "killed", 1);
    holder.kill();
    let view = block_on(client.inspect("killed")).expect("a view").holder.expect("still held");
    let expiry = boot_nanos() + view.stored.as_nanos() as u64;
    assert_eq!(view.fence, fence);
    let (next, at) = granted(&waiter);
    let late = seconds(at) - seconds(expiry);
    println!("granted {late:.3} s after the expiry that the store keeps (ttl + grace)");
    assert!(next > fence, "fence {next} after {fence}");
    // A few ms before: the view was read at some moment before the clock was.
    assert!((-0.2..=0.5).contains(&late), "{late} s after the expiry");
}

#[test]
fn a_killed_first_waiter_delays_the_rest_little() {
    let _alone = alone();
    let arena = Arena::new("kill-waiter");
    let client = arena.client();
    let lease = client.lock("waiters").acquire_blocking().expect("free");
    let mut first = arena.holder("waiters", 30_000);
    arena.await_queue(&client, "waiters", 1);
    let second = arena.holder("waiters", 30_000);
    arena.await_queue(&client, "waiters", 2);
    first.kill();
    let released = boot_nanos();
    block_on(lease.release());
    let (_, at) = granted(&second);
    let delay = seconds(at) - seconds(released);
    println!("the second waiter was granted {delay:.3} s after the release");
    let bound = leasehold::options::ALIVE_FOR + leasehold::options::CLAIM;
    assert!(delay <= bound.as_secs_f64() + 1.0, "{delay} s");
}

#[test]
fn a_stopped_first_waiter_delays_the_rest_by_its_claim_and_comes_back() {
    let _alone = alone();
    let arena = Arena::new("stop-waiter");
    let client = arena.client();
    let lease = client.lock("waiters").acquire_blocking().expect("free");
    let first = arena.holder("waiters", 30_000);
    arena.await_queue(&client, "waiters", 1);
    let mut second = arena.holder("waiters", 30_000);
    arena.await_queue(&client, "waiters", 2);
    stop_between_steps(&first, &arena.database());
    let released = boot_nanos();
    block_on(lease.release());
    let (fence, at) = granted(&second);
    let delay = seconds(at) - seconds(released);
    println!("the second waiter was granted {delay:.3} s after the release");
    let bound = leasehold::options::ALIVE_FOR + leasehold::options::CLAIM;
    assert!(delay <= bound.as_secs_f64() + 1.0, "{delay} s");
    // Its claim is over; it must wait again instead of believing the hand-off in its socket.
    first.wake();
    arena.await_queue(&client, "waiters", 1);
    second.say("release");
    second.wait_for("released");
    let (again, _) = granted(&first);
    assert!(again > fence, "fence {again} after {fence}");
}

#[test]
fn a_holder_stopped_beyond_its_ttl_knows_and_is_refused() {
    let _alone = alone();
    let arena = Arena::new("stop-holder");
    let guarded = arena.folder.path().join("guarded.db");
    let table = Guarded::create(&guarded);
    let mut stopped = arena.holder("stopped", 1000);
    let (old, _) = granted(&stopped);
    stopped.say("held");
    assert_eq!(stopped.wait_for("held"), "true");
    stop_between_steps(&stopped, &arena.database());
    let start = Instant::now();
    let mut next = arena.holder("stopped", 30_000);
    let (fence, _) = granted(&next);
    assert!(fence > old, "fence {fence} after {old}");
    println!("the next was granted {:.3} s after the stop", start.elapsed().as_secs_f64());
    next.say(&format!("write {}", guarded.display()));
    assert_eq!(next.wait_for("w"), "ritten");
    // It reads these as soon as it wakes, before any thread of the library has told it anything.
    stopped.say("held");
    stopped.say(&format!("write {}", guarded.display()));
    stopped.wake();
    assert_eq!(stopped.wait_for("held"), "false expired", "at the very first look");
    stopped.wait_for("refused");
    next.say("held");
    assert_eq!(next.wait_for("held"), "true");
    assert_eq!(table.row(), (fence, 1), "only the newer holder's write took place");
}
