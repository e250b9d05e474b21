//! Owners in processes of their own, each of which holds a lock and waits for the next one's.
#![allow(unreachable_pub, reason = "a part of two tests")]

use std::process::Command;
use std::time::Duration;

use leasehold::{Client, block_on};
use leasehold_testkit::{Process, program, size};

/// How late a wait that closes a cycle may end on a machine that is busy with other tests. Far below
/// the time after which it would end without the search.
const BOUND: Duration = Duration::from_secs(5);

/// Closes rings of two to eight processes on the store at `url`, each length several times, and says how
/// long after the closing wait began it was found.
pub fn close_all(url: &str) {
    let client = Client::connect(url).expect("a client");
    let mut crowd: Vec<Process> = (0..8)
        .map(|number: u32| {
            let mut command = Command::new(program("leasehold-testkit", "owner"));
            Process::start(command.args([url, &number.to_string()]))
        })
        .collect();
    for owner in &mut crowd {
        owner.wait_for("ready");
    }
    let mut all = Vec::new();
    for owners in 2..=crowd.len() {
        let rounds = 0..size(5, 100);
        let took: Vec<Duration> =
            rounds.map(|round| close(&client, &mut crowd[..owners], round)).collect();
        println!("    a cycle of {owners} processes: {}", spread(&took));
        all.extend(took);
    }
    println!("    found after: {}", spread(&all));
}

/// Only the wait that closes the ring ends, and says of how many waits it consists; the others go on,
/// and are granted once the way is free. How long it took from that wait's begin.
#[allow(clippy::disallowed_methods, reason = "another process's place in a queue has no event")]
fn close(client: &Client, ring: &mut [Process], round: usize) -> Duration {
    let owners = ring.len();
    let name = |index: usize| format!("ring {round} of {owners}: {}", index % owners);
    let before: Vec<usize> = ring.iter().map(ended).collect();
    for (index, owner) in ring.iter_mut().enumerate() {
        owner.say(&format!("take {}", name(index)));
        owner.wait_for("took");
    }
    for (index, owner) in ring[..owners - 1].iter_mut().enumerate() {
        owner.say(&format!("want {}", name(index + 1)));
        owner.wait_for("wants");
        // In the queue before the next one begins, so that the last is the youngest.
        while block_on(client.inspect(&name(index + 1))).expect("a view").waiting == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let last = &mut ring[owners - 1];
    last.say(&format!("want {}", name(owners)));
    let begun = last_word(&last.wait_for("wants"));
    let said = last.wait_for("ended");
    let words: Vec<&str> = said.split(' ').collect();
    assert_eq!((words[0], words[2]), ("DEADLOCK", &*owners.to_string()), "{said}");
    let took = Duration::from_nanos(words[1].parse::<u64>().expect("a time") - begun);
    assert!(took < BOUND, "it took {took:?}");
    // The victim obeys the error: what it holds goes to who waits for it, and so on round.
    last.say(&format!("drop {}", name(owners - 1)));
    last.wait_for("dropped");
    for index in (0..owners - 1).rev() {
        ring[index].wait_for("got");
        for held in [index, index + 1] {
            ring[index].say(&format!("drop {}", name(held)));
            ring[index].wait_for("dropped");
        }
    }
    for (index, (owner, before)) in ring.iter().zip(before).enumerate() {
        assert_eq!(ended(owner) - before, usize::from(index + 1 == owners), "one victim");
    }
    took
}

/// How many of its waits a deadlock ended.
fn ended(owner: &Process) -> usize {
    owner.lines().iter().filter(|line| line.starts_with("ended")).count()
}

fn spread(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
    let (p50, p95, most) = (at(0.5), at(0.95), at(1.0));
    format!("{} times, p50 {p50:.1?}, p95 {p95:.1?}, most {most:.1?}", sorted.len())
}

fn last_word(line: &str) -> u64 {
    line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a time")
}
