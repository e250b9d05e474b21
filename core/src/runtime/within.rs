//! A future with a time limit by the boot clock.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::sys::{BootTime, Sys};

/// The future's result, or none when `until` came first. The timer is made only when the future
/// isn't ready at once: an uncontended local lock must not pay for one.
pub(crate) async fn within<T>(
    sys: &Sys,
    until: BootTime,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut timer = None;
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        if until == BootTime::NEVER {
            return Poll::Pending;
        }
        let timer = timer.get_or_insert_with(|| sys.sleep_until(until));
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}
