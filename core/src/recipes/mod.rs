//! What is built on locks and needs nothing of a store but what every caller has.

mod adaptive_ttl;

pub use adaptive_ttl::{AdaptiveTtl, Choice};
