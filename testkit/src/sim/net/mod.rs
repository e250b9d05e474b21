//! The network between the machines and the one server, and all that goes wrong there.

mod link;
mod pipe;
mod serve;
mod step;
mod strike;
mod wires;

pub(crate) use link::{SimDial, first};
pub use step::Step;
pub(crate) use step::{Meant, meaning};
pub(crate) use wires::Net;
