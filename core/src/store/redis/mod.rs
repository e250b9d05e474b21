//! Redis ≥ 6.2 and Valkey. The lock is a string key at its own name, so that every library that
//! locks with SET NX on that key excludes us and is excluded; all else lies beside it, in the same
//! cluster slot.

mod address;
mod alike;
mod cells;
mod conn;
mod dialect;
mod gather;
mod keys;
mod link;
mod nolua;
mod pushes;
#[cfg(feature = "native")]
mod reader;
#[cfg(not(feature = "native"))]
#[path = "driven.rs"]
mod reader;
mod resp;
mod script;
mod session;
mod store;
#[cfg(feature = "redis")]
mod tcp;
mod wants;
mod words;

pub use address::RedisUrl;
pub use dialect::Dialect;
pub use keys::Keys;
pub use link::{Dial, Link, Purpose};
pub use nolua::NoLuaStore;
pub use store::{RedisStore, Settings};
#[cfg(feature = "redis")]
pub use tcp::TcpDial;
