//! The embedded store: one database file, all processes of this user on this host.
//!
//! Every request is one short transaction under a `flock`, so writers queue in the kernel instead
//! of polling SQLite's busy handler. Expiry is counted on the boot clock; a reboot ends all
//! leases. A grant is told to the waiter's process by one datagram after the commit.

mod cells;
mod db;
mod file;
mod rows;
mod schema;
mod store;
mod wake;
mod worker;

pub use store::SqliteStore;
