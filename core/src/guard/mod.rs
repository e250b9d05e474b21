//! Fences enforced where a write takes effect. A lease is a belief: between the moment at which a holder
//! asks it and the moment at which its write arrives, any time may pass. What a guard keeps is the
//! largest fence that it has seen of each resource; a write with a smaller one is refused, whatever its
//! sender believes (Kleppmann, "How to do distributed locking", 2016).
//!
//! The trap is to compare first and write later: a holder that is paused between the two writes late
//! all the same. So each guard here does both in one step of what keeps the data: one SQL transaction,
//! one Redis script, one mutex.

pub mod gate;
pub mod http;
pub mod redis;
pub mod sql;

pub use gate::{Fenced, Gate};
