//! What clients saw of locks, for the checker in testkit/porcupine.

mod recorder;

pub use recorder::{History, Seen};
