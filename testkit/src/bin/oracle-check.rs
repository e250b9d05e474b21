//! `oracle-check DIR`: the oracle's verdict on the logs in DIR, in one line; exit code 1 where
//! something speaks against exclusion.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: oracle-check DIR");
        return ExitCode::from(2);
    };
    match leasehold_testkit::oracle::judge(Path::new(&folder)) {
        Ok(verdict) => {
            println!("{verdict}");
            for (first, second) in verdict.overlaps.iter().take(5) {
                println!("overlap: {first:?} and {second:?}");
            }
            for (first, second) in verdict.disorder.iter().take(5) {
                println!("fences out of order: {first:?}, then {second:?}");
            }
            if verdict.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("oracle-check: {folder}: {error}");
            ExitCode::from(2)
        }
    }
}
