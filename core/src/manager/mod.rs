//! Locks by name: one configuration says for each name which store it lives in, which kind of lock it
//! is, and with which settings it is taken.

mod config;
mod health;
mod names;
mod settings;
mod text;

pub use config::{Config, Permissions, StoreConfig};
pub use health::Health;
pub use names::{Manager, Placed, Revoked};
pub use settings::{LockKind, Settings};

pub use crate::wait::Usage;
