//! The allocator of the native halves, apart from their host's.
//!
//! A call allocates a few futures of some kilobytes, which glibc's malloc merges with their neighbours
//! and cuts again each time: a fifth of a call's time in the thread of an event loop. Rust programs
//! choose their own.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
