//! Owners in several processes that wait for each other.

#[path = "../common/chains.rs"]
mod chains;
#[path = "../common/ring.rs"]
mod ring;

use super::scene::{Test, test};
use crate::common::seed;

pub(super) const TESTS: &[Test] = &[
    test("of_two_to_eight_processes", |scene| ring::close_all(&scene.server.url())),
    test("that_are_none_are_never_found", |scene| {
        chains::no_phantoms(&scene.server.url(), seed());
    }),
];
