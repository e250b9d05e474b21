//! A thousand locks at once: as one thing, one by one, and by hand in one pipeline.

use std::time::Duration;

use leasehold::{Client, Lock};
use redis::aio::MultiplexedConnection;

use super::lab::Lab;
use super::plain::{RELEASE, call, connect, load, token};
use super::rival::TTL_MS;
use crate::plan::Plan;
use crate::rounds::{Better, Sample, Section, contestant};
use crate::{Result, clock, task_runtime};

/// What the section is called.
pub(crate) const TITLE: &str = "1,000 locks taken and given back on Redis";
/// What is called what in the table; the limit first.
pub(crate) const ROWS: [&str; 3] =
    ["by hand: SET NX PX, one pipeline each way", "leasehold, lock_all", "leasehold, one by one"];

const LOCKS: u32 = 1_000;

/// All three, one after the other in each round.
pub(crate) fn batch(plan: &Plan, lab: &Lab) -> Result<Section> {
    let url = lab.use_both().0.url();
    let runtime = task_runtime(1)?;
    let client = Client::connect(&url)?;
    let mut raw = runtime.block_on(connect(&url))?;
    let hash = runtime.block_on(load(&mut raw, RELEASE))?;
    let locks = || (0..LOCKS).map(|index| client.lock(format!("batch {index}")));
    let rows = vec![
        contestant(ROWS[0], |span| timed(span, || runtime.block_on(pipelined(&mut raw, &hash)))),
        contestant(ROWS[1], |span| timed(span, || runtime.block_on(together(&client, locks())))),
        contestant(ROWS[2], |span| timed(span, || runtime.block_on(one_by_one(locks())))),
    ];
    let (rounds, span) = (plan.rounds, plan.redis_pairs);
    let section = Section::measure(TITLE, ("locks/s", Better::Higher), rounds, span, rows)?;
    Ok(section.note("a lock counts when it was taken and given back; one task"))
}

/// Locks in a second, of rounds of all of them until `span` is over.
fn timed(span: Duration, mut round: impl FnMut() -> Result<()>) -> Result<Sample> {
    let (begun, mut rounds) = (clock::now(), 0_u32);
    loop {
        round()?;
        rounds += 1;
        let took = clock::now() - begun;
        if took >= clock::span(span) {
            return Ok(Sample::of(f64::from(rounds * LOCKS) * 1e9 / took as f64));
        }
    }
}

async fn pipelined(connection: &mut MultiplexedConnection, hash: &str) -> Result<()> {
    let (mut take, mut give) = (redis::pipe(), redis::pipe());
    for index in 0..LOCKS {
        let (name, token) = (format!("by hand {index}"), token(index));
        take.cmd("SET").arg(&name).arg(&token).arg("NX").arg("PX").arg(TTL_MS);
        let mut call = call(hash, &name);
        call.arg(&token);
        give.add_command(call);
    }
    let taken: Vec<Option<String>> = take.query_async(connection).await?;
    let given: Vec<u32> = give.query_async(connection).await?;
    if taken.iter().all(Option::is_some) && given.iter().all(|deleted| *deleted == 1) {
        return Ok(());
    }
    Err("a lock was another's".into())
}

async fn together(client: &Client, locks: impl Iterator<Item = Lock>) -> Result<()> {
    let leases = client.lock_all(locks).acquire().await?;
    let released = leases.release().await;
    if released.iter().all(|it| *it == leasehold::Release::Released) {
        return Ok(());
    }
    Err("a lock was not given back".into())
}

async fn one_by_one(locks: impl Iterator<Item = Lock>) -> Result<()> {
    let mut leases = Vec::new();
    for lock in locks {
        leases.push(lock.acquire().await?);
    }
    for lease in leases {
        lease.release().await;
    }
    Ok(())
}
