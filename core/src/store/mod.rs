//! The only code that talks to a store, behind one small contract.
//!
//! To add a store: a folder with the same file names, an implementation of [`Store`], an arm in
//! `open.rs`, and a line in `testkit` that runs the contract suite over it.

mod ask;
mod contract;
mod extras;
pub mod memory;
mod open;
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod view;

pub use ask::{
    Answer, Ask, Cancel, Hold, Holding, How, Kind, Released, Renewal, Resize, Resized, Wait,
};
pub use contract::{Capabilities, FenceSource, Grant, Kinds, Pushed, Store, Survives, TtlScope};
pub use extras::{Cell, Cells, Decision, Limit, Limiter, WaitsFor, Wanting, Watched};
pub(crate) use open::open;
pub use view::{Evict, Evicted, HolderView, LockView, Query, SHOWN, WaiterView};
