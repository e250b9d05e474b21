//! Owners that take locks in one order, on a real store: they can't wait in a circle, however they are
//! interleaved, and nothing that the search reads while they change may look like one.
#![allow(unreachable_pub, reason = "a part of two tests")]

use std::time::Duration;

use leasehold::{Client, Lease, Owner, block_on};
use leasehold_testkit::{SeededRandom, size};

const OWNERS: u64 = 16;
const LEVELS: u64 = 10;

/// So many looks along chains of waits on the store at `url` find nothing.
pub fn no_phantoms(url: &str, seed: u64) {
    let looks = size(300, 10_000) as u64;
    let clients = [0; 2].map(|_| Client::connect(url).expect("a client"));
    let counts = || clients.each_ref().map(|client| client.deadlocks().expect("counts"));
    let enough = || counts().iter().map(|count| count.looks).sum::<u64>() >= looks;
    std::thread::scope(|scope| {
        for owner in 0..OWNERS {
            let (client, enough) = (&clients[owner as usize % 2], &enough);
            scope.spawn(move || {
                let random = SeededRandom::new(seed ^ owner);
                while !enough() {
                    climb(client, Owner::from_number(u128::from(owner)), &random);
                }
            });
        }
    });
    for count in counts() {
        println!("    {count:?}");
        assert_eq!((count.found, count.victims, count.cut), (0, 0, 0));
        assert!(count.deepest > 1, "nobody waited for one who waits");
    }
}

/// One unit of work: takes some locks, each of a higher level than the last, and gives them back in any
/// order, so that those who wait for one of them go on while others look.
#[allow(clippy::disallowed_methods, reason = "stands for the work that is done under the locks")]
fn climb(client: &Client, owner: Owner, random: &SeededRandom) {
    let work = || std::thread::sleep(Duration::from_millis(random.below(12)));
    let (mut held, mut level) = (Vec::<Lease>::new(), random.below(3));
    while level < LEVELS && (held.is_empty() || random.below(4) > 0) {
        let lock = client.lock(format!("level {level}")).owner(owner);
        held.push(lock.acquire_blocking().expect("no cycle"));
        level += 1 + random.below(3);
        work();
    }
    while !held.is_empty() {
        let lease = held.swap_remove(random.below(held.len() as u64) as usize);
        block_on(lease.release());
        work();
    }
}
