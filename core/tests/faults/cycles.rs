//! Owners in several processes that wait for each other.

#[path = "../common/ring.rs"]
mod ring;

use super::scene::{Scene, Test, report, test};

pub(super) const TESTS: &[Test] = &[test("of_two_to_eight_processes", rings)];

fn rings(scene: &Scene<'_>) {
    for owners in 2..=8 {
        let took = ring::close(&scene.server.url(), owners);
        report(&format!("a cycle of {owners} processes was found after {took:.1?}"));
    }
}
