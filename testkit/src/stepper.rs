//! A future that is polled by hand, so that a test can drop it between any two polls.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// One future and what woke it.
pub struct Stepper<'f, T> {
    future: Pin<Box<dyn Future<Output = T> + 'f>>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Bell {
    woken: Mutex<bool>,
    rung: Condvar,
}

impl<'f, T> Stepper<'f, T> {
    /// `future`, not polled yet.
    pub fn new(future: impl Future<Output = T> + 'f) -> Self {
        Self { future: Box::pin(future), bell: Arc::default() }
    }

    /// Polls once.
    pub fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.bell));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Waits until it was woken since the last time; false where `limit` passes without.
    #[must_use]
    pub fn woken(&self, limit: Duration) -> bool {
        let woken = self.bell.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut woken, waited) = self
            .bell
            .rung
            .wait_timeout_while(woken, limit, |woken| !*woken)
            .unwrap_or_else(PoisonError::into_inner);
        *woken = false;
        !waited.timed_out()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_all();
    }
}
