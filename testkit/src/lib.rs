//! Contract suite, oracles, virtual time and real processes for testing leasehold.
//!
//! For tests of the library, of its bindings and of a store that someone else writes; never part of
//! a product.

pub mod beliefs;
pub mod contract;
mod face;
mod folder;
mod guarded;
pub mod history;
pub mod model;
pub mod oracle;
pub mod peer;
mod process;
mod program;
mod property;
pub mod proxy;
mod random;
pub mod server;
pub mod sim;
mod size;
mod stepper;
mod turn;
mod world;

pub use face::{Face, Runner};
pub use folder::{folder, folder_in_memory};
pub use guarded::Guarded;
pub use process::Process;
pub use program::program;
pub use property::property;
pub use random::SeededRandom;
pub use size::size;
pub use stepper::Stepper;
pub use turn::{Turn, stop_between_steps, turn_is_free};
pub use world::World;
