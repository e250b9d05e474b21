//! Runs schedules of the simulator. `simulate --schedules N --seed S [--jobs J] [--replay SEED]`.

use std::process::ExitCode;

use leasehold_testkit::sim::{Campaign, replay};

fn main() -> ExitCode {
    let (mut campaign, mut replayed, mut lines) = (Campaign::default(), None, 120);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| value.parse::<u64>().ok());
        match (word.as_str(), value) {
            ("--schedules", Some(number)) => campaign.schedules = number,
            ("--seed", Some(number)) => campaign.seed = number,
            ("--jobs", Some(number)) => campaign.jobs = number.max(1),
            ("--seconds", Some(number)) => campaign.seconds = Some(number),
            ("--stop-after", Some(number)) => campaign.stop_after = number,
            ("--lines", Some(number)) => lines = number,
            ("--replay", Some(number)) => replayed = Some(number),
            _ => {
                eprintln!(
                    "usage: simulate [--schedules N] [--seed S] [--jobs J] [--seconds T] \
                     [--stop-after VIOLATIONS] [--replay SEED] [--lines N]"
                );
                return ExitCode::from(2);
            }
        }
    }
    if let Some(seed) = replayed {
        return if replay(seed, usize::try_from(lines).unwrap_or(usize::MAX)) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let done = campaign.run();
    println!("{done}");
    if done.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
