//! The `leasehold` command: runs a program under a lock, and shows locks.

mod cli;
mod commands;
mod duration;
mod exit;
mod json;
mod logging;
mod print;
mod store;
mod supervise;
mod table;

use std::process::ExitCode;
use std::time::Duration;

/// What is still to be given back at the end has this long; after it the store's expiry does it.
const LAST_RELEASE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == supervise::GUARD) {
        return supervise::guard_main();
    }
    let exit = match cli::parse() {
        Ok(cli) => commands::execute(cli).unwrap_or_else(|failure| failure.tell()),
        Err(early) => early,
    };
    leasehold::runtime::release_all(LAST_RELEASE);
    exit.finish()
}
