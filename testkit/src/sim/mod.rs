//! A whole deployment in virtual time: the production client against a server that runs the shipped
//! Lua, under faults, from a seed.

mod campaign;
mod coverage;
mod fault;
mod judge;
mod kernel;
mod load;
mod mix;
mod net;
mod rate;
pub mod redis;
mod schedule;

pub use campaign::{Campaign, Done, replay};
pub use coverage::Coverage;
pub use fault::{Fault, Swarm};
pub use net::Step;
pub use schedule::{Report, run};
