//! What is built on locks and needs nothing of a store but what every caller has.

mod adaptive_ttl;
mod batch;

pub use adaptive_ttl::{AdaptiveTtl, Choice};
pub use batch::Batcher;
