//! Hand-offs between two processes of two languages beside Rust to Rust, on one Redis and one file: `make
//! bench-faces`. The queue is first come, first served, so that two who ask again at once take turns: each
//! grant is a hand-off to the other process. What a language's own program costs is in it.
//!
//! All pairs take turns in every round; medians over the rounds, with the lowest and the highest.
#![allow(clippy::disallowed_methods, reason = "measures real time")]

use std::path::Path;
use std::time::Instant;

use leasehold_testkit::server::{Flavour, RedisServer, RedisSetup};
use leasehold_testkit::{Face, Process, folder};

/// How often each of the two takes the lock in a round.
const EACH: usize = 3_000;
const ROUNDS: usize = 5;
/// With Rust, and with itself.
const PAIRS: [[Face; 2]; 7] = [
    [Face::Rust, Face::Rust],
    [Face::Rust, Face::Python],
    [Face::Rust, Face::Node],
    [Face::Rust, Face::Kotlin],
    [Face::Python, Face::Python],
    [Face::Node, Face::Node],
    [Face::Kotlin, Face::Kotlin],
];

fn main() {
    let here = |face: &Face| *face == Face::Rust || face.runner().map_err(tell(*face)).is_ok();
    let pairs: Vec<_> = PAIRS.into_iter().filter(|pair| pair.iter().all(here)).collect();
    let place = folder("handoffs").expect("a folder");
    let mut urls = vec![("SQLite", format!("sqlite://{}/locks.db", place.path().display()))];
    let server = RedisServer::start(&RedisSetup::new(Flavour::Redis));
    match &server {
        Ok(server) => urls.push(("Redis", server.url())),
        Err(why) => println!("left out: Redis ({why})"),
    }
    for (store, url) in urls {
        let mut rates = vec![Vec::new(); pairs.len()];
        for round in 0..ROUNDS {
            for turn in 0..pairs.len() {
                let index = (turn + round) % pairs.len();
                rates[index].push(rate(&url, pairs[index]));
            }
        }
        println!("hand-offs per second on {store}, {ROUNDS} rounds of {} each", 2 * EACH);
        let base = median(&mut rates[0]);
        for (pair, rates) in pairs.iter().zip(&mut rates) {
            let middle = median(rates);
            println!(
                "  {:>6} and {:<6} {middle:7.0} ({:.0} to {:.0}), {:.2} x Rust to Rust",
                pair[0].name(),
                pair[1].name(),
                rates[0],
                rates[ROUNDS - 1],
                middle / base,
            );
        }
    }
}

fn tell(face: Face) -> impl Fn(String) {
    move |why| println!("left out: {} ({why})", face.name())
}

fn rate(url: &str, pair: [Face; 2]) -> f64 {
    let mut contenders: Vec<Process> = pair
        .into_iter()
        .map(|face| {
            let command = face.contender([url, "handed", face.name()], EACH, Path::new("-"));
            Process::start(&mut command.expect("it is here"))
        })
        .collect();
    for contender in &contenders {
        contender.wait_for("ready");
    }
    let start = Instant::now();
    for contender in &mut contenders {
        contender.say("go");
    }
    for contender in &contenders {
        contender.wait_for("done");
    }
    (2 * EACH) as f64 / start.elapsed().as_secs_f64()
}

/// Of the rates, which are sorted.
fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
