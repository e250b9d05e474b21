//! `leasehold evict`: ends a tenure from outside.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::Args;
use leasehold::store::{Evict, Evicted};

use crate::exit::{Exit, Failure};
use crate::{cli, print};

/// Ends the tenure of whoever holds a lock, so that the next in line is granted it
///
/// The holder is told at its next renewal, within a third of its ttl. Until then it may go on with
/// what it does, and only the fence keeps it from harm: end it yourself where you can. Of readers
/// and of the holders of permits, all are ended.
#[derive(Debug, Args)]
pub(crate) struct EvictArgs {
    /// The lock
    #[arg(value_parser = cli::text())]
    name: String,
    /// Ends only what has this fence, as `show` says it: nobody else's tenure by mistake
    #[arg(long, value_name = "FENCE")]
    fence: Option<u64>,
    /// Why, for the log
    #[arg(long, value_name = "TEXT", value_parser = cli::text())]
    why: String,
    /// Appends to this file who ended whose tenure, as lines of JSON
    #[arg(long, value_name = "FILE", env = "LEASEHOLD_AUDIT")]
    audit: Option<PathBuf>,
}

pub(crate) fn execute(args: EvictArgs, store: Option<&OsStr>) -> Result<Exit, Failure> {
    let client = crate::store::audited(store, args.audit.as_deref())?;
    let why = Evict { why: args.why, fence: args.fence };
    match leasehold::block_on(client.evict(&args.name, &why))? {
        Evicted::Evicted { fence, profile } => {
            let (host, pid) = (&profile.host, profile.pid);
            let line = print::line(&format!("ended fence {fence} of {host}, pid {pid}"));
            print::out(format!("{line}\n").as_bytes())?;
            Ok(Exit::Code(0))
        }
        Evicted::NotHeld => {
            print::tell("nobody holds it so");
            Ok(Exit::Code(1))
        }
    }
}
