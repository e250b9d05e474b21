//! `permits URL NAME CAPACITY DIR SEED`: takes a random number of permits, keeps them for a random time
//! and gives them back, again and again until it is killed or its input ends; some waits it gives up.
//! In the folder DIR it writes down what it believes. Prints `ready`, then a line `granted COUNT` for
//! each grant, and `done` at the end.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leasehold::{Client, ErrorKind, block_on};
use leasehold_testkit::SeededRandom;
use leasehold_testkit::beliefs::Beliefs;

/// Long enough for a busy machine to renew in time, most times.
const TTL: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    match go_round() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error {error}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "stands for the work that is done under permits")]
fn go_round() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, capacity, folder, seed] = &arguments[..] else {
        return Err("usage: permits URL NAME CAPACITY DIR SEED".into());
    };
    let (client, capacity) = (Client::connect(url)?, capacity.parse::<u32>()?);
    let (random, mut beliefs) =
        (SeededRandom::new(seed.parse()?), Beliefs::open(Path::new(folder))?);
    println!("ready");
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ends.store(true, Ordering::SeqCst);
    });
    while !over.load(Ordering::SeqCst) {
        let count = 1 + random.below(u64::from(capacity) / 4) as u32;
        let patience = Duration::from_millis(50 + random.below(2000));
        let permits = client.semaphore(name, capacity).permits(count).ttl(TTL).wait(patience);
        let lease = match block_on(permits.acquire()) {
            Err(error) if error.kind() == ErrorKind::Timeout => continue,
            lease => lease?,
        };
        println!("granted {count}");
        let until = Instant::now() + Duration::from_millis(random.below(120));
        let go_on = || Instant::now() < until && !over.load(Ordering::SeqCst);
        beliefs.hold(&lease, count, go_on, || std::thread::sleep(Duration::from_millis(1)))?;
        block_on(lease.release());
    }
    println!("done");
    Ok(())
}
