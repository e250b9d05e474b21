//! The shipped client, a real server, and a network in between that fails on command: what a holder,
//! a waiter and a stranger see when answers are lost, come late, or never come.
//!
//! The simulator proves the protocol in virtual time; here it is the sockets, the threads and the
//! kernel's clock that are on trial. So nothing waits for a span where it can wait for an event, and
//! every bound on a time has room for a loaded machine: what was measured is printed.
#![allow(clippy::disallowed_methods, reason = "real servers in real time")]

mod answers;
mod flushed;
mod holding;
mod late;
mod pushes;
mod restart;
mod scene;
mod starved;

use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::server::{Flavour, RedisServer, RedisSetup, on_redis};
use libtest_mimic::{Arguments, Trial};

use scene::{Scene, Test};

fn main() {
    let mut arguments = Arguments::from_args();
    // They wait most of the time, for deadlines.
    arguments.test_threads.get_or_insert(6);
    let parts: &[(&str, &[Test])] = &[
        ("holding", holding::TESTS),
        ("starved", starved::TESTS),
        ("answers", answers::TESTS),
        ("late", late::TESTS),
        ("pushes", pushes::TESTS),
        ("flushed", flushed::TESTS),
        ("restart", restart::TESTS),
    ];
    let trial = |part: &str, test: &'static Test| {
        Trial::ignorable_test(format!("{part}::{}", test.name), || {
            let setup = (test.setup)(RedisSetup::new(Flavour::Redis));
            on_redis(&setup, |server| (test.body)(&scene(server)))
        })
    };
    let trials = parts.iter().flat_map(|(part, tests)| tests.iter().map(|test| trial(part, test)));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn scene(server: &RedisServer) -> Scene<'_> {
    Scene::new(server, Proxy::start(server.address()))
}
