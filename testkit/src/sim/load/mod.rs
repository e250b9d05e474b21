//! What the users of the simulated machines do.

mod plan;
mod session;
mod stage;
mod tenure;

pub(crate) use stage::Stage;
