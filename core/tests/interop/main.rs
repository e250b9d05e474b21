//! leasehold and the locks that people already run, on one real server: whoever holds, waits, dies
//! or sleeps, there is one holder. The libraries are the published ones, unmodified
//! (testkit/peers), each in a process of its own; that the table of their keys is true is the
//! testkit's own test (testkit/tests/peers.rs).
//!
//! Each case answers with what was seen, and the run ends with a table of that in
//! target/interop.md. Where a library can't be had its cases are ignored, unless `REQUIRE` names
//! `peers`.
#![allow(clippy::disallowed_methods, reason = "real processes in real time")]

mod cases;
mod mix;
mod scene;
mod table;

use leasehold_testkit::peer::{ALL, Layout, Library, on_peers};
use leasehold_testkit::server::{Flavour, RedisServer, RedisSetup, on_redis};
use libtest_mimic::{Arguments, Trial};

use cases::CASES;
use scene::Scene;
use table::Table;

fn main() {
    let table: &'static Table = Box::leak(Box::default());
    let mut trials = Vec::new();
    for library in ALL {
        for case in CASES {
            if (case.applies)(library) {
                let run = move |server: &RedisServer| (case.body)(&Scene::new(server, library));
                let place = (library.name, case.title);
                let name = format!("{}::{}", library.name, case.name);
                trials.push(trial(table, place, &name, vec![library], Flavour::Redis, run));
            }
        }
    }
    for prefix in ["", "lock:", "redlock:", "mutex:"] {
        for flavour in Flavour::ALL {
            // Who locks the name itself can lock every other's key too.
            let of_key = |library: &&Library| {
                library.layout == Layout::Text && ["", prefix].contains(&library.prefix)
            };
            let who: Vec<&Library> = ALL.iter().filter(of_key).collect();
            let key = format!("{prefix}contended");
            let name = format!("mix::{}::{key}", flavour.name());
            let place = ("leasehold and all that lock the key at once", flavour.name());
            let with = who.clone();
            let run = move |server: &RedisServer| mix::mix(server, &with, &key);
            trials.push(trial(table, place, &name, who, flavour, run));
        }
    }
    let outcome = libtest_mimic::run(&arguments(), trials);
    table.write();
    outcome.exit();
}

fn arguments() -> Arguments {
    let mut arguments = Arguments::from_args();
    // They wait most of the time, for expiries and for peers that poll.
    arguments.test_threads.get_or_insert(6);
    arguments
}

fn trial(
    table: &'static Table,
    place: (&'static str, &'static str),
    name: &str,
    libraries: Vec<&'static Library>,
    flavour: Flavour,
    body: impl FnOnce(&RedisServer) -> String + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        on_peers(&libraries, || {
            on_redis(&RedisSetup::new(flavour), |server| {
                // Until the body says something else.
                table.enter(place, "FAILED");
                let seen = body(server);
                println!("{}: {}: {seen}", place.0, place.1);
                table.enter(place, &seen);
            })
        })
    })
}
