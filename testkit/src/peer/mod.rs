//! The locks that people already run, unmodified, as processes that a test tells what to do.

mod have;
mod library;
mod process;
mod raw;
mod trial;
mod watch;

pub use library::{ALL, Layout, Library, Wakes};
pub use process::{Outcome, Peer, Released, Want};
pub use raw::Raw;
pub use trial::on_peers;
pub use watch::Watch;
