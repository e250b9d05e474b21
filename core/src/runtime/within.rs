//! A future with a time limit by the boot clock. By hand for the reason that unless.rs has.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::sys::{BootTime, BoxFuture, Sys};

pin_project! {
    /// See [`within`].
    pub(crate) struct Within<'s, F> {
        sys: &'s Sys,
        until: BootTime,
        #[pin]
        future: F,
        timer: Option<BoxFuture<'static, ()>>,
    }
}

/// The future's result, or none when `until` came first. The timer is made only when the future
/// isn't ready at once: an uncontended local lock must not pay for one.
pub(crate) fn within<F: Future>(sys: &Sys, until: BootTime, future: F) -> Within<'_, F> {
    Within { sys, until, future, timer: None }
}

impl<F: Future> Future for Within<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(value) = this.future.poll(context) {
            return Poll::Ready(Some(value));
        }
        if *this.until == BootTime::NEVER {
            return Poll::Pending;
        }
        let timer = this.timer.get_or_insert_with(|| this.sys.sleep_until(*this.until));
        timer.as_mut().poll(context).map(|()| None)
    }
}
