//! The contract of a store, as cases that any store can be put through.
//!
//! To test a store: implement [`Rig`] for it and hand it to [`trials`], which registers one test
//! per case, named `<store>::<case>`.

mod case;
mod cases;
mod inbox;
mod rig;
mod rigs;
mod scene;
mod trials;

pub use case::Case;
pub use cases::{all, of_a_bare_lock};
pub use inbox::Inbox;
pub use rig::{Rig, Seat};
pub use rigs::{MINIMAL_ACL, MemoryRig, RedisRig, SimRedisRig, SqliteRig, Way, dialect_acl};
pub use scene::{ALIVE, CLAIM, GRACE, HEARTBEAT, Scene, TTL};
pub use trials::{Make, passed, required, trials};
