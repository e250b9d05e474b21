//! The simulated Redis against a real one: the same random requests must be answered with the same
//! bytes. What they disagree on is a mistake of the simulator's, which would prove a client against
//! a server that does not exist.

mod both;
mod commands;
mod connections;
mod expiry;
mod request;
mod scripts;
mod wire;

use both::Both;
use leasehold_testkit::server::{Flavour, RedisSetup, on_redis};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let trials = vec![
        trial("commands_answer_alike", commands::commands_answer_alike),
        trial("scripts_answer_alike", scripts::scripts_answer_alike),
        trial("connections_answer_alike", connections::connections_answer_alike),
        trial("keys_end_at_the_same_millisecond", expiry::keys_end_at_the_same_millisecond),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial(name: &'static str, test: fn(&mut Both)) -> Trial {
    Trial::ignorable_test(name, move || {
        on_redis(&RedisSetup::new(Flavour::Redis), |real| test(&mut Both::new(real)))
    })
}
