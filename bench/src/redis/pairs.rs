//! Uncontended pairs on Redis: one task, and 64 on locks of their own.

use super::lab::Lab;
use super::order::Order;
use crate::plan::Plan;
use crate::rounds::{Better, Contestant, Sample, Section, contestant};
use crate::{Result, clock};

/// What is called what in the table; the limit first.
pub(crate) const ROWS: [(&str, &str); 10] = [
    ("limit A", "limit A: SET NX PX, script deletes"),
    ("limit B", "limit B: two scripts"),
    ("leasehold", "leasehold, Rust"),
    ("rslock", "rslock, Rust"),
    ("leasehold sync", "leasehold, Python"),
    ("redis-py", "redis-py Lock, Python"),
    ("python-redis-lock", "python-redis-lock, Python"),
    ("pottery", "pottery Redlock, Python"),
    ("leasehold asyncio", "leasehold, asyncio"),
    ("redis-py asyncio", "redis-py Lock, asyncio"),
];

/// What the section of `tasks` tasks is called.
pub(crate) fn title(tasks: u32) -> String {
    match tasks {
        1 => "uncontended pair on Redis, 1 task".to_owned(),
        _ => format!("uncontended pairs on Redis, {tasks} tasks on {tasks} locks"),
    }
}

/// Pairs of `tasks` tasks (Python's blocking locks: threads) in one process.
pub(crate) fn uncontended(plan: &Plan, lab: &Lab, tasks: u32) -> Result<Section> {
    let rows: Vec<Contestant<'_>> = ROWS
        .into_iter()
        .filter(|(rival, _)| lab.has(rival))
        .map(|(rival, name)| {
            contestant(name, move |span| {
                let order = Order::Pairs { rival: rival.to_owned(), tasks };
                let (mut server, mut crews) = lab.use_both();
                let gathered = crews.one(rival, &order)?;
                let before = server.stats()?;
                let now = clock::now();
                let did = gathered.go(now, now + clock::span(span))?.done()?;
                let stats = server.stats()?.since(&before);
                let each = 1e6 / did.count as f64;
                let mut sample = Sample::of(did.count as f64 / did.seconds)
                    .with("client us cpu", did.cpu * each)
                    .with("server us cpu", stats.cpu() * each)
                    .commands(stats.calls_each(did.count as f64));
                if let Some(micros) = stats.script_micros() {
                    sample = sample.with("us/script", micros);
                }
                Ok(sample)
            })
        })
        .collect();
    let unit = ("1/s", Better::Higher);
    let section = Section::measure(title(tasks), unit, plan.rounds, plan.redis_pairs, rows)?;
    Ok(section.note(match tasks {
        1 => "cpu: for a pair",
        _ => "one process; Python's blocking locks in threads; cpu: for a pair",
    }))
}
