//! The demo's contender in Rust: `demo-contender LOCK URL FOLDER WHO`. Orders come in on stdin and
//! what happens goes out on stdout, a line each; contender.py and contender.sh do the same.
//!
//! What it does under the lock is deliberately unsafe without it: it reads a number when it takes
//! the lock and writes the next one, and nothing but the lock keeps another from doing so meanwhile.
//! When it did so is logged for the judge of overlaps (leasehold_testkit::oracle).

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Duration;

use leasehold_testkit::oracle::Log;

const TTL: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [lock, url, folder, who] = &arguments[..] else {
        return Err("usage: demo-contender LOCK URL FOLDER WHO".into());
    };
    let client = leasehold::Client::connect(url)?;
    let mut log = Log::open(Path::new(folder), who)?;
    let mut orders = io::stdin().lock().lines();
    while orders.next().transpose()?.as_deref() == Some("take") {
        say("waits")?;
        let lease = client.lock(lock).ttl(TTL).acquire_blocking()?;
        let section = log.enter(lease.fence())?;
        say(&format!("held {}", lease.fence()))?;

        if orders.next().transpose()?.as_deref() != Some("write") {
            break;
        }
        // However long the order took, or this whole process was stopped: ask the lease first.
        if lease.is_held() {
            section.leave()?;
            say(&format!("wrote {}", lease.fence()))?;
        } else {
            let reason = lease.lost_reason().map_or("unknown", |reason| reason.code());
            say(&format!("refused {} {reason}", lease.fence()))?;
        }
        leasehold::block_on(lease.release());
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
