//! Locks by name, from one configuration; asking for a lock back; and who is told of it. On each store
//! in real time, between processes, and in virtual time what is counted.
#![allow(clippy::disallowed_methods, reason = "tasks of a user's program, in real time")]

mod asking;
mod auditing;
mod configuring;
mod in_use;
mod pace;
mod placing;
mod scene;

use std::pin::Pin;
use std::time::Duration;

use leasehold_testkit::folder;
use leasehold_testkit::server::{Flavour, RedisSetup, on_redis};
use libtest_mimic::{Arguments, Trial};
use scene::Scene;

/// A case that takes this long hangs.
const HANG: Duration = Duration::from_secs(120);

/// One case on a store.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// Needs a store that processes share.
    processes: bool,
    run: for<'s> fn(&'s Scene) -> Pin<Box<dyn Future<Output = ()> + 's>>,
}

/// One that needs no store, or makes its own.
type Plain = (&'static str, fn());

/// A list of cases: those that one process can play, then those that take several.
macro_rules! cases {
    (alone: $($alone:ident),* $(,)?; processes: $($several:ident),* $(,)? $(;)?) => {
        &[
            $(crate::Case {
                name: concat!(module_path!(), "::", stringify!($alone)),
                processes: false,
                run: |scene| Box::pin($alone(scene)),
            },)*
            $(crate::Case {
                name: concat!(module_path!(), "::", stringify!($several)),
                processes: true,
                run: |scene| Box::pin($several(scene)),
            },)*
        ]
    };
}
use cases;

macro_rules! plain {
    ($($name:ident),* $(,)?) => {
        &[$((concat!(module_path!(), "::", stringify!($name)), $name)),*]
    };
}
use plain;

fn main() {
    let cases = [asking::CASES, auditing::CASES, placing::CASES];
    let mut trials = Vec::new();
    for case in cases.into_iter().flatten() {
        let name = case.name.trim_start_matches("manager::");
        let case = *case;
        if !case.processes {
            trials.push(Trial::test(format!("memory::{name}"), move || {
                play(case, &Scene::on_memory());
                Ok(())
            }));
        }
        trials.push(Trial::test(format!("sqlite::{name}"), move || {
            let folder = folder("manager").map_err(|error| error.to_string())?;
            play(case, &Scene::on_sqlite(folder.path()));
            Ok(())
        }));
        trials.push(Trial::ignorable_test(format!("redis::{name}"), move || {
            on_redis(&RedisSetup::new(Flavour::Redis), |server| {
                play(case, &Scene::on_redis(server))
            })
        }));
    }
    let plain = [configuring::PLAIN, in_use::PLAIN, pace::PLAIN, placing::PLAIN, auditing::PLAIN];
    for (name, test) in plain.into_iter().flatten() {
        trials.push(Trial::test(name.trim_start_matches("manager::"), move || {
            test();
            Ok(())
        }));
    }
    trials.push(Trial::ignorable_test(
        "redis::placing::a_silent_store_keeps_no_health_check",
        || {
            on_redis(
                &RedisSetup::new(Flavour::Redis),
                placing::a_silent_store_keeps_no_health_check,
            )
        },
    ));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn play(case: Case, scene: &Scene) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let done = tokio::time::timeout(HANG, (case.run)(scene)).await;
        done.unwrap_or_else(|_| panic!("{} hangs", case.name));
    });
}
