//! A switch that ends a future, flipped from any thread.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

/// The switch. Once flipped it stays so.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    flipped: bool,
    waker: Option<Waker>,
}

impl Stop {
    pub(crate) fn flip(&self) {
        let waker = {
            let mut state = self.state();
            state.flipped = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The result of `work`, or none if the switch came first.
    pub(crate) fn before<W: Future>(self, work: W) -> Before<W> {
        Before { work, stop: self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pin_project! {
    /// See [`Stop::before`]. By hand: an async function would have room for `work` twice, as its
    /// argument and where it is polled (rust-lang/rust#62958), and that is most of an attempt.
    pub(crate) struct Before<W> {
        #[pin]
        work: W,
        stop: Stop,
    }
}

impl<W: Future> Future for Before<W> {
    type Output = Option<W::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(value) = this.work.poll(context) {
            return Poll::Ready(Some(value));
        }
        let mut state = this.stop.state();
        if state.flipped {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
