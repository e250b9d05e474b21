//! Which parts there are on Redis.

use std::path::Path;
use std::time::Duration;

use super::batch::batch;
use super::contended::{HOLDS, SHAPES, contended};
use super::crowd::crowd;
use super::held::held;
use super::hot::hot;
use super::lab::Lab;
use super::pairs::uncontended;
use crate::Result;
use crate::plan::Plan;
use crate::rounds::Section;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    /// Uncontended pairs.
    pub(crate) pairs: bool,
    /// A thousand locks at once.
    pub(crate) batch: bool,
    /// Sixteen contenders on one lock.
    pub(crate) contended: bool,
    /// Sixteen tasks of one thread on one lock, in either order.
    pub(crate) hot: bool,
    /// Ten to 10,000 waiters on one lock.
    pub(crate) crowd: bool,
    /// 10,000 held locks.
    pub(crate) held: bool,
    /// 50,000 held locks for ten times their ttl.
    pub(crate) held50k: bool,
}

/// Held locks, their ttl.
pub(crate) const HELD: (u32, Duration) = (10_000, Duration::from_secs(10));
/// The same for the long part.
pub(crate) const HELD50K: (u32, Duration) = (50_000, Duration::from_secs(6));

/// Measures what is wanted; nothing where there is no server.
pub(crate) fn measure(plan: &Plan, folder: &Path, parts: Parts) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    let Parts {
        pairs,
        batch: together,
        contended: contest,
        hot: one,
        crowd: many,
        held: kept,
        held50k,
    } = parts;
    if ![pairs, together, contest, one, many, kept, held50k].contains(&true) {
        return Ok(sections);
    }
    let lab = match Lab::open(folder) {
        Ok(lab) => lab,
        Err(why) => {
            eprintln!("  Redis left out: {why}");
            return Ok(sections);
        }
    };
    if parts.pairs {
        for tasks in [1, 64] {
            sections.push(uncontended(plan, &lab, tasks)?);
        }
    }
    if parts.batch {
        sections.push(batch(plan, &lab)?);
    }
    if parts.contended {
        for hold in HOLDS {
            for shape in SHAPES {
                sections.push(contended(plan, &lab, shape, hold)?);
            }
        }
    }
    if parts.hot {
        sections.push(hot(plan, &lab)?);
    }
    if parts.crowd {
        sections.push(crowd(plan, &lab)?);
    }
    if parts.held {
        sections.push(held(&lab, HELD.0, HELD.1, plan.redis_held)?);
    }
    if parts.held50k {
        sections.push(held(&lab, HELD50K.0, HELD50K.1, HELD50K.1 * 10)?);
    }
    Ok(sections)
}
