//! A crowd on one lock: what a hand-off costs the server must not grow with those who wait.

use std::time::Duration;

use super::contest::Contest;
use super::lab::Lab;
use crate::Result;
use crate::plan::Plan;
use crate::rounds::{Better, Contestant, Section, contestant};

/// A waiter's own cost to join, generously: whether all have is looked at when it counts.
const JOINING: Duration = Duration::from_micros(250);
const RUN_UP: Duration = Duration::from_millis(100);

/// What the section is called.
pub(crate) const TITLE: &str = "hand-offs in a crowd on Redis, hold 0 ms";

/// What a row is called.
pub(crate) fn row(name: &str, waiters: u32) -> String {
    format!("{name}, {waiters} waiters")
}

/// Hand-offs in one process with ever more waiters.
pub(crate) fn crowd(plan: &Plan, lab: &Lab) -> Result<Section> {
    let limits = [("grant", "limit C: grant"), ("leasehold", "leasehold, Rust")];
    let mut rows: Vec<Contestant<'_>> = Vec::new();
    for (rival, name) in limits.into_iter().filter(|(rival, _)| lab.has(rival)) {
        for &waiters in plan.redis_crowd {
            let run_up = RUN_UP + JOINING * waiters;
            rows.push(contestant(row(name, waiters), move |span| {
                // One holds, the others wait.
                let shape = (1, waiters + 1);
                let hold = Duration::ZERO;
                Contest { rival, shape, hold, run_up, span, asks_once: true }.run(lab)
            }));
        }
    }
    let (rounds, span) = (plan.redis_rounds[1], plan.redis_contended);
    let section = Section::measure(TITLE, ("1/s", Better::Higher), rounds, span, rows)?;
    Ok(section.note(
        "commands: all that the server ran for a hand-off, those in scripts too; scripts: those \
         that clients sent; jain and wait: with 1,000 waiters and more a round may be shorter than a turn of all",
    ))
}
