//! The clock that deadlines count on, on a machine that has slept (hazard 10).
//!
//! A test can't put its machine to sleep. In a time namespace whose boot clock is ahead by a day, and
//! whose monotonic clock is not, all looks as after a day with the lid closed.

use std::process::Command;
use std::time::Duration;

use leasehold::sys::{BootClock, BootTime, Clock};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

const CHILD: &str = "LEASEHOLD_TEST_CLOCK";
const SLEPT: Duration = Duration::from_secs(86_400);

fn main() {
    if std::env::var_os(CHILD).is_some() {
        println!("{}", BootClock.now().as_nanos());
        return;
    }
    let name = "deadlines_count_the_time_that_the_machine_slept";
    let trials = vec![Trial::ignorable_test(name, counts_sleep)];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn counts_sleep() -> Result<Completion, Failed> {
    let before = BootClock.now();
    let seconds = SLEPT.as_secs().to_string();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--time", "--boottime", &seconds])
        .arg(std::env::current_exe()?)
        .env(CHILD, "1")
        .output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        refused => {
            let why = format!("no time namespace can be had here: {refused:?}");
            return Ok(Completion::ignored_with(why));
        }
    };
    let now = String::from_utf8(output.stdout)?;
    let ahead = BootTime::from_nanos(now.trim().parse()?).since(before);
    if ahead < SLEPT {
        return Err(format!("its clock is ahead by {ahead:?} only").into());
    }
    Ok(Completion::Completed)
}
