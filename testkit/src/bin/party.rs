//! `party URL lead NAME TTL_MS VALUE`: leads, prints `leading FENCE`, and obeys the lines on its input,
//! one answer each:
//!
//! * `proclaim VALUE`: `proclaimed ok`, or the code of the error;
//! * `resign`: `resigned OUTCOME`, and it ends.
//!
//! `party URL count NAME COUNT TIMES`: counts a latch of COUNT down so often, prints `counted`, and at
//! a line `wait` prints `waits` and then `waited ok` once it is open.
//!
//! `party URL enter NAME PARTIES TTL_MS`: prints `ready`, then `entered`, and at a line `leave` leaves
//! the barrier and prints `left ok`.
//!
//! At the end of its input it just ends, with what it has in its hands.

use std::io::BufRead;
use std::process::ExitCode;
use std::time::Duration;

use leasehold::{Client, Result, block_on};

fn main() -> ExitCode {
    match take_part() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error {error}");
            ExitCode::FAILURE
        }
    }
}

type Done = std::result::Result<(), Box<dyn std::error::Error>>;

fn take_part() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [url, rest @ ..] = &arguments[..] else { return Err("which store?".into()) };
    let client = Client::connect(url)?;
    match rest {
        ["lead", name, ttl, value] => lead(&client, name, ttl.parse()?, value),
        ["count", name, count, times] => count_down(&client, name, count.parse()?, times.parse()?),
        ["enter", name, parties, ttl] => enter(&client, name, parties.parse()?, ttl.parse()?),
        _ => Err("see the head of this file".into()),
    }
}

fn lead(client: &Client, name: &str, ttl_ms: u64, value: &str) -> Done {
    let campaign = client.election(name).campaign().ttl(Duration::from_millis(ttl_ms)).value(value);
    let leadership = block_on(campaign.acquire())?;
    println!("leading {}", leadership.fence());
    for line in lines() {
        match line.split_once(' ') {
            Some(("proclaim", value)) => {
                println!("proclaimed {}", word(block_on(leadership.proclaim(value))));
            }
            _ if line == "resign" => {
                println!("resigned {:?}", block_on(leadership.resign()));
                return Ok(());
            }
            _ => return Err(format!("{line} is unknown").into()),
        }
    }
    Ok(())
}

fn count_down(client: &Client, name: &str, count: u64, times: u32) -> Done {
    let latch = client.latch(name, count);
    for _ in 0..times {
        block_on(latch.count_down(1))?;
    }
    println!("counted");
    for _ in lines().filter(|line| line == "wait") {
        println!("waits");
        println!("waited {}", word(block_on(latch.wait(None))));
    }
    Ok(())
}

fn enter(client: &Client, name: &str, parties: u32, ttl_ms: u64) -> Done {
    let barrier = client.barrier(name, parties).ttl(Duration::from_millis(ttl_ms));
    println!("ready");
    let inside = block_on(barrier.enter(None))?;
    println!("entered");
    if lines().any(|line| line == "leave") {
        println!("left {}", word(block_on(inside.leave(None))));
    }
    Ok(())
}

fn lines() -> impl Iterator<Item = String> {
    std::io::stdin().lock().lines().map_while(std::result::Result::ok)
}

fn word<T>(result: Result<T>) -> &'static str {
    result.map_or_else(|error| error.kind().code(), |_| "ok")
}
