//! `holder URL NAME TTL_MS [read | COUNT/CAPACITY]`: takes the lock, alone, to read or so many
//! permits; prints `granted FENCE BOOT_NANOS`, and obeys the lines on its input, one answer each:
//!
//! * `held`: `held true` or `held false REASON`;
//! * `write PATH`: a write guarded by the fence, in the SQLite table `guarded` of the database at
//!   PATH: `written` or `refused`;
//! * `listen`: `listening`; from then on each request to give it back prints `asked PID WHY`;
//! * `release`: `released OUTCOME`;
//! * `exit`: ends as a program with an exit hook does: `released` once its leases are given back.
//!
//! At the end of its input it just ends, with the lease in its hands.

use std::io::BufRead;
use std::process::ExitCode;
use std::time::Duration;

use leasehold::{Client, Lease};
use leasehold_testkit::oracle::boot_nanos;
use rusqlite::{Connection, params};

fn main() -> ExitCode {
    match hold() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match error.downcast_ref::<leasehold::Error>() {
                Some(known) => println!("error {} {known:?}", known.kind().code()),
                None => println!("error {error}"),
            }
            ExitCode::FAILURE
        }
    }
}

fn hold() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, ttl, how @ ..] = &arguments[..] else {
        return Err("usage: holder URL NAME TTL_MS [read | COUNT/CAPACITY]".into());
    };
    let client = Client::connect(url)?;
    println!("ready");
    let lock = match how.first().map(String::as_str) {
        None => client.lock(name),
        Some("read") => client.rwlock(name).read(),
        Some(permits) => {
            let (count, capacity) =
                permits.split_once('/').ok_or("how many permits of how many?")?;
            client.semaphore(name, capacity.parse()?).permits(count.parse()?)
        }
    };
    let lease = lock.ttl(Duration::from_millis(ttl.parse()?)).acquire_blocking()?;
    println!("granted {} {}", lease.fence(), boot_nanos());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "exit" {
            let all = leasehold::runtime::release_all(Duration::from_secs(5));
            println!("released {all} {:?}", lease.lost_reason());
            return Ok(());
        }
        println!("{}", obey(&line, &lease)?);
    }
    Ok(())
}

fn obey(line: &str, lease: &Lease) -> Result<String, Box<dyn std::error::Error>> {
    if line == "held" {
        let held = lease.is_held();
        let why = lease.lost_reason().map_or(String::new(), |reason| format!(" {reason}"));
        return Ok(format!("held {held}{why}"));
    }
    if line == "listen" {
        lease.on_asked_back(|request| println!("asked {} {}", request.by.pid, request.why));
        return Ok("listening".to_owned());
    }
    if line == "release" {
        return Ok(format!("released {:?}", leasehold::block_on(lease.release())));
    }
    let path = line.strip_prefix("write ").ok_or_else(|| format!("{line} is unknown"))?;
    let guarded = Connection::open(path)?;
    guarded.busy_timeout(Duration::from_secs(10))?;
    let written = guarded.execute(
        "UPDATE guarded SET fence = ?1, writes = writes + 1 WHERE fence <= ?1",
        params![lease.fence() as i64],
    )?;
    Ok(if written == 1 { "written" } else { "refused" }.to_owned())
}
