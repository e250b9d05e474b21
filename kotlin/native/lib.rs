//! The native half of `leasehold` for Kotlin and Java: arguments in, completions out.
//!
//! The public API is Kotlin (`kotlin/src/main`); what uniffi makes of this is internal to it. Nothing
//! here decides anything about locks, nothing is returned by an asynchronous function (uniffi loses
//! what one returns to a caller that was cancelled meanwhile), and no thread of the library's ever
//! enters the JVM, where it would wait for a garbage collection: a completion is a number in a
//! [`mailbox`], which a thread of the JVM's empties.
#![allow(unsafe_code, reason = "the C functions that uniffi writes; none is written by hand")]
#![allow(unreachable_pub, reason = "the C functions reach it")]

mod adaptive;
mod attempt;
mod call;
mod client;
mod guard;
mod latch;
mod mailbox;
mod manager;
mod observer;
mod plain;

use std::time::Duration;

uniffi::setup_scaffolding!("leasehold_native");

/// The library as this process has it. (uniffi's Kotlin for functions without an object can't be hidden.)
#[derive(uniffi::Object)]
pub struct Process;

#[uniffi::export]
impl Process {
    /// The one that is loaded.
    #[uniffi::constructor]
    #[allow(clippy::new_without_default, reason = "made in Kotlin only")]
    pub fn new() -> Self {
        Self
    }

    /// Every error code.
    pub fn error_codes(&self) -> Vec<String> {
        leasehold_bridge::error_codes().into_iter().map(str::to_owned).collect()
    }

    /// Every reason for which a lease is lost.
    pub fn lost_reasons(&self) -> Vec<String> {
        leasehold_bridge::lost_reasons().into_iter().map(str::to_owned).collect()
    }

    /// Tells all holders of the process and gives their leases back; waits at most `grace_ms`.
    pub fn release_all(&self, grace_ms: u32) -> bool {
        leasehold_bridge::release_all(Duration::from_millis(grace_ms.into()))
    }
}
