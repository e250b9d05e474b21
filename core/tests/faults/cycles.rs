//! Owners in several processes that wait for each other.

#[path = "../common/chains.rs"]
mod chains;
#[path = "../common/ring.rs"]
mod ring;

use std::time::Duration;

use leasehold::{Client, ErrorKind, Owner, block_on};

use super::scene::{LONG, Scene, Test, eventually, test};
use crate::common::seed;

pub(super) const TESTS: &[Test] = &[
    test("of_two_to_eight_processes", |scene| ring::close_all(&scene.server.url())),
    test("that_are_none_are_never_found", |scene| {
        chains::no_phantoms(&scene.server.url(), seed());
    }),
    test("are_not_sought_among_waits_that_are_over", over),
];

/// What an owner once waited for is not looked up again: one that waits often would be searched for ever
/// longer.
fn over(scene: &Scene<'_>) {
    let notes = || scene.server.admin(&["KEYS", "leasehold:o:*"]).list().len();
    let lock = |client: &Client| client.lock("often").ttl(LONG);
    let wanted = || lock(&scene.client).owner(Owner::from_number(7));
    for _ in 0..10 {
        let held = lock(&scene.other).acquire_blocking().expect("free");
        let late = wanted().wait(Duration::from_millis(20)).acquire_blocking();
        assert_eq!(late.expect_err("it is held").kind(), ErrorKind::Timeout);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| wanted().acquire_blocking());
            eventually("it is noted what is waited for", || notes() == 1);
            block_on(held.release());
            let granted = waits.join().expect("no panic").expect("it is handed over");
            block_on(granted.release());
        });
        eventually("nothing is noted any more", || notes() == 0);
    }
}
