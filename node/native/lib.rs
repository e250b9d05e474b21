//! The native half of `leasehold` for Node: arguments in, completions out.
//!
//! The public API is TypeScript (`node/src`), so that errors have classes, codes, causes and stacks
//! there: what a native function throws has none of them. Nothing here decides anything about locks,
//! and no thread of the library's ever waits for JavaScript: a completion is a number in a
//! [`mailbox`], and JavaScript takes all of them in one turn of its loop.

mod adaptive;
mod attempt;
mod call;
mod client;
pub mod guard;
mod holdings;
mod latch;
mod mailbox;
mod manager;
mod observer;
mod plain;
mod uv;

use std::time::Duration;

use napi_derive::napi;

/// Every error code of the library.
#[napi]
pub fn error_codes() -> Vec<&'static str> {
    leasehold_bridge::error_codes()
}

/// Every reason for which a lease is lost.
#[napi]
pub fn lost_reasons() -> Vec<&'static str> {
    leasehold_bridge::lost_reasons()
}

/// Tells all holders of the process and gives their leases back; waits at most `grace_ms`.
#[napi]
pub fn release_all(grace_ms: u32) -> bool {
    leasehold_bridge::release_all(Duration::from_millis(grace_ms.into()))
}
