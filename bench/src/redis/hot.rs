//! One hot lock on Redis: how much the hand-offs within a client save.

use std::sync::Arc;

use leasehold::{Client, ClientOptions, Order};

use super::lab::Lab;
use crate::Result;
use crate::plan::Plan;
use crate::rounds::{Better, Section};
use crate::tasks::{HOT_ROWS, Ordered, among_with};

/// What the section is called.
pub(crate) const TITLE: &str = "hot lock: hand-offs among 16 tasks of one thread, Redis";

/// Sixteen tasks of one thread on one lock.
pub(crate) fn hot(plan: &Plan, lab: &Lab) -> Result<Section> {
    let url = lab.use_both().0.url();
    let [limit, fifo, throughput] = HOT_ROWS;
    let ordered = |order| {
        let url = url.clone();
        move || {
            // As a program with a runtime of its own would: an answer then costs no thread hop.
            let io = tokio::runtime::Handle::try_current().ok();
            let options = ClientOptions { io, ..ClientOptions::default() };
            Ok(Ordered(Client::with(&url, options)?, order))
        }
    };
    let section = Section::measure(
        TITLE.to_owned(),
        ("1/s", Better::Higher),
        plan.rounds,
        plan.tasks,
        vec![
            among_with(limit, 1, || Ok(Arc::new(tokio::sync::Mutex::new(())))),
            among_with(fifo, 1, ordered(Order::Fifo)),
            among_with(throughput, 1, ordered(Order::Throughput)),
        ],
    )?;
    Ok(section.note("each holder yields once"))
}
