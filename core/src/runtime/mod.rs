//! The shared runtime of the process: one I/O pool, one lease thread, one watchdog, one reaper,
//! whatever the number of clients and languages. Made anew in a forked child.

mod all;
#[cfg(feature = "native")]
mod eager;
#[cfg(feature = "native")]
mod event_loop;
#[cfg(feature = "native")]
mod parked;
mod reaper;
#[cfg(feature = "native")]
mod shared;
mod state;
#[cfg(feature = "native")]
mod threads;
#[cfg(feature = "native")]
mod timers;
mod unless;
mod within;

pub(crate) use all::all;
#[cfg(feature = "native")]
pub(crate) use eager::Eager;
#[cfg(feature = "native")]
pub(crate) use event_loop::{Attended, Lead, event_loop};
#[cfg(feature = "native")]
pub use event_loop::{EventLoop, LOOKS, Roused, rouse};
#[cfg(feature = "native")]
pub(crate) use parked::{Came, Mode, Parked, Source, mode, offer, readable};
#[cfg(feature = "native")]
pub use parked::{block_on, block_on_for, glance, poll_undecided};
pub(crate) use reaper::{Burial, Reaper, UnderWay};
#[cfg(feature = "native")]
#[cfg(feature = "sqlite")]
pub(crate) use shared::io;
#[cfg(feature = "native")]
pub use shared::{release_all, shared, spawn};
pub use state::Runtime;
#[cfg(feature = "native")]
pub use threads::native_sys;
pub(crate) use unless::unless;
pub(crate) use within::within;
