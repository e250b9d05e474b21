//! leasehold and the locks that people already run, on one real server: whoever holds, waits, dies
//! or sleeps, there is one holder. The libraries are the published ones, unmodified
//! (testkit/peers), each in a process of its own; that the table of their keys is true is the
//! testkit's own test (testkit/tests/peers.rs).
//!
//! leasehold speaks each library's dialect, and for one of each layout also locks twice, in a layout
//! of its own and in that dialect, as during a migration.
//!
//! Each case answers with what was seen, and the run ends with a table of that in
//! target/interop.md. Where a library can't be had its cases are ignored, unless `REQUIRE` names
//! `peers`.
#![allow(clippy::disallowed_methods, reason = "real processes in real time")]

mod cases;
mod foreign;
mod migrate;
mod mix;
mod scene;
mod table;

use leasehold_testkit::contract::required;
use leasehold_testkit::peer::{ALL, Library, on_peers};
use leasehold_testkit::server::{Flavour, RedisServer, RedisSetup, on_redis};
use libtest_mimic::{Arguments, Completion, Trial};

use cases::CASES;
use scene::{Scene, Way};
use table::{Place, Table, row};

/// A case on a server of its own, and what it saw.
type Body = fn(&RedisServer) -> String;
/// One on a store of the contract's; an error where there is no server.
type StoreBody = fn() -> Result<String, String>;

fn main() {
    let table: &'static Table = Box::leak(Box::default());
    let mut trials = Vec::new();
    for crowd in mix::crowds() {
        let (flavour, who) = (crowd.flavour, crowd.theirs.clone());
        let name = format!("mix::{}::{}", flavour.name(), crowd.name);
        let place = ("all at once".to_owned(), flavour.name());
        let run = move |server: &RedisServer| mix::mix(server, &crowd);
        trials.push(trial(table, place, &name, who, flavour, run));
    }
    for library in ALL {
        for (way, case) in Way::ALL.into_iter().flat_map(|way| CASES.map(|case| (way, case))) {
            if (case.applies)(library, way) {
                let run =
                    move |server: &RedisServer| (case.body)(&Scene::new(server, library, way));
                let place = (row(library, way), case.title);
                let name = format!("{}::{way:?}::{}", library.name, case.name).to_lowercase();
                trials.push(trial(table, place, &name, vec![library], Flavour::Redis, run));
            }
        }
    }
    let migrations: [(&'static str, Body); 4] = [
        ("one_queue", migrate::one_queue),
        ("never_half", migrate::never_half),
        ("lost_with_either", migrate::lost_with_either),
        ("strangers", migrate::strangers),
    ];
    for (name, body) in migrations {
        let place = ("several clients of ours".to_owned(), name);
        let name = format!("migrate::{name}");
        trials.push(trial(table, place, &name, Vec::new(), Flavour::Redis, body));
    }
    let stores: [(&'static str, StoreBody); 4] = [
        ("shared_keys", migrate::shared_keys),
        ("one_half_shortened", migrate::one_half_shortened),
        ("looks", foreign::looks),
        ("a_bell_ends", foreign::a_bell_ends),
    ];
    for (name, body) in stores {
        trials.push(Trial::ignorable_test(format!("store::{name}"), move || match body() {
            Ok(seen) => {
                println!("{name}: {seen}");
                Ok(Completion::Completed)
            }
            Err(why) if required("redis") => Err(why.into()),
            Err(why) => Ok(Completion::ignored_with(why)),
        }));
    }
    let outcome = libtest_mimic::run(&arguments(), trials);
    table.write();
    outcome.exit();
}

fn arguments() -> Arguments {
    let mut arguments = Arguments::from_args();
    // They wait most of the time, for expiries and for peers that poll.
    arguments.test_threads.get_or_insert(8);
    arguments
}

fn trial(
    table: &'static Table,
    place: Place,
    name: &str,
    libraries: Vec<&'static Library>,
    flavour: Flavour,
    body: impl FnOnce(&RedisServer) -> String + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        on_peers(&libraries, || {
            on_redis(&RedisSetup::new(flavour), |server| {
                // Until the body says something else.
                table.enter(&place, "FAILED");
                let seen = body(server);
                println!("{}: {}: {seen}", place.0, place.1);
                table.enter(&place, &seen);
            })
        })
    })
}
