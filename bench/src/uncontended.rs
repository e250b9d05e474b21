//! A pair: one acquire and one release with nobody in the way. It is what almost every use of a
//! lock costs.

use std::path::Path;
use std::time::Duration;

use leasehold::Client;

use crate::plan::Plan;
use crate::raw_sqlite::{Depth, Pairs};
use crate::rounds::{Better, Contestant, Sample, Section, contestant};
use crate::{Result, clock, task_runtime};

const UNIT: (&str, Better) = ("us/pair", Better::Lower);
/// Pairs between two looks at the clock.
const STRIDE: u64 = 32;

/// In memory: what is left when the store costs next to nothing.
pub(crate) fn memory(plan: &Plan) -> Result<Section> {
    let runtime = task_runtime(1)?;
    let theirs = tokio::sync::Mutex::new(0_u64);
    let local = std::sync::Mutex::new(0_u64);
    let client = Client::connect("memory://")?;
    let section = Section::measure(
        "uncontended pair in memory",
        UNIT,
        plan.rounds,
        plan.memory,
        vec![
            contestant("tokio Mutex", |span| {
                runtime.block_on(pairs(span, async || {
                    *theirs.lock().await += 1;
                    Ok(())
                }))
            }),
            contestant("std Mutex", |span| {
                leasehold::block_on(pairs(span, async || {
                    *std::hint::black_box(&local).lock().map_err(|_| "poisoned")? += 1;
                    Ok(())
                }))
            }),
            awaiting("leasehold, awaited", &runtime, &client),
            blocking("leasehold, blocking", &client),
        ],
    )?;
    Ok(section.note("16-byte token from the system, fence, deadline, watchdog entry in each pair"))
}

/// On a database of its own, against the same database without a lock service.
pub(crate) fn sqlite(plan: &Plan, folder: &Path) -> Result<Section> {
    let runtime = task_runtime(1)?;
    let client = Client::connect(&format!("sqlite://{}/pairs.db", folder.display()))?;
    let raw = |depth| Pairs::new(folder, depth);
    let (rows, fence, protocol) = (raw(Depth::Rows)?, raw(Depth::Fence)?, raw(Depth::Protocol)?);
    let section = Section::measure(
        "uncontended pair on SQLite",
        UNIT,
        plan.rounds,
        plan.database,
        vec![
            written("by hand: 2 transactions, 1 row each", &rows),
            written("by hand: and the fence kept", &fence),
            written("by hand: and flock, holder, queue", &protocol),
            awaiting("leasehold, awaited", &runtime, &client),
            blocking("leasehold, blocking", &client),
        ],
    )?;
    Ok(section
        .note("write-ahead log, synchronous NORMAL; the third row does all that leasehold must"))
}

fn written<'a>(name: &str, pairs: &'a Pairs) -> Contestant<'a> {
    contestant(name, move |span| {
        let begun = clock::now();
        let until = begun + clock::span(span);
        let done = pairs.run(|| clock::now() >= until)?;
        Ok(micros_each(begun, done))
    })
}

fn awaiting<'a>(
    name: &str,
    runtime: &'a tokio::runtime::Runtime,
    client: &'a Client,
) -> Contestant<'a> {
    contestant(name, move |span| {
        runtime.block_on(pairs(span, async || {
            client.lock("bench").await?.release().await;
            Ok(())
        }))
    })
}

fn blocking<'a>(name: &str, client: &'a Client) -> Contestant<'a> {
    contestant(name, move |span| {
        let begun = clock::now();
        let until = begun + clock::span(span);
        let mut done = 0;
        while done % STRIDE != 0 || clock::now() < until {
            let lease = client.lock("bench").acquire_blocking()?;
            leasehold::block_on(lease.release());
            done += 1;
        }
        Ok(micros_each(begun, done))
    })
}

async fn pairs(span: Duration, pair: impl AsyncFn() -> Result<()>) -> Result<Sample> {
    let begun = clock::now();
    let until = begun + clock::span(span);
    let mut done = 0;
    while done % STRIDE != 0 || clock::now() < until {
        pair().await?;
        done += 1;
    }
    Ok(micros_each(begun, done))
}

fn micros_each(begun: u64, done: u64) -> Sample {
    Sample::of((clock::now() - begun) as f64 / 1000.0 / done as f64)
}
