//! One lock, contended for in every language at once: they exclude each other by the word of an oracle
//! outside the library, and their fences are of one line.
//!
//! A face that this machine lacks is left out of the run, and counted as an ignored test, or as a
//! failed one where `REQUIRE` names it.
#![allow(clippy::disallowed_methods, reason = "real processes in real time")]

use std::time::{Duration, Instant};

use leasehold_testkit::contract::required;
use leasehold_testkit::oracle::judge;
use leasehold_testkit::server::{Flavour, RedisSetup, on_redis};
use leasehold_testkit::{Face, Process, folder};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// How often each face takes the lock.
const EACH: usize = 200;

fn main() {
    let mut arguments = Arguments::from_args();
    // One at a time: each loads the machine.
    arguments.test_threads = Some(1);
    let mut trials: Vec<Trial> = Face::ALL
        .into_iter()
        .map(|face| {
            Trial::ignorable_test(format!("{}_takes_part", face.name()), move || is_here(face))
        })
        .collect();
    trials.push(Trial::test("all_faces_on_sqlite", || {
        let folder = folder("faces-store").expect("a folder");
        contend(&format!("sqlite://{}/locks.db", folder.path().display()));
        Ok(())
    }));
    trials.push(Trial::ignorable_test("all_faces_on_redis", || {
        on_redis(&RedisSetup::new(Flavour::Redis), |server| contend(&server.url()))
    }));
    libtest_mimic::run(&arguments, trials).exit();
}

fn is_here(face: Face) -> Result<Completion, Failed> {
    match (face, face.runner()) {
        (Face::Rust, _) | (_, Ok(_)) => Ok(Completion::Completed),
        (_, Err(why)) if required(face.name()) => {
            Err(format!("REQUIRE names {}: {why}", face.name()).into())
        }
        (_, Err(why)) => Ok(Completion::ignored_with(why)),
    }
}

fn contend(url: &str) {
    let folder = folder("faces").expect("a folder");
    let here = Face::ALL.into_iter().filter_map(|face| {
        let words = [url, "contended", face.name()];
        let mut command = face.contender(words, EACH, folder.path()).ok()?;
        Some((face, Process::start(&mut command)))
    });
    let mut contenders: Vec<(Face, Process)> = here.collect();
    for (_, contender) in &contenders {
        contender.wait_for("ready");
    }
    let start = Instant::now();
    for (_, contender) in &mut contenders {
        contender.say("go");
    }
    for (face, contender) in &mut contenders {
        contender.wait_for("done");
        assert!(contender.finish().success(), "{face:?}: {:?}", contender.lines());
    }
    let verdict = judge(folder.path()).expect("the oracle's files");
    println!("{verdict}; {:.1} s; {:?}", start.elapsed().as_secs_f64(), verdict.shares());
    assert!(verdict.is_clean(), "{:?} {:?}", verdict.overlaps, verdict.disorder);
    assert_eq!((verdict.ended, verdict.killed), ((EACH * contenders.len()) as u64, 0));
    assert_eq!(verdict.counter, verdict.ended, "an increment was overwritten");
    assert_eq!(verdict.shares().len(), contenders.len());
    // A lost wake-up costs at most a heartbeat, and an orphan would cost a ttl of 30 s.
    let bound = leasehold::options::HEARTBEAT + Duration::from_secs(5);
    assert!(verdict.longest_gap() <= bound, "nobody held the lock for long: {verdict}");
}
