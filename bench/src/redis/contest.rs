//! One contest on one lock: who contends, how it is watched from outside, what it came to.

use std::time::Duration;

use super::blpop::list_of;
use super::lab::Lab;
use super::order::Did;
use super::stats::Stats;
use super::turns::{Turn, collect};
use crate::rounds::Sample;
use crate::stats::{judge, percentile};
use crate::{Result, clock, tasks};

/// What all contend for.
pub(crate) const LOCK: &str = "bench:contended";

/// A contest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contest<'a> {
    /// Among whom.
    pub(crate) rival: &'a str,
    /// In how many processes, and how many contenders in each.
    pub(crate) shape: (usize, u32),
    /// How long each holds the lock.
    pub(crate) hold: Duration,
    /// Not counted: one holds, the queue forms.
    pub(crate) run_up: Duration,
    /// Counted.
    pub(crate) span: Duration,
    /// Each contender asks once: all must have done so before it counts.
    pub(crate) asks_once: bool,
}

impl Contest<'_> {
    /// Runs it. The server's figures are of the counted span alone: neither how the queue forms nor
    /// how it empties is in them.
    pub(crate) fn run(&self, lab: &Lab) -> Result<Sample> {
        let (processes, each) = self.shape;
        let (mut server, mut crews) = lab.use_both();
        let list = list_of(LOCK);
        server.run(&["DEL", LOCK, &format!("{LOCK}:queue"), &list])?;
        if self.rival == "BLPOP" {
            server.run(&["LPUSH", &list, "token"])?;
        }
        let files = lab.files(processes);
        let hold = u64::try_from(self.hold.as_micros())?;
        let gathered = crews.contend(self.rival, each, hold, &files)?;
        let before = server.stats()?;
        let open = clock::now() + clock::span(self.run_up);
        let working = gathered.go(open, open + clock::span(self.span))?;
        clock::pause(self.run_up);
        if self.asks_once {
            let stats = server.stats()?.since(&before);
            // Each its own script; or several in one, which puts all but the holder into the queue.
            let asked = stats.calls_of("evalsha").max(stats.calls_of("zadd") + 1);
            if asked < u64::from(each) {
                return Err(format!("{asked} of {each} contenders had asked in time").into());
            }
        }
        server.run(&["CONFIG", "RESETSTAT"])?;
        let (from, before) = (clock::now(), server.stats()?);
        clock::pause(self.span);
        let (until, stats) = (clock::now(), server.stats()?.since(&before));
        let did = working.done()?;
        let mut turns = vec![Vec::new(); processes * each as usize];
        for file in &files {
            collect(file, &mut turns)?;
        }
        sample(&turns, (from, until), &stats, did)
    }
}

fn sample(
    turns: &[Vec<Turn>],
    (from, until): (u64, u64),
    stats: &Stats,
    did: Did,
) -> Result<Sample> {
    let tenures: Vec<Vec<_>> =
        turns.iter().map(|turns| turns.iter().map(Turn::tenure).collect()).collect();
    let turns = turns.iter().flatten().filter(|turn| (from..until).contains(&turn.granted));
    let granted = turns.clone().count() as f64;
    // Who asked before it opened waited for that, not for the others.
    let mut waits: Vec<u64> =
        turns.filter(|turn| turn.asked >= from).map(|turn| turn.granted - turn.asked).collect();
    waits.sort_unstable();
    let mut sample = tasks::sample(&judge(&tenures, from, until))?
        .with("wait p50 ms", percentile(&waits, 0.5) / 1e6)
        .with("wait p99 ms", percentile(&waits, 0.99) / 1e6)
        .with("cpu s/10k", did.cpu * 1e4 / did.count as f64)
        .with("commands", stats.calls() as f64 / granted)
        .commands(stats.calls_each(granted));
    let scripts = stats.calls_of("evalsha");
    if scripts > 0 {
        sample = sample.with("scripts", scripts as f64 / granted);
    }
    if let Some(p99) = stats.script_p99() {
        sample = sample.with("script p99 us", p99);
    }
    Ok(sample)
}
