//! A TCP proxy that stands for a bad network: between a client and a real server, it withholds,
//! delays, loses and cuts what a test tells it to, in either direction.
//!
//! It knows no protocol: a test picks a connection or a moment by the bytes that pass. One thread
//! owns all connections, so a change is in force for all that is read after the call returns.

mod control;
mod engine;
mod fault;
mod link;
mod pipe;
mod rules;
mod stats;

pub use control::Proxy;
pub use fault::{Action, Direction, Fault, Which};
pub use stats::{Flow, LinkStats, Stats};
