//! Owners in processes of their own, each of which holds a lock and waits for the next one's.
#![allow(unreachable_pub, reason = "a part of two tests")]

use std::process::Command;
use std::time::Duration;

use leasehold::{Client, block_on};
use leasehold_testkit::{Process, program};

/// How late a wait that closes a cycle may end on a machine that is busy with other tests. Far below
/// the time after which it would end without the search.
const BOUND: Duration = Duration::from_secs(5);

/// Closes a ring of so many owners on the store at `url`. Only the wait that closes it ends, and says
/// of how many waits the cycle consists; the others go on, and are granted once the way is free. How
/// long it took from that wait's begin.
#[allow(clippy::disallowed_methods, reason = "another process's place in a queue has no event")]
pub fn close(url: &str, owners: usize) -> Duration {
    let client = Client::connect(url).expect("a client");
    let name = |index: usize| format!("ring of {owners}: {}", index % owners);
    let mut ring: Vec<Process> = (0..owners)
        .map(|index| {
            let number = (owners * 100 + index).to_string();
            Process::start(Command::new(program("leasehold-testkit", "owner")).args([url, &number]))
        })
        .collect();
    for (index, owner) in ring.iter_mut().enumerate() {
        owner.wait_for("ready");
        owner.say(&format!("take {}", name(index)));
        owner.wait_for("took");
    }
    for (index, owner) in ring.iter_mut().enumerate() {
        owner.say(&format!("want {}", name(index + 1)));
        let wants = owner.wait_for("wants");
        if index + 1 < owners {
            // In the queue before the next one begins, so that the last is the youngest.
            let next = name(index + 1);
            while block_on(client.inspect(&next)).expect("a view").waiting == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            continue;
        }
        let begun: u64 = last_word(&wants);
        let ended = owner.wait_for("ended");
        let words: Vec<&str> = ended.split(' ').collect();
        assert_eq!((words[0], words[2]), ("DEADLOCK", &*owners.to_string()), "{ended}");
        let took = Duration::from_nanos(words[1].parse::<u64>().expect("a time") - begun);
        assert!(took < BOUND, "it took {took:?}");
        // The victim obeys the error: what it holds goes to who waits for it, and so on round.
        owner.say(&format!("drop {}", name(index)));
        owner.wait_for("dropped");
        for index in (0..owners - 1).rev() {
            ring[index].wait_for("got");
            ring[index].say(&format!("drop {}", name(index)));
            ring[index].wait_for("dropped");
        }
        for owner in &ring {
            let ended = |line: &String| line.starts_with("ended");
            let own = owner.lines().iter().filter(|line| ended(line)).count();
            assert_eq!(own, usize::from(owner.id() == ring[owners - 1].id()), "one victim");
        }
        return took;
    }
    unreachable!("a ring has a last owner");
}

fn last_word(line: &str) -> u64 {
    line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a time")
}
