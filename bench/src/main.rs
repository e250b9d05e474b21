//! `make bench-core`: leasehold against the physical limit, in one run. See bench/README.md.

mod chart;
mod clock;
mod plan;
mod polling;
mod processes;
mod python;
mod raw_sqlite;
mod redis;
mod rounds;
mod stats;
mod table;
mod target;
mod tasks;
mod token_ring;
mod uncontended;
mod watchdog;
mod worker;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use plan::Plan;
use rounds::Section;
use target::Target;

/// What stopped a measurement.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
/// A measurement's result.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Measures leasehold against the physical limit, in one run of interleaved rounds.
#[derive(Parser, Debug)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
struct Args {
    /// Shorter rounds, about a minute in all: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Writes every sample to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws the table into this file, a PNG.
    #[arg(long, value_name = "FILE", overrides_with = "png")]
    png: Option<PathBuf>,
    /// Runs all threads and processes on this processor; without it the kernel places them.
    #[arg(long, value_name = "NUMBER")]
    pin: Option<usize>,
    /// Measures these parts only.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// Where the databases are made; a folder in memory leaves the disk out. Default: the system's
    /// folder for temporary files.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand, Debug)]
enum Role {
    /// One of the processes that contend; started by the bench itself.
    #[command(hide = true)]
    Worker(worker::WorkerArgs),
    /// The same, for locks on Redis.
    #[command(hide = true)]
    RedisWorker(redis::worker::WorkerArgs),
}

/// A part of the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Part {
    /// Uncontended pairs in memory.
    Memory,
    /// Uncontended pairs on SQLite.
    Sqlite,
    /// Uncontended pairs from Python; measures those of Rust too.
    Python,
    /// 16 tasks on one lock.
    Tasks,
    /// 16 tasks on one lock in the order throughput, in memory and on Redis.
    Hot,
    /// 8 processes on one lock.
    Processes,
    /// 10,000 held leases.
    Watchdog,
    /// Uncontended pairs on Redis.
    RedisPairs,
    /// A thousand locks at once on Redis.
    RedisBatch,
    /// 16 contenders on one lock on Redis, in one process and in four.
    RedisContended,
    /// 10, 1,000 and 10,000 waiters on one lock on Redis.
    RedisCrowd,
    /// 10,000 held locks on Redis.
    RedisHeld,
    /// 50,000 held locks on Redis for a minute; measured only where it is named.
    RedisHeld50k,
}

#[derive(Serialize)]
struct Report<'a> {
    quick: bool,
    placement: &'a str,
    processors: usize,
    seconds: f64,
    sections: &'a [Section],
    targets: &'a [Target],
}

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let done = match &args.role {
        Some(Role::Worker(worker)) => worker::run(worker),
        Some(Role::RedisWorker(worker)) => redis::worker::run(worker),
        None => bench(&args),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("bench: {cause}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args) -> Result<()> {
    let placement = match args.pin {
        Some(processor) => {
            pin(processor)?;
            format!("all on processor {processor}")
        }
        None => "free".to_owned(),
    };
    let plan = if args.quick { Plan::quick() } else { Plan::full() };
    let mut builder = tempfile::Builder::new();
    builder.prefix("leasehold-bench-");
    let folder = match &args.folder {
        Some(parent) => builder.tempdir_in(parent)?,
        None => builder.tempdir()?,
    };
    let begun = clock::now();
    let sections = measure(args, &plan, folder.path())?;
    let seconds = (clock::now() - begun) as f64 / 1e9;
    let processors = std::thread::available_parallelism()?.get();
    let targets = redis::targets(&sections);
    println!("{}{}", table::render(&sections), table::render_targets(&targets));
    println!(
        "Medians. speed: against the section's first row, the median of the rounds' own ratios."
    );
    let foot = format!("Placement: {placement}, {processors} processors; {seconds:.0} s in all.");
    println!("{foot}");
    if args.quick {
        println!("Quick run: too short to quote.");
    }
    if let Some(path) = &args.png {
        chart::draw(&sections, &foot, path)?;
    }
    if let Some(path) = &args.json {
        let report = Report {
            quick: args.quick,
            placement: &placement,
            processors,
            seconds,
            sections: &sections,
            targets: &targets,
        };
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)
            .map_err(|cause| format!("{}: {cause}", path.display()))?;
    }
    Ok(())
}

fn measure(args: &Args, plan: &Plan, folder: &Path) -> Result<Vec<Section>> {
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let mut sections = Vec::new();
    let python = wanted(Part::Python);
    let memory =
        if wanted(Part::Memory) || python { Some(uncontended::memory(plan)?) } else { None };
    let sqlite = if wanted(Part::Sqlite) || python {
        Some(uncontended::sqlite(plan, folder)?)
    } else {
        None
    };
    let faces = match (&memory, &sqlite) {
        (Some(memory), Some(sqlite)) if python => python::pairs(plan, folder, [memory, sqlite])?,
        _ => Vec::new(),
    };
    sections.extend(memory.into_iter().chain(sqlite).chain(faces));
    if wanted(Part::Tasks) {
        sections.push(tasks::contended(plan, folder)?);
    }
    if wanted(Part::Hot) {
        sections.push(tasks::hot(plan)?);
    }
    if wanted(Part::Processes) {
        for hold in [Duration::ZERO, Duration::from_millis(2)] {
            sections.push(processes::contended(plan, folder, hold)?);
        }
    }
    if wanted(Part::Watchdog) {
        sections.push(watchdog::watched(plan, folder)?);
    }
    let parts = redis::Parts {
        pairs: wanted(Part::RedisPairs),
        batch: wanted(Part::RedisBatch),
        contended: wanted(Part::RedisContended),
        hot: wanted(Part::Hot),
        crowd: wanted(Part::RedisCrowd),
        held: wanted(Part::RedisHeld),
        held50k: args.only.contains(&Part::RedisHeld50k),
    };
    sections.extend(redis::measure(plan, folder, parts)?);
    Ok(sections)
}

/// A runtime as a user would have: of the calling thread alone, or of several.
fn task_runtime(threads: usize) -> Result<Runtime> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    Ok(builder.enable_all().build()?)
}

#[cfg(target_os = "linux")]
fn pin(processor: usize) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    if processor >= rustix::thread::CpuSet::MAX_CPU {
        return Err(format!("there is no processor {processor}").into());
    }
    set.set(processor);
    // Threads and processes started later inherit it.
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|cause| format!("processor {processor}: {cause}").into())
}

#[cfg(not(target_os = "linux"))]
fn pin(_processor: usize) -> Result<()> {
    Err("only Linux lets a process choose its processor".into())
}
