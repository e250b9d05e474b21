//! The locks that people already run, unmodified, as processes that a test tells what to do.

mod have;
mod library;
mod process;

pub use library::{ALL, Layout, Library, Wakes};
pub use process::{Outcome, Peer, Released, Want};
