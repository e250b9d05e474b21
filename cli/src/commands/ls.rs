//! `leasehold ls`: the locks that are held or waited for.

use std::ffi::OsStr;

use clap::Args;
use leasehold::store::LockView;

use crate::exit::{Exit, Failure};
use crate::{cli, json, print, table};

/// Locks asked for in one request.
const PAGE: u32 = 500;

/// Lists the locks that are held or waited for
#[derive(Debug, Args)]
#[command(after_long_help = "\
The JSON document:
  {\"locks\": [ … ]}, in order of name, each as `leasehold show --json` prints it.")]
pub(crate) struct LsArgs {
    /// Only those whose names start so
    #[arg(value_parser = cli::text(), default_value = "", hide_default_value = true)]
    prefix: String,
    /// Prints one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &LsArgs, store: Option<&OsStr>) -> Result<Exit, Failure> {
    let client = crate::store::client(store)?;
    let mut views: Vec<LockView> = Vec::new();
    loop {
        let after = views.last().map(|view| &view.name);
        let page = leasehold::block_on(client.list(&args.prefix, after, PAGE))?;
        let last = page.len() < PAGE as usize;
        views.extend(page);
        if last {
            break;
        }
    }
    if args.json {
        json::out(&json::Locks::of(&views))?;
    } else if views.is_empty() {
        print::complain("no lock is held or waited for");
    } else {
        print::out(table::locks(&views, super::show::wall_us()?).as_bytes())?;
    }
    Ok(Exit::Code(0))
}
