//! Who reads a connection's answers where there are no threads: its driver. See `reader.rs`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::futures::Notified;

use super::conn::{Conn, Pipe};

/// How soon answers come, which nobody asks.
#[derive(Default)]
pub(super) struct Near(());

#[allow(clippy::unused_self, reason = "the same calls as where there are threads")]
impl Near {
    /// An answer took so long.
    pub(super) fn took(&self, _: Duration) {}
}

/// Who reads: the driver.
#[derive(Default)]
pub(super) struct Reading;

#[allow(clippy::unused_self, reason = "the same calls as where there are threads")]
impl Reading {
    /// Whether the driver does.
    pub(super) fn driven(&self) -> bool {
        true
    }

    /// There is nothing to be read any more.
    pub(super) fn ended(&mut self) {}

    /// Whether this thread makes one call at a time: it has others meanwhile.
    pub(super) fn alone(&self) -> bool {
        false
    }
}

#[allow(clippy::unused_self, reason = "the same calls as where there are threads")]
impl Conn {
    /// Others have their turn anyway: the driver sleeps until it is told that something came.
    pub(super) async fn let_others_go_first(&self) {}

    /// Has the driver look for the next answer: there is nothing to look at.
    pub(super) fn look_on(&self, _: Pin<&mut Notified<'_>>) -> Option<Result<(), ()>> {
        None
    }

    /// Sees to it that what is due is read.
    pub(super) fn see_to(self: &Arc<Self>) {}

    /// A waiter was told that it is queued.
    pub(super) fn expect_push(self: &Arc<Self>) {}

    /// What was written may have been too much for the link.
    pub(super) fn after_write(&self, _: &mut Pipe) {}
}
