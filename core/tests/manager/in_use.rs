//! The local state of a name: one for each name in use, none besides (hazard 76).

use std::collections::BTreeSet;
use std::time::Duration;

use leasehold::manager::{Config, Manager};
use leasehold::{Lease, block_on};
use leasehold_testkit::SeededRandom;

use super::scene::seed;

pub(super) const PLAIN: &[super::Plain] = super::plain![
    ten_thousand_names_held_by_one_task_are_ten_thousand_locks,
    a_million_names_used_once_leave_nothing,
    what_is_held_waited_for_and_described_is_counted,
    one_that_is_lost_is_not_held,
];

const HELD: usize = 10_000;
const ONCE: usize = 1_000_000;

fn manager() -> Manager {
    let config = Config::new().store("main", "memory://").expect("the first");
    Manager::new(config).expect("it is right")
}

/// Names that a table of hashes, a prefix or a normalisation could take for each other.
fn names(random: &SeededRandom) -> Vec<String> {
    const PARTS: [&str; 8] = ["a", "A", "ä", "a\u{308}", ":", " ", "\0", "aa"];
    let mut names = BTreeSet::new();
    while names.len() < HELD {
        let length = 1 + random.below(9);
        let part = |_| PARTS[random.below(PARTS.len() as u64) as usize];
        names.insert((0..length).map(part).collect::<String>());
    }
    let mut names: Vec<String> = names.into_iter().collect();
    for last in (1..names.len()).rev() {
        names.swap(last, random.below(last as u64 + 1) as usize);
    }
    names
}

fn ten_thousand_names_held_by_one_task_are_ten_thousand_locks() {
    let manager = manager();
    let random = SeededRandom::new(seed());
    let names = names(&random);
    block_on(async {
        let mut leases: Vec<Lease> = Vec::new();
        for name in &names {
            // Were it another name's lock, it would be taken.
            let lease = manager.lock(name).expect("a name").try_acquire().await.expect("an answer");
            leases.push(lease.unwrap_or_else(|| panic!("{name:?} is another's")));
        }
        let usages = manager.usages();
        assert_eq!(usages.len(), HELD);
        assert!(usages.iter().all(|it| (it.held, it.waiting, it.idle) == (1, 0, 0)));
        // Half of them go: the others stay as they are.
        let mut stay = leases.split_off(HELD / 2);
        for lease in &leases {
            lease.release().await;
        }
        drop(leases);
        assert_eq!(manager.usages().len(), HELD - HELD / 2);
        for (name, lease) in names[HELD / 2..].iter().zip(&stay) {
            assert!(lease.is_held());
            assert_eq!(manager.usage(name).map(|it| it.held), Some(1), "{name:?}");
            let again = manager.lock(name).expect("a name").try_acquire().await;
            assert!(again.expect("an answer").is_none(), "{name:?} is held");
        }
        for name in &names[..HELD / 2] {
            assert_eq!(manager.usage(name), None, "{name:?}");
        }
        stay.clear();
        assert_eq!(manager.usages(), []);
    });
}

fn a_million_names_used_once_leave_nothing() {
    /// Much less than a hundred bytes for each of the later names, and room for whatever else runs.
    const ROOM: usize = 64 << 20;
    const PARTS: usize = 10;
    let manager = manager();
    let mut resident_then = Vec::new();
    for part in 0..PARTS {
        for index in part * ONCE / PARTS..(part + 1) * ONCE / PARTS {
            let lock = manager.lock(&format!("once {index}")).expect("a name");
            // Not all: the store itself remembers for a minute that a tenure has ended.
            if index % 1000 == 0 {
                block_on(async { lock.acquire().await.expect("granted").release().await });
            }
        }
        assert_eq!(manager.usages(), []);
        resident_then.push(resident());
    }
    let (first, last) = (resident_then[0], resident_then[PARTS - 1]);
    println!("{} MiB after the first tenth, {} MiB after the last", first >> 20, last >> 20);
    assert!(last <= first + ROOM, "it grew from {first} to {last} bytes");
}

fn what_is_held_waited_for_and_described_is_counted() {
    let manager = manager();
    let counts =
        |manager: &Manager| manager.usage("counted").map(|it| (it.held, it.waiting, it.idle));
    assert_eq!(counts(&manager), None);
    let lock = manager.lock("counted").expect("a name");
    assert_eq!(counts(&manager), Some((0, 0, 1)));
    assert_eq!(manager.usage("counted").and_then(|it| it.last_used_us), None);
    block_on(async {
        let lease = lock.clone().acquire().await.expect("granted");
        assert_eq!(counts(&manager), Some((1, 0, 1)), "a clone describes the same");
        let used = manager.usage("counted").and_then(|it| it.last_used_us).expect("it was used");
        let mut waiting = Box::pin(lock.clone().wait(Duration::from_secs(60)).acquire());
        std::future::poll_fn(|context| {
            assert!(waiting.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        assert_eq!(counts(&manager), Some((1, 1, 1)));
        drop(lock);
        lease.release().await;
        assert_eq!(manager.usage("counted").map(|it| it.held), Some(0), "released, not dropped");
        let next = waiting.await.expect("granted");
        assert_eq!(counts(&manager), Some((1, 0, 1)), "the released lease is still there");
        drop(lease);
        assert_eq!(counts(&manager), Some((1, 0, 0)));
        assert!(manager.usage("counted").and_then(|it| it.last_used_us) >= Some(used));
        let refused = manager.lock("counted").expect("a name").try_acquire().await;
        assert!(refused.expect("an answer").is_none());
        assert_eq!(counts(&manager), Some((1, 0, 0)), "who was refused is gone");
        let mut dropped = Box::pin(manager.lock("counted").expect("a name").acquire());
        std::future::poll_fn(|context| {
            assert!(dropped.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        assert_eq!(counts(&manager), Some((1, 1, 0)));
        drop(dropped);
        assert_eq!(counts(&manager), Some((1, 0, 0)));
        drop(next);
        assert_eq!(counts(&manager), None);
    });
}

fn one_that_is_lost_is_not_held() {
    let manager = manager();
    block_on(async {
        let lock = manager.lock("lost").expect("a name").ttl(Duration::from_millis(50));
        let lease = lock.fixed_term().acquire().await.expect("granted");
        lease.lost().await;
        // The listener of the count was called before or is called now, by the same thread.
        let patience = std::time::Instant::now() + Duration::from_secs(30);
        while manager.usage("lost").map(|it| (it.held, it.idle)) != Some((0, 1)) {
            assert!(std::time::Instant::now() < patience, "{:?}", manager.usage("lost"));
            std::thread::yield_now();
        }
        drop(lease);
        assert_eq!(manager.usage("lost"), None);
    });
}

/// What of the process is in memory, in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0_usize);
    pages * 4096
}
