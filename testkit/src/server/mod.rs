//! Real servers for tests: started as children on ports of their own, in folders of their own, and
//! gone with the test, however it ends.

mod certificates;
mod daemon;
mod nobody;
mod nursery;
pub(crate) mod ports;
mod programs;
mod redis;
mod resp;
mod setup;
mod sql;
mod trial;

pub use redis::RedisServer;
pub use resp::{Reply, Resp};
pub use setup::{Flavour, RedisSetup};
pub use sql::{SqlFlavour, SqlServer};
pub use trial::{OneServer, on_redis};
