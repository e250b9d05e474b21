//! Many schedules: seeds, threads, the sum of what they saw.

#![allow(clippy::disallowed_methods, reason = "a program that measures how fast it is")]

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::coverage::Coverage;
use super::schedule::{Report, run};

/// What to run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// How many schedules.
    pub schedules: u64,
    /// The first seed; the others follow it.
    pub seed: u64,
    /// Threads.
    pub jobs: u64,
    /// When to stop, whatever is left.
    pub seconds: Option<u64>,
    /// How many violations are enough.
    pub stop_after: u64,
}

impl Default for Campaign {
    fn default() -> Self {
        Self { schedules: 1000, seed: 1, jobs: 2, seconds: None, stop_after: 5 }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Done {
    /// Seeds and what was broken.
    pub violations: Vec<(u64, String)>,
    /// Schedules run.
    pub ran: u64,
    /// Those that were big enough to count.
    pub counted: u64,
    /// Those about more than single exclusive locks.
    pub mixed: u64,
    /// Operations in all.
    pub steps: u64,
    /// Which faults struck where.
    pub coverage: Coverage,
    /// Virtual time, in ns.
    pub virtual_ns: u128,
    /// Real time.
    pub took: Duration,
    /// The seeds, first and last.
    pub seeds: (u64, u64),
}

impl Campaign {
    /// Runs it. A violation is printed when it is found.
    #[must_use]
    pub fn run(&self) -> Done {
        let (start, next) = (Instant::now(), AtomicU64::new(0));
        let done = Mutex::new(Done { seeds: (self.seed, self.seed), ..Done::default() });
        let over = |done: &Done| {
            done.violations.len() as u64 >= self.stop_after
                || self.seconds.is_some_and(|limit| start.elapsed() >= Duration::from_secs(limit))
        };
        let work = || loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= self.schedules || over(&done.lock().unwrap_or_else(PoisonError::into_inner))
            {
                return;
            }
            let report = run(self.seed.wrapping_add(index), false);
            done.lock().unwrap_or_else(PoisonError::into_inner).add(report);
        };
        std::thread::scope(|scope| {
            for _ in 1..self.jobs {
                scope.spawn(work);
            }
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.took = start.elapsed();
        done.violations.sort();
        done
    }
}

impl Done {
    fn add(&mut self, report: Report) {
        self.ran += 1;
        self.counted += u64::from(report.counts());
        self.mixed += u64::from(report.mixed);
        self.steps += report.steps;
        self.virtual_ns += u128::from(report.span);
        self.coverage.merge(&report.coverage);
        self.seeds.1 = self.seeds.1.max(report.seed);
        if let Some(verdict) = report.verdict {
            println!("seed {}: {verdict}", report.seed);
            self.violations.push((report.seed, verdict));
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(0.001);
        writeln!(f, "{}", self.coverage)?;
        writeln!(
            f,
            "{} schedules (seeds {} to {}), {} of them counting, {} of all kinds, {} operations, {:.1} h \
             of virtual time in {seconds:.1} s: {:.0} schedules a second",
            self.ran,
            self.seeds.0,
            self.seeds.1,
            self.counted,
            self.mixed,
            self.steps,
            self.virtual_ns as f64 / 3.6e12,
            self.ran as f64 / seconds,
        )?;
        match self.violations.first() {
            None => write!(f, "no violation"),
            Some((seed, _)) => write!(
                f,
                "{} violations; `simulate --replay {seed}` shows the first",
                self.violations.len()
            ),
        }
    }
}

/// Runs one seed again and prints the end of its history, at most `lines`; whether all was well.
#[must_use]
pub fn replay(seed: u64, lines: usize) -> bool {
    let report = run(seed, true);
    for line in &report.log[report.log.len().saturating_sub(lines)..] {
        println!("{line}");
    }
    println!(
        "seed {seed}: {} operations, fingerprint {:016x}, {}",
        report.steps,
        report.print,
        report.verdict.as_deref().unwrap_or("no violation")
    );
    report.verdict.is_none()
}
