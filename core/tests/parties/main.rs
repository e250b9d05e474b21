//! The kinds that several parties act in together, on each store in real time: several clients, and
//! processes that are killed.
#![allow(clippy::disallowed_methods, reason = "tasks of a user's program, in real time")]

mod barrier;
mod election;
mod latch;
mod scene;

use std::pin::Pin;
use std::time::Duration;

use leasehold_testkit::folder;
use leasehold_testkit::server::{Flavour, RedisSetup, on_redis};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use scene::Scene;

/// A case that takes this long hangs.
const HANG: Duration = Duration::from_secs(120);

/// One case.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// Needs a store that processes share.
    processes: bool,
    run: fn(Scene) -> Pin<Box<dyn Future<Output = ()>>>,
}

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

fn main() {
    let cases: Vec<&Case> =
        [election::CASES, latch::CASES, barrier::CASES].into_iter().flatten().collect();
    let mut trials = Vec::new();
    for case in cases {
        let name = case.name.trim_start_matches("parties::");
        let case = *case;
        if !case.processes {
            trials.push(Trial::test(format!("memory::{name}"), move || {
                play(case, &format!("memory://{}", case.name.replace("::", "-")));
                Ok(())
            }));
        }
        trials.push(Trial::test(format!("sqlite::{name}"), move || {
            let folder = folder("parties").map_err(|error| error.to_string())?;
            play(case, &format!("sqlite://{}", folder.path().join("locks.db").display()));
            Ok(())
        }));
        trials.push(Trial::ignorable_test(format!("redis::{name}"), move || on_a_server(case)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn on_a_server(case: Case) -> Result<Completion, Failed> {
    on_redis(&RedisSetup::new(Flavour::Redis), |server| play(case, &server.url()))
}

fn play(case: Case, url: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let scene = Scene::new(url);
    runtime.block_on(async {
        let done = tokio::time::timeout(HANG, (case.run)(scene)).await;
        done.unwrap_or_else(|_| panic!("{} hangs", case.name));
    });
}
