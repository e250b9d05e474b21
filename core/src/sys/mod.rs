//! What the operating system gives: time, randomness, spawning, fork.
//!
//! Everything above asks for these through [`Sys`], so that a simulator, a test or a WebAssembly
//! host can supply its own. The only unsafe code of the crate lives in this folder.

mod clock;
mod maybe_send;
mod own_map;
mod random;
mod system;
mod traits;

#[cfg(feature = "native")]
pub mod child;
#[cfg(feature = "native")]
pub mod fork;
#[cfg(not(feature = "native"))]
#[path = "unforked.rs"]
pub mod fork;
#[cfg(feature = "native")]
mod native;
#[cfg(feature = "native")]
mod poller;
#[cfg(feature = "redis")]
mod readiness;
#[cfg(feature = "native")]
pub mod user;

pub use clock::{BootTime, Moment};
pub use maybe_send::{BoxFuture, MaybeSend, MaybeSync};
pub use own_map::OwnMap;
pub use random::Token;
pub use system::Sys;
pub use traits::{Clock, Executor, Randomness};

#[cfg(feature = "native")]
pub(crate) use native::OsRandom;
#[cfg(feature = "native")]
pub use native::{BootClock, boot_id, host_name, thread};
#[cfg(feature = "native")]
pub(crate) use poller::{Poller, Watch};
#[cfg(feature = "redis")]
pub(crate) use readiness::Readiness;
