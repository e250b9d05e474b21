//! `leasehold run`: a program under a lock.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::Args;
use leasehold::options::{DEFAULT_TTL, LockOptions, Patience};

use crate::cli;
use crate::exit::{Exit, Failure, code};
use crate::supervise::{Plan, Right, run};

/// Takes a lock, runs a program under it, and gives the lock back when the program ends
///
/// The program runs in a process group of its own, with LEASEHOLD_NAME and LEASEHOLD_FENCE in its
/// environment. The lease is renewed as long as it runs. Should the lease be lost all the same, the
/// program's whole group is ended before another can hold the lock, also where leasehold itself
/// is stopped or killed with SIGKILL. What the program leaves running when it ends by itself is no
/// longer under the lock.
#[derive(Debug, Args)]
#[command(after_long_help = MORE)]
pub(crate) struct RunArgs {
    /// The lock: 1 to 1,024 bytes of UTF-8
    #[arg(value_parser = cli::text())]
    name: String,
    /// How long the lease lasts without a renewal: what another waits at most when this machine
    /// dies. 10 ms to 365 days; default 30s
    #[arg(long, value_name = "DURATION", value_parser = cli::duration(), allow_hyphen_values = true)]
    ttl: Option<Duration>,
    /// How long to wait for the lock; 0 does not wait. Default: for ever
    #[arg(long, value_name = "DURATION", value_parser = cli::duration(), allow_hyphen_values = true)]
    wait: Option<Duration>,
    /// How long before the end of a lease that can't be renewed the program gets SIGTERM; SIGKILL
    /// follows at its end. At most half of --ttl and --max-hold; default a sixth
    #[arg(long, value_name = "DURATION", value_parser = cli::duration(), allow_hyphen_values = true)]
    grace: Option<Duration>,
    /// The longest the lock is held, however long the program runs. Default: as long as it runs
    #[arg(long, value_name = "DURATION", value_parser = cli::duration(), allow_hyphen_values = true)]
    max_hold: Option<Duration>,
    /// Read: holds the lock together with others that read, never with one that does not
    #[arg(long, conflicts_with = "permits")]
    shared: bool,
    /// Hold COUNT of CAPACITY permits, such as 2/10: others run beside as long as permits are left.
    /// All who use the name must name the same CAPACITY
    #[arg(long, value_name = "COUNT/CAPACITY", value_parser = cli::permits(),
        allow_hyphen_values = true)]
    permits: Option<(u32, u32)>,
    /// Free text for people who look at the lock, at most 256 bytes
    #[arg(long, value_name = "TEXT", value_parser = cli::text(), default_value = "",
        hide_default_value = true)]
    note: String,
    /// The program and its arguments, taken as they are
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

const MORE: &str = "\
Durations:
  30s, 500ms, 1h 5m; a bare number means seconds.

Exit status:
  that of the program, or 128 + n where signal n ended it; and
  64   wrong usage or input
  69   the store did not answer
  70   the lease was lost, and the program was ended for it
  71   the operating system refused, or a bug
  74   the store is unusable: rights, disk full, not a database
  75   the wait ran out (or the queue is full): try again later
  126  the program can't be executed
  127  the program was not found
  128 + n  signal n came while the lock was waited for

Signals:
  SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to the program's group; the
  lock is given back when the program has ended. Those that were ignored at the start (nohup) stay
  so. Before the program has started they end the wait, and leave nothing in the queue.
  At a terminal the program's group is the foreground one. Ctrl-Z stops the program and leasehold;
  a stop that lasts beyond the lease loses the lock, and the program with it. Without a terminal a
  stopped program keeps its lock (--max-hold limits that).
  A program that Ctrl-C ended makes leasehold end by SIGINT too, so that a script around it ends.

Examples:
  leasehold run nightly --wait 0 --ttl 1m -- ./backup.sh --all
  leasehold run exports --permits 1/3 -- ./export.sh";

pub(crate) fn execute(args: RunArgs, store: Option<&OsStr>) -> Result<Exit, Failure> {
    let grace = grace(args.ttl, args.max_hold, args.grace)?;
    let client = crate::store::client(store)?;
    let wait = match args.wait {
        None => Patience::Forever,
        Some(Duration::ZERO) => Patience::None,
        Some(limit) => Patience::AtMost(limit),
    };
    let options = LockOptions {
        ttl: args.ttl.unwrap_or(DEFAULT_TTL),
        wait,
        max_hold: args.max_hold,
        note: args.note,
        ..LockOptions::default()
    };
    let lock = match args.permits {
        Some((count, capacity)) => client.semaphore(&args.name, capacity).permits(count),
        None if args.shared => client.rwlock(&args.name).read(),
        None => client.lock(&args.name),
    };
    let right = Right::Lock(lock.options(options.clone()));
    run(Plan { right, options, grace, command: args.command })
}

/// How long before the end of the lease the program gets SIGTERM. A renewal is due at a third of the
/// ttl, so with more than half of it, a sound lease would already look like a lost one.
pub(super) fn grace(
    ttl: Option<Duration>,
    max_hold: Option<Duration>,
    given: Option<Duration>,
) -> Result<Duration, Failure> {
    let ttl = ttl.unwrap_or(DEFAULT_TTL);
    let term = max_hold.map_or(ttl, |limit| limit.min(ttl));
    match given {
        None => Ok(term / 6),
        Some(grace) if grace <= term / 2 => Ok(grace),
        Some(grace) => Err(Failure::new(
            code::USAGE,
            format!(
                "--grace is {grace:?}: at most half of --ttl and --max-hold is allowed, which is {:?}",
                term / 2
            ),
        )),
    }
}
