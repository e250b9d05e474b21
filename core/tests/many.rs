//! Fifty thousand leases of one process, for several ttls, in real time (hazard 20).
#![allow(clippy::disallowed_methods, reason = "measures real time")]

use std::sync::mpsc;
use std::time::{Duration, Instant};

use leasehold::{Client, Lease, block_on};
use leasehold_testkit::size;

const LEASES: usize = 50_000;
const TTL: Duration = Duration::from_secs(6);

#[test]
fn fifty_thousand_leases_are_kept() {
    let ttls = size(3, 10) as u32;
    let client = Client::connect("memory://").expect("a client");
    let (tell, told) = mpsc::channel();
    let start = Instant::now();
    let leases: Vec<Lease> = (0..LEASES)
        .map(|index| {
            let lock = client.lock(format!("many {index}")).ttl(TTL);
            let lease = lock.acquire_blocking().expect("free");
            let tell = tell.clone();
            lease.on_lost(move |reason| {
                let _ = tell.send((index, reason));
            });
            lease
        })
        .collect();
    let taken = start.elapsed();
    let mut shortest = TTL;
    let until = Instant::now() + TTL * ttls;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        // The event to wait for is a loss; until then, how close the renewals come is looked at.
        if let Ok((index, reason)) = told.recv_timeout(left.min(Duration::from_millis(500))) {
            panic!("lease {index} was lost: {reason}");
        }
        let least = leases.iter().map(Lease::remaining).min().unwrap_or_default();
        shortest = shortest.min(least);
    }
    assert!(leases.iter().all(Lease::is_held));
    let start = Instant::now();
    assert!(block_on(client.shutdown(Duration::from_secs(60))), "all were given back");
    println!(
        "{LEASES} leases taken in {taken:.1?} and kept for {ttls} ttls of {TTL:?}: 0 lost, the \
         closest had {shortest:.1?} left; given back in {:.1?}",
        start.elapsed()
    );
}
