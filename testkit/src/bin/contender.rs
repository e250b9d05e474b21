//! `contender URL NAME COUNT DIR [--hold-us N] [--ttl-ms N] [--who WHO] [--tasks N]`: takes the lock COUNT
//! times and does a section for the oracle under each lease. With `--tasks` so many threads do that, in
//! the order `throughput`.
//!
//! Prints `ready`, waits for a line on its input, then prints `granted FENCE` for each grant and
//! `done` at the end. Any error ends it with `error CODE MESSAGE`. Where DIR is `-` there is no section
//! and no word on grants, for a bench.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use leasehold::{Client, ErrorKind, Order};
use leasehold_testkit::oracle::Log;

struct Arguments {
    url: String,
    name: String,
    count: u64,
    folder: PathBuf,
    hold: Duration,
    ttl: Duration,
    who: String,
    tasks: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("contender: {error}");
            return ExitCode::from(2);
        }
    };
    println!("ready");
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).is_err() {
        return ExitCode::from(2);
    }
    let done = match arguments.tasks {
        None => Client::connect(&arguments.url).and_then(|client| contend(&arguments, &client, 0)),
        Some(tasks) => together(&arguments, tasks),
    };
    match done {
        Ok(()) => {
            println!("done");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error {} {error:?}", error.kind().code());
            ExitCode::FAILURE
        }
    }
}

/// Contends in `tasks` threads of one client.
fn together(arguments: &Arguments, tasks: u64) -> leasehold::Result<()> {
    let client = Client::connect(&arguments.url)?;
    std::thread::scope(|scope| {
        let client = &client;
        let threads: Vec<_> =
            (0..tasks).map(|task| scope.spawn(move || contend(arguments, client, task))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| {
                Err(leasehold::Error::new(ErrorKind::Internal, "a thread panicked"))
            })
        })
    })
}

#[allow(clippy::disallowed_methods, reason = "stands for the work that is done under a lock")]
fn contend(arguments: &Arguments, client: &Client, task: u64) -> leasehold::Result<()> {
    let broken = |cause: std::io::Error| {
        leasehold::Error::new(ErrorKind::Internal, "the oracle's files").caused_by(cause)
    };
    let order = if arguments.tasks.is_some() { Order::Throughput } else { Order::Fifo };
    let lock = client.lock(&arguments.name).ttl(arguments.ttl).order(order);
    if arguments.folder.as_os_str() == "-" {
        for _ in 0..arguments.count {
            let lease = lock.clone().acquire_blocking()?;
            leasehold::block_on(lease.release());
        }
        return Ok(());
    }
    let who = match arguments.tasks {
        Some(_) => format!("{}-{task}", arguments.who),
        None => arguments.who.clone(),
    };
    let mut log = Log::open(&arguments.folder, &who).map_err(broken)?;
    for _ in 0..arguments.count {
        let lease = lock.clone().acquire_blocking()?;
        println!("granted {}", lease.fence());
        let section = log.enter(lease.fence()).map_err(broken)?;
        if !arguments.hold.is_zero() {
            std::thread::sleep(arguments.hold);
        }
        // A lease that was lost meanwhile is another's: nothing may be written under it.
        lease.check(Duration::ZERO)?;
        section.leave().map_err(broken)?;
        leasehold::block_on(lease.release());
    }
    Ok(())
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    const USAGE: &str =
        "usage: contender URL NAME COUNT DIR [--hold-us N] [--ttl-ms N] [--who WHO] [--tasks N]";
    let mut next = || given.next().ok_or(USAGE);
    let (url, name, count, folder) = (next()?, next()?, next()?, next()?);
    let mut arguments = Arguments {
        url,
        name,
        count: number(&count)?,
        folder: folder.into(),
        hold: Duration::ZERO,
        ttl: Duration::from_secs(30),
        who: format!("rust-{}", std::process::id()),
        tasks: None,
    };
    while let Some(option) = given.next() {
        let value = given.next().ok_or(USAGE)?;
        match option.as_str() {
            "--hold-us" => arguments.hold = Duration::from_micros(number(&value)?),
            "--ttl-ms" => arguments.ttl = Duration::from_millis(number(&value)?),
            "--who" => arguments.who = value,
            "--tasks" => arguments.tasks = Some(number(&value)?),
            _ => return Err(format!("{option} is unknown; {USAGE}")),
        }
    }
    Ok(arguments)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}
