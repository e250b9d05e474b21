//! The rigs of the stores.

mod memory;
mod redis;
mod sim_redis;
mod sqlite;

pub use memory::MemoryRig;
pub use redis::{MINIMAL_ACL, RedisRig, Way, dialect_acl};
pub use sim_redis::SimRedisRig;
pub use sqlite::SqliteRig;
