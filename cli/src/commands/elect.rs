//! `leasehold elect`: a program that runs where the leader is, and who that is.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::Args;
use leasehold::options::{DEFAULT_TTL, LockOptions, Patience};

use super::run::grace;
use crate::exit::{Exit, Failure};
use crate::supervise::{Plan, Right, run};
use crate::{cli, json};

/// Campaigns for the lead, and runs a program as long as it has it
///
/// Of all who campaign for a name one leads. The program runs as under `leasehold run`, with
/// LEASEHOLD_NAME and LEASEHOLD_FENCE in its environment. When it ends, the lead is given back and
/// leasehold ends with its exit status. Should the lead be lost, the program is ended before another
/// can lead, and leasehold campaigns again: the program is started anew once it leads.
#[derive(Debug, Args)]
#[command(after_long_help = MORE)]
pub(crate) struct ElectArgs {
    /// The election: 1 to 1,024 bytes of UTF-8
    #[arg(value_parser = cli::text())]
    name: String,
    /// Runs nothing: prints who leads, now and whenever it changes, as one JSON document a line
    #[arg(long, conflicts_with_all = ["command", "ttl", "wait", "grace", "value", "note"])]
    observe: bool,
    /// What those who observe are told while this one leads, at most 60 KiB
    #[arg(long, value_name = "TEXT", value_parser = cli::text(), default_value = "",
        hide_default_value = true)]
    value: String,
    /// How long the lead lasts without a renewal: what another waits at most when this machine dies.
    /// 10 ms to 365 days; default 30s
    #[arg(long, value_name = "DURATION", value_parser = cli::duration(), allow_hyphen_values = true)]
    ttl: Option<Duration>,
    /// How long to wait for the lead, at the first campaign and at each later one; 0 does not wait.
    /// Default: for ever
    #[arg(long, value_name = "DURATION", value_parser = cli::duration(), allow_hyphen_values = true)]
    wait: Option<Duration>,
    /// How long before the end of a lead that can't be renewed the program gets SIGTERM; SIGKILL
    /// follows at its end. At most half of --ttl; default a sixth
    #[arg(long, value_name = "DURATION", value_parser = cli::duration(), allow_hyphen_values = true)]
    grace: Option<Duration>,
    /// Free text for people who look at the election, at most 256 bytes
    #[arg(long, value_name = "TEXT", value_parser = cli::text(), default_value = "",
        hide_default_value = true)]
    note: String,
    /// The program and its arguments, taken as they are
    #[arg(last = true, required_unless_present = "observe", value_name = "CMD")]
    command: Vec<OsString>,
}

const MORE: &str = "\
The JSON documents of --observe:
  name       the election's name
  leader     null while nobody leads, or
    fence      larger than that of every leader before
    host, pid, language, note   who leads
    since      when it began to campaign: RFC 3339, the leader's wall clock
    value      what it says, where that is UTF-8, else null
    value_hex  the same bytes in hexadecimal, where it is not; else null
  A leader that ends or is followed by another is told of at once; one that died, when its lead is
  over.

Exit status:
  as that of leasehold run, but for 70: a lost lead is campaigned for again, unless a signal told the
  program to end";

pub(crate) fn execute(args: ElectArgs, store: Option<&OsStr>) -> Result<Exit, Failure> {
    let client = crate::store::client(store)?;
    let election = client.election(&args.name);
    if args.observe {
        let mut observer = election.observe();
        loop {
            let leader = leasehold::block_on(observer.next())?;
            if !json::out(&json::Led::of(&args.name, leader.as_ref()))? {
                return Ok(Exit::Code(0));
            }
        }
    }
    let grace = grace(args.ttl, None, args.grace)?;
    let wait = match args.wait {
        None => Patience::Forever,
        Some(Duration::ZERO) => Patience::None,
        Some(limit) => Patience::AtMost(limit),
    };
    let ttl = args.ttl.unwrap_or(DEFAULT_TTL);
    let options = LockOptions { ttl, wait, note: args.note, ..LockOptions::default() };
    let campaign = election.campaign().value(args.value).options(options.clone());
    run(Plan { right: Right::Lead(Box::new(campaign)), options, grace, command: args.command })
}
