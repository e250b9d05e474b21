//! Sixteen contenders on one lock, in one process and in four of four.

use std::time::Duration;

use super::contest::Contest;
use super::lab::Lab;
use crate::Result;
use crate::plan::Plan;
use crate::rounds::{Better, Contestant, Section, contestant};

/// Where the contenders are: processes, and contenders in each.
pub(crate) const SHAPES: [(usize, u32); 2] = [(1, 16), (4, 4)];
/// How long each holds the lock.
pub(crate) const HOLDS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(2)];
const RUN_UP: Duration = Duration::from_millis(100);

/// What is called what in the table; the limit first.
pub(crate) const ROWS: [(&str, &str); 10] = [
    ("BLPOP", "limit C: BLPOP passes a token"),
    ("grant", "limit C: script grants, push tells"),
    ("leasehold", "leasehold, Rust"),
    ("leasehold throughput", "leasehold, Rust, order throughput"),
    ("rslock", "rslock, Rust"),
    ("leasehold sync", "leasehold, Python threads"),
    ("redis-py", "redis-py Lock, Python threads"),
    ("python-redis-lock", "python-redis-lock, Python threads"),
    ("leasehold asyncio", "leasehold, asyncio"),
    ("redis-py asyncio", "redis-py Lock, asyncio"),
];

/// What the section is called.
pub(crate) fn title((processes, each): (usize, u32), hold: Duration) -> String {
    let among = match processes {
        1 => format!("{each} contenders in one process"),
        _ => format!("{processes} x {each} contenders in {processes} processes"),
    };
    format!("hand-offs among {among} on Redis, hold {} ms", hold.as_millis())
}

/// Hand-offs among contenders of `shape` that hold the lock for `hold`.
pub(crate) fn contended(
    plan: &Plan,
    lab: &Lab,
    shape: (usize, u32),
    hold: Duration,
) -> Result<Section> {
    let rows: Vec<Contestant<'_>> = ROWS
        .into_iter()
        .filter(|(rival, _)| lab.has(rival))
        .map(|(rival, name)| {
            contestant(name, move |span| {
                Contest { rival, shape, hold, run_up: RUN_UP, span, asks_once: false }.run(lab)
            })
        })
        .collect();
    let unit = ("1/s", Better::Higher);
    let rounds = plan.redis_rounds[usize::from(!hold.is_zero())];
    let section = Section::measure(title(shape, hold), unit, rounds, plan.redis_contended, rows)?;
    Ok(section.note(
        "p50, p99: of the hand-off; wait: from the call of the acquire; commands: all that the \
         server ran for a hand-off, those in scripts too; scripts: those that clients sent; no tenure overlapped",
    ))
}
