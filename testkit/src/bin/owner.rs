//! `owner URL NUMBER`: one owner in a process of its own. Obeys the lines on its input:
//!
//! * `take NAME`: takes the lock and keeps it: `took NAME`;
//! * `want NAME`: begins to wait for it: `wants NAME BOOT_NANOS`, and later either `got NAME` or
//!   `ended CODE BOOT_NANOS WAITS`, where WAITS is the length of the cycle that was named;
//! * `drop NAME`: gives it back: `dropped NAME`.

use std::collections::HashMap;
use std::io::BufRead;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold::{Client, Lease, Owner, block_on};
use leasehold_testkit::oracle::boot_nanos;

type Leases = Arc<Mutex<HashMap<String, Lease>>>;

fn main() -> ExitCode {
    match obey() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error {error}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a thread of a user's program for each wait")]
fn obey() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, number] = &arguments[..] else { return Err("usage: owner URL NUMBER".into()) };
    let (client, owner) = (Client::connect(url)?, Owner::from_number(number.parse()?));
    block_on(client.ping())?;
    let leases = Leases::default();
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (verb, name) = line.split_once(' ').ok_or("a verb and a name, please")?;
        let lock = client.lock(name).owner(owner).ttl(Duration::from_secs(60));
        let keep = |lease| {
            leases.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), lease)
        };
        match verb {
            "take" => {
                drop(keep(lock.acquire_blocking()?));
                println!("took {name}");
            }
            "want" => {
                let (leases, name) = (Arc::clone(&leases), name.to_owned());
                println!("wants {name} {}", boot_nanos());
                std::thread::spawn(move || match lock.acquire_blocking() {
                    Ok(lease) => {
                        let mut leases = leases.lock().unwrap_or_else(PoisonError::into_inner);
                        leases.insert(name.clone(), lease);
                        println!("got {name}");
                    }
                    Err(error) => {
                        let (code, waits) = (error.kind().code(), error.cycle().len());
                        println!("ended {code} {} {waits} {error}", boot_nanos());
                    }
                });
            }
            "drop" => {
                let lease = leases.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                block_on(lease.ok_or("it does not hold that")?.release());
                println!("dropped {name}");
            }
            _ => return Err(format!("{verb} is unknown").into()),
        }
    }
    Ok(())
}
