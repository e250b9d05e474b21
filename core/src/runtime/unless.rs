//! A future that ends when another comes first.
//!
//! By hand: an async function would have room for what it is given twice, as its argument and where it
//! is polled (rust-lang/rust#62958), and a body under a lock may be large.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

pin_project! {
    /// See [`unless`].
    pub(crate) struct Unless<S, W> {
        #[pin]
        stop: S,
        #[pin]
        work: W,
    }
}

/// The result of `work`, or as an error that of `stop` where it comes first. Each time `stop` is looked
/// at first: work that is done too late was not done in time.
pub(crate) fn unless<S: Future, W: Future>(stop: S, work: W) -> Unless<S, W> {
    Unless { stop, work }
}

impl<S: Future, W: Future> Future for Unless<S, W> {
    type Output = Result<W::Output, S::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(stopped) = this.stop.poll(context) {
            return Poll::Ready(Err(stopped));
        }
        this.work.poll(context).map(Ok)
    }
}
