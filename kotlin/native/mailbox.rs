//! The bridge's mailbox as the JVM reads it: by one thread, which reads the server's socket, too.
//!
//! A callback from a thread of the library's into the JVM would attach that thread to it, at each
//! call, and stop it for as long as a garbage collection stops the JVM: renewals would wait for that.

use std::sync::Arc;

use crate::plain::Failure;

/// A box of numbers.
#[derive(uniffi::Object)]
pub struct Mailbox(pub(crate) Arc<leasehold_bridge::Mailbox>);

#[uniffi::export]
impl Mailbox {
    /// An empty box.
    #[uniffi::constructor]
    pub fn new() -> Result<Self, Failure> {
        Ok(Self(Arc::new(leasehold_bridge::Mailbox::new(true)?)))
    }

    /// Blocks until there is a number, and takes all that are there: for one thread, which does little
    /// besides.
    pub fn take(&self) -> Vec<u64> {
        self.0.take()
    }
}
