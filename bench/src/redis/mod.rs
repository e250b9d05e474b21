//! The part of the bench that stands on Redis.

mod batch;
mod blpop;
mod contended;
mod contest;
mod crew;
mod crowd;
mod grant;
mod held;
mod hot;
mod lab;
mod order;
mod ours;
mod pairs;
mod parts;
mod plain;
mod renewal;
mod rival;
mod rslock;
mod scripted;
mod server;
mod shift;
mod stats;
mod targets;
mod turns;
pub(crate) mod worker;

pub(crate) use parts::{Parts, measure};
pub(crate) use targets::targets;
