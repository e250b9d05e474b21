//! `leasehold show`: one lock, with its holder and its queue.

use std::ffi::OsStr;

use clap::Args;

use crate::exit::{Exit, Failure};
use crate::{cli, json, print, table};

/// Shows who holds a lock and who waits for it
///
/// A lock that nobody ever took is shown as not held: any name is one.
#[derive(Debug, Args)]
#[command(after_long_help = KEYS)]
pub(crate) struct ShowArgs {
    /// The lock
    #[arg(value_parser = cli::text())]
    name: String,
    /// Prints one JSON document
    #[arg(long)]
    json: bool,
}

const KEYS: &str = "\
The JSON document:
  name       the lock's name
  held       whether it is held
  holder     null, or
    fence      the tenure's fencing token
    host, pid, language, note   who holds it
    since      when it was asked for: RFC 3339, the holder's wall clock
    confirmed  false for a hand-off that the holder has not taken up yet
    told_ms    what is left of the lease as the holder was told, in milliseconds
    stored_ms  what is left of it in the store
  waiting    how many wait
  queue      the first 100 of them, in order:
    host, pid, language, note, since
    alive_ms   what is left until it counts as dead, unless it asks again";

pub(crate) fn execute(args: &ShowArgs, store: Option<&OsStr>) -> Result<Exit, Failure> {
    let client = crate::store::client(store)?;
    let view = leasehold::block_on(client.inspect(&args.name))?;
    if args.json {
        json::out(&json::Lock::of(&view))?;
    } else {
        print::out(table::lock(&view, wall_us()?).as_bytes())?;
    }
    Ok(Exit::Code(0))
}

/// The wall-clock time in microseconds since 1970.
pub(super) fn wall_us() -> Result<u64, Failure> {
    Ok(leasehold::runtime::native_sys()?.moment().wall_us)
}
