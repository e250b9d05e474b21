//! Eight processes on one lock of one database file.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;

use crate::plan::Plan;
use crate::rounds::{Better, Contestant, Section, contestant};
use crate::stats::judge;
use crate::tasks::sample;
use crate::worker::{Rival, log_of, read};
use crate::{Result, clock};

const WORKERS: u32 = 8;
/// Not counted: the queue forms.
const RUN_UP: Duration = Duration::from_millis(100);
/// A worker that is not done by then is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hand-offs among processes that hold the lock for `hold`.
pub(crate) fn contended(plan: &Plan, folder: &Path, hold: Duration) -> Result<Section> {
    let mut runs = 0;
    let round = std::cell::RefCell::new(move || {
        runs += 1;
        runs
    });
    let among = |name: &str, rival: Rival| -> Contestant<'_> {
        let round = &round;
        contestant(name, move |span| {
            let number = (round.borrow_mut())();
            // New files each time: no contestant inherits another's log.
            let place = folder.join(format!("{}-{number}", hold.as_millis()));
            std::fs::create_dir(&place)?;
            run(&place, rival, hold, span)
        })
    };
    let section = Section::measure(
        format!("hand-offs among {WORKERS} processes on SQLite, hold {} ms", hold.as_millis()),
        ("1/s", Better::Higher),
        plan.long_rounds,
        plan.processes,
        vec![
            among("by hand: ring, 1 transaction", Rival::Ring),
            among("by hand: queue, 2 transactions", Rival::Queue),
            among("leasehold, blocking", Rival::Leasehold),
            among("leasehold, awaited", Rival::Awaited),
            among("polling every 10 ms", Rival::Polling),
        ],
    )?;
    Ok(section.note("no tenure overlapped, by the processes' own clocks"))
}

/// Kills what is still running when a run fails half-way.
struct Workers(Vec<Child>);

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Fails only for one that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn run(
    folder: &Path,
    rival: Rival,
    hold: Duration,
    span: Duration,
) -> Result<crate::rounds::Sample> {
    let program = std::env::current_exe()?;
    let kind = rival.to_possible_value().ok_or("a rival without a name")?;
    let mut workers = Workers(Vec::new());
    for index in 0..WORKERS {
        let child = Command::new(&program)
            .arg("worker")
            .args(["--rival", kind.get_name()])
            .arg("--folder")
            .arg(folder)
            .args(["--index", &index.to_string(), "--count", &WORKERS.to_string()])
            .args(["--hold", &hold.as_micros().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        workers.0.push(child);
        // One after the other: the first makes the database.
        let stdout = workers.0.last_mut().and_then(|child| child.stdout.take());
        let mut line = String::new();
        BufReader::new(stdout.ok_or("no output")?).read_line(&mut line)?;
        if line.trim() != "ready" {
            return Err(format!("worker {index} said {line:?}").into());
        }
    }
    let from = clock::now() + clock::span(RUN_UP);
    let until = from + clock::span(span);
    for child in &mut workers.0 {
        let mut stdin = child.stdin.take().ok_or("no input")?;
        writeln!(stdin, "{until}")?;
    }
    let last = until + clock::span(PATIENCE);
    for (index, child) in workers.0.iter_mut().enumerate() {
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if clock::now() > last {
                return Err(format!("worker {index} did not end").into());
            }
            // A child's end is no event that a plain program can wait for with a limit.
            clock::pause(Duration::from_millis(5));
        };
        if !status.success() {
            return Err(format!("worker {index} ended with {status}").into());
        }
    }
    let logs: Result<Vec<_>> = (0..WORKERS).map(|index| read(&log_of(folder, index))).collect();
    sample(&judge(&logs?, from, until))
}
