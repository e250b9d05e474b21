//! What users call: one file per kind of lock.

mod mutex;

pub use mutex::Lock;
