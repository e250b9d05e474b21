//! The shipped client, a real server, and a network in between that fails on command: what a holder,
//! a waiter and a stranger see when answers are lost, come late, or never come.
//!
//! The simulator proves the protocol in virtual time; here it is the sockets, the threads and the
//! kernel's clock that are on trial. So nothing waits for a span where it can wait for an event, and
//! every bound on a time has room for a loaded machine: what was measured is printed.
#![allow(clippy::disallowed_methods, reason = "real servers in real time")]

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod crowds;
mod cycles;
mod flushed;
mod guards;
mod histories;
mod holding;
mod late;
mod memory;
mod nolua;
mod odd_keys;
mod parties;
mod pushes;
mod restart;
mod rights;
mod scene;
mod secrets;
mod starved;

use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::server::{Flavour, RedisServer, RedisSetup, on_redis};
use libtest_mimic::{Arguments, Trial};

use scene::{Scene, Test};

const REDIS: &[Flavour] = &[Flavour::Redis];
const BOTH: &[Flavour] = &Flavour::ALL;
const LATER: &[Flavour] = &[Flavour::Redis8, Flavour::Valkey9];

const PARTS: &[(&str, &[Test], &[Flavour])] = &[
    ("holding", holding::TESTS, REDIS),
    ("starved", starved::TESTS, REDIS),
    ("answers", answers::TESTS, BOTH),
    ("late", late::TESTS, BOTH),
    ("pushes", pushes::TESTS, REDIS),
    ("parties", parties::TESTS, BOTH),
    ("flushed", flushed::TESTS, REDIS),
    ("restart", restart::TESTS, BOTH),
    ("memory", memory::TESTS, BOTH),
    ("crowds", crowds::TESTS, REDIS),
    ("odd_keys", odd_keys::TESTS, BOTH),
    ("guards", guards::TESTS, BOTH),
    ("cycles", cycles::TESTS, BOTH),
    ("histories", histories::TESTS, BOTH),
    ("secrets", secrets::TESTS, REDIS),
    ("rights", rights::TESTS, BOTH),
    ("nolua", nolua::TESTS, LATER),
    ("nolua", nolua::REFUSED, BOTH),
];

fn main() {
    secrets::keep_log();
    let mut arguments = Arguments::from_args();
    // They wait most of the time, for deadlines.
    arguments.test_threads.get_or_insert(6);
    let mut trials = Vec::new();
    for (part, tests, flavours) in PARTS {
        for (flavour, test) in
            flavours.iter().flat_map(|it| tests.iter().map(move |test| (it, test)))
        {
            let name = format!("{part}::{}::{}", flavour.name(), test.name);
            trials.push(Trial::ignorable_test(name, || {
                let setup = (test.setup)(RedisSetup::new(*flavour));
                on_redis(&setup, |server| (test.body)(&scene(server)))
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn scene(server: &RedisServer) -> Scene<'_> {
    Scene::new(server, Proxy::start(server.address()))
}
