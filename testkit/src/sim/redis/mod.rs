//! A Redis server in memory, exact enough that a random differential test against a real one finds
//! no difference, with a clock that only the simulator moves.

mod commands;
mod db;
mod engine;
mod lua;
mod number;
mod reply;
mod server;
mod value;

pub use db::{Db, Entry};
pub use engine::{Command, Engine, Work};
pub use lua::sha1hex;
pub use reply::{Reply, take_request};
pub use server::{Output, Server};
pub use value::{Hash, Sorted, Value};
