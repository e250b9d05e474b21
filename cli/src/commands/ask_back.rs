//! `leasehold ask-back`: asks the holder of a lock to give it back.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use leasehold::{AskBack, Returned};

use crate::exit::{Exit, Failure, code};
use crate::{cli, print};

/// Asks whoever holds a lock to give it back, and waits until it does
///
/// Only a holder that listens hears of it, and it may hold on: this ends nothing. Where it does hold on,
/// evict is what is left. Of readers and of the holders of permits, all are asked.
///
/// Exit status: 0 where it was given back in time, 1 where nobody held it, 75 where it is still held.
#[derive(Debug, Args)]
pub(crate) struct AskBackArgs {
    /// The lock
    #[arg(value_parser = cli::text())]
    name: String,
    /// How long the holder has
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = cli::duration())]
    grace: Duration,
    /// Asks only who has this fence, as `show` says it
    #[arg(long, value_name = "FENCE")]
    fence: Option<u64>,
    /// Why, for the holder: at most 256 bytes
    #[arg(long, value_name = "TEXT", value_parser = cli::text())]
    why: String,
    /// Appends to this file who asked whom, as lines of JSON
    #[arg(long, value_name = "FILE", env = "LEASEHOLD_AUDIT")]
    audit: Option<PathBuf>,
}

pub(crate) fn execute(args: AskBackArgs, store: Option<&OsStr>) -> Result<Exit, Failure> {
    let client = crate::store::audited(store, args.audit.as_deref())?;
    let ask = AskBack { why: args.why, grace: args.grace, fence: args.fence };
    match leasehold::block_on(client.ask_back(&args.name, &ask))? {
        Returned::GivenBack { fence, profile } => {
            let (host, pid) = (&profile.host, profile.pid);
            let line = print::line(&format!("fence {fence} of {host}, pid {pid} is over"));
            print::out(format!("{line}\n").as_bytes())?;
            Ok(Exit::Code(0))
        }
        Returned::NotHeld => {
            print::tell("nobody holds it so");
            Ok(Exit::Code(1))
        }
        Returned::StillHeld { fence, profile, .. } => {
            let (host, pid) = (&profile.host, profile.pid);
            let what = format!("it is still held with fence {fence} by {host}, pid {pid}");
            print::tell(&print::line(&what));
            Ok(Exit::Code(code::TEMPORARY))
        }
    }
}
