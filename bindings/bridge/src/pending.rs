//! A piece of work under way on our runtime, in the three ways a language can wait for it: block in
//! slices, be called back, or poll.
//!
//! The work's first step runs in the calling thread: what is known at once (an uncontended local
//! lock) costs no thread hop, and the callback is then not needed at all.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leasehold::sys::fork::Inherited;

use crate::ErrorInfo;

type Callback = Box<dyn FnOnce() + Send>;

/// Work that yields a `T` or an error.
pub struct Pending<T>(Inherited<Arc<Inner<T>>>);

struct Inner<T> {
    state: Mutex<State<T>>,
    bell: Condvar,
}

struct State<T> {
    result: Option<Result<T, ErrorInfo>>,
    callbacks: Vec<Callback>,
}

impl<T: Clone + Send + 'static> Pending<T> {
    /// Starts `work`.
    pub(crate) fn start(work: impl Future<Output = Result<T, ErrorInfo>> + Send + 'static) -> Self {
        let state = State { result: None, callbacks: Vec::new() };
        let inner = Arc::new(Inner { state: Mutex::new(state), bell: Condvar::new() });
        let mut work: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(work);
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => inner.finish(result),
            Poll::Pending => {
                let finish = Finish(Some(Arc::clone(&inner)));
                let spawned = leasehold::runtime::spawn(async move { finish.with(work.await) });
                if let Err(error) = spawned {
                    inner.finish(Err(error.into()));
                }
            }
        }
        Self(Inherited::new(inner))
    }

    /// The result, if the work is done.
    #[must_use]
    pub fn result(&self) -> Option<Result<T, ErrorInfo>> {
        if self.0.forked() {
            return Some(Err(ErrorInfo::forked("the pending call")));
        }
        self.0.state().result.clone()
    }

    /// Blocks for the result, at most `slice`: a binding checks its language's signals between
    /// slices.
    #[must_use]
    pub fn wait_for(&self, slice: Duration) -> Option<Result<T, ErrorInfo>> {
        if self.0.forked() {
            return self.result();
        }
        let state = self.0.state();
        if state.result.is_some() {
            return state.result.clone();
        }
        let waited = self.0.bell.wait_timeout_while(state, slice, |state| state.result.is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.result.clone()
    }

    /// Calls `callback` once the work is done: at once, in this thread, if it is already; else on
    /// one of our threads, so it must not block or take a language's lock.
    pub fn on_done(&self, callback: impl FnOnce() + Send + 'static) {
        if !self.0.forked() {
            let mut state = self.0.state();
            if state.result.is_none() {
                state.callbacks.push(Box::new(callback));
                return;
            }
        }
        callback();
    }
}

impl<T> Inner<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, result: Result<T, ErrorInfo>) {
        let mut state = self.state();
        if state.result.is_some() {
            return;
        }
        state.result = Some(result);
        let callbacks = std::mem::take(&mut state.callbacks);
        drop(state);
        self.bell.notify_all();
        for callback in callbacks {
            callback();
        }
    }
}

/// Finishes the work even when it panics or its runtime goes away: nobody may wait for ever.
struct Finish<T>(Option<Arc<Inner<T>>>);

impl<T> Finish<T> {
    fn with(mut self, result: Result<T, ErrorInfo>) {
        if let Some(inner) = self.0.take() {
            inner.finish(result);
        }
    }
}

impl<T> Drop for Finish<T> {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            let bug = leasehold::Error::new(
                leasehold::ErrorKind::Internal,
                "the call ended without a result: it panicked, or the runtime was stopped",
            );
            inner.finish(Err(bug.into()));
        }
    }
}
