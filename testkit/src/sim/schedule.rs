//! One schedule: a seed, some machines, a server, faults; then calm, and the question of what is left.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::coverage::Coverage;
use super::fault::{Fault, Swarm, below};
use super::judge::Judge;
use super::kernel::Kernel;
use super::load::Stage;
use super::mix::Mix;
use super::net::Net;
use super::rate::Rate;
use crate::SeededRandom;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
/// The longest that faults go on.
const STORM: u64 = 150 * SECOND;
/// The longest that calls may take to end when nothing is wrong any more.
const CALM: u64 = 90 * SECOND;
/// The longest tenure of a leaked lease is over after this.
const LEAK: u64 = 6 * SECOND;
/// After this, only what has a longer life by design is left.
const QUIET: u64 = 75 * SECOND;
/// After this nothing is left: a fence lives in the server's clock, not in a key.
const NIGHT: u64 = 3 * 3600 * SECOND;

/// What came of one schedule.
#[derive(Debug)]
pub struct Report {
    /// It and the program make the schedule.
    pub seed: u64,
    /// What was broken, if anything.
    pub verdict: Option<String>,
    /// The history, if it was kept.
    pub log: Vec<String>,
    /// Which faults struck where.
    pub coverage: Coverage,
    /// Operations done.
    pub steps: u64,
    /// Machines.
    pub clients: usize,
    /// Whether it was about more than single exclusive locks.
    pub mixed: bool,
    /// The true time that it took, in ns.
    pub span: u64,
    /// The same for the same seed.
    pub print: u64,
}

impl Report {
    /// Whether it is big enough to count: three clients, 200 operations, two classes of faults.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.clients >= 3 && self.steps >= 200 && self.coverage.classes() >= 2
    }
}

/// Runs the schedule of `seed`; keeps its history if `traced`.
#[must_use]
pub fn run(seed: u64, traced: bool) -> Report {
    let random = SeededRandom::new(seed);
    let swarm = Swarm::new(&random);
    let clients = 3 + below(&random, 3);
    let drift = swarm.has(Fault::Drift);
    let clock = |_| Rate {
        start: 1_000_000_000_000 + i128::from(random.below(1_000_000_000_000)),
        ppb: if drift { random.below(1_000_001) as i64 - 500_000 } else { 0 },
    };
    let clocks: Vec<Rate> = (0..clients).map(clock).collect();
    let mix = Mix::new(&random);
    let kernel = Kernel::new(random.next(), &clocks);
    let latency = swarm.latency_us * 1000;
    let judge = Judge::new(Arc::clone(&kernel), mix.places.clone(), clients, latency, traced);
    judge.note(|| {
        format!("seed {seed}: {clients} clients, {} locks; {}", mix.places.len(), swarm.words())
    });
    judge.note(|| format!("{swarm:?} {mix:?}"));
    let mixed = mix.mixed();
    let part = || SeededRandom::new(random.next());
    let net = Net::new(Arc::clone(&kernel), Arc::clone(&judge), swarm, clients, part());
    let stage = Stage::new(Arc::clone(&kernel), Arc::clone(&judge), Arc::clone(&net), mix, part());
    let weak = Arc::downgrade(&stage);
    net.on_restart(move |machine| {
        if let Some(stage) = weak.upgrade() {
            stage.start(machine);
        }
    });
    let ran = catch_unwind(AssertUnwindSafe(|| play(&stage, clients)));
    if let Err(panic) = ran {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        judge.accuse(format!("panic: {}", text.unwrap_or_default()));
    }
    let span = kernel.now();
    stage.sweep();
    kernel.end();
    net.end();
    let mut hasher = DefaultHasher::new();
    (span, judge.prints()).hash(&mut hasher);
    let (verdict, log, coverage, steps) = judge.close();
    Report { seed, verdict, log, coverage, steps, clients, mixed, span, print: hasher.finish() }
}

fn play(stage: &Arc<Stage>, clients: usize) {
    let (kernel, judge, net) = (&stage.kernel, &stage.judge, &stage.net);
    tick(stage);
    for machine in 0..clients {
        stage.start(machine);
    }
    net.begin();
    kernel.run(STORM, || judge.guilty() || (!stage.more() && kernel.now() > 0));
    stage.close();
    net.make_calm();
    let limit = kernel.now() + CALM;
    kernel.run(limit, || judge.guilty() || stage.at_work() == 0);
    if judge.guilty() {
        return;
    }
    if stage.at_work() > 0 {
        judge.accuse(format!(
            "O5: {} users are not done, {CALM} ns after all is well",
            stage.at_work()
        ));
        return;
    }
    kernel.run(kernel.now() + LEAK, || judge.guilty());
    stage.sweep();
    kernel.run(kernel.now() + QUIET, || judge.guilty());
    if !judge.guilty() {
        leftovers(stage, clients);
    }
}

/// The oracles look at what should have happened, ten times a second; when nobody is at work, less
/// often.
fn tick(stage: &Arc<Stage>) {
    let weak = Arc::downgrade(stage);
    let pause = if stage.closing() && stage.at_work() == 0 { SECOND } else { 100 * MS };
    stage.kernel.at(stage.kernel.now() + pause, move || {
        if let Some(stage) = weak.upgrade() {
            stage.judge.tick();
            stage.judge.look_all();
            tick(&stage);
        }
    });
}

/// O8: nothing is left but what has an end, and that ends.
fn leftovers(stage: &Arc<Stage>, clients: usize) {
    let (kernel, judge, net) = (&stage.kernel, &stage.judge, &stage.net);
    // A clock that was stepped back has keys live for longer.
    let back = judge.back();
    for (key, ends) in net.keys_after(back) {
        if stage.mix.places.iter().any(|place| place.name == key) {
            judge.accuse(format!("O8: {key} is still owned when all is over"));
        }
        if ends.is_none() {
            judge.accuse(format!("O8: {key} has no end"));
        }
    }
    for (key, ends) in net.keys_after(back + NIGHT) {
        judge.accuse(format!("O8: {key} is there for {ends:?} ms more after a night"));
    }
    if net.connections() > 0 {
        judge.accuse(format!("O8: {} connections are open without a client", net.connections()));
    }
    for machine in 0..clients {
        // The reaper of a runtime lives as long as its machine.
        if kernel.tasks(machine) > 1 {
            judge.accuse(format!("O8: machine {machine} has {} tasks left", kernel.tasks(machine)));
        }
    }
}
