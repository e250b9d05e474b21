//! The command line, as clap sees it.
//!
//! Wrong usage ends with 64 (EX_USAGE) and not with clap's 2, which is a common code of programs
//! that run under a lock. What clap echoes of the input is escaped first: a terminal must not obey
//! an argument.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::commands::{ask_back, completions, elect, evict, ls, man, run, show};
use crate::exit::{Exit, code};
use crate::print;

/// Runs a program under a distributed lock, shows locks and ends them.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, propagate_version = true, after_long_help = STORES,
    disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every subcommand understands.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Where the locks live, such as sqlite:///var/lib/app/locks.db
    ///
    /// Default: the environment variable LEASEHOLD_URL, else the file
    /// ~/.local/state/leasehold/locks.db of the effective user: locks of this user on this host. A
    /// URL with a password belongs in LEASEHOLD_URL, for others can read a command line.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) store: Option<OsString>,
    /// Tells on stderr what happens; -vv and -vvv tell more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::RunArgs),
    Elect(elect::ElectArgs),
    Ls(ls::LsArgs),
    Show(show::ShowArgs),
    AskBack(ask_back::AskBackArgs),
    Evict(evict::EvictArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

const STORES: &str = "\
Stores:
  sqlite:///path   one database file: every process of one user on one host
  redis://host     one Redis or Valkey server; rediss:// for TLS

Exit status of all commands but run and elect, which pass on that of their program:
  0   done
  1   evict, ask-back: nobody held the lock, or not with that fence
  64  wrong usage or input
  69  the store did not answer
  71  the operating system refused, or a bug
  74  the store is unusable: rights, disk full, not a database
  75  ask-back: the lock is still held";

/// Parses the command line; the exit for help, version and wrong usage.
pub(crate) fn parse() -> Result<Cli, Exit> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that went away has seen enough.
            let _ = error.print();
            Exit::Code(0)
        }
        _ => {
            let text = error.render().to_string();
            let lines: Vec<String> = text.trim_end().split('\n').map(print::line).collect();
            print::tell(&lines.join("\n"));
            Exit::Code(code::USAGE)
        }
    })
}

/// An argument that must be text, with an error that names the one that isn't.
pub(crate) fn text() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new()
        .try_map(|value| value.into_string().map_err(|value| format!("{value:?} is not UTF-8")))
}

/// An argument that must be so many of so many permits.
pub(crate) fn permits() -> impl TypedValueParser<Value = (u32, u32)> {
    text().try_map(|value| {
        let parts = value.split_once('/').map(|(count, capacity)| {
            Some((count.parse::<u32>().ok()?, capacity.parse::<u32>().ok()?))
        });
        match parts.flatten() {
            Some((count, capacity)) if 0 < count && count <= capacity => Ok((count, capacity)),
            _ => Err("COUNT/CAPACITY is needed, from 1/1, with COUNT at most CAPACITY: 2/10"),
        }
    })
}

/// An argument that must be a duration.
pub(crate) fn duration() -> impl TypedValueParser<Value = std::time::Duration> {
    text().try_map(|value| leasehold::options::duration("the duration", &value))
}
