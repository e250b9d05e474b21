//! `oracle-step DIR WHO [--hold-ms N]`: one section for the oracle, for a shell script that
//! `leasehold run` started: the fence is that of LEASEHOLD_FENCE.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use leasehold_testkit::oracle::Log;

fn main() -> ExitCode {
    match step() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oracle-step: {error}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "stands for the work that a script does")]
fn step() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, who, hold) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [folder, who] => (folder, who, 0),
        [folder, who, "--hold-ms", hold] => (folder, who, hold.parse()?),
        _ => return Err("usage: oracle-step DIR WHO [--hold-ms N]".into()),
    };
    let fence = std::env::var("LEASEHOLD_FENCE").map_err(|_| "LEASEHOLD_FENCE is not set")?;
    let mut log = Log::open(Path::new(folder), who)?;
    let section = log.enter(fence.parse()?)?;
    std::thread::sleep(Duration::from_millis(hold));
    Ok(section.leave()?)
}
