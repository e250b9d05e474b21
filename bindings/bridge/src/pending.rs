//! A piece of work under way, in the two ways a language can wait for it: block in slices, or be
//! called back.
//!
//! The work's first step runs in the calling thread: what is known at once (an uncontended local
//! lock) costs no thread hop, and the callback is then not needed at all. A caller that blocks goes
//! on with it in its own thread; only one that doesn't has it moved to our runtime, and only when
//! there is something to do: to wake a thread so that it finds nothing costs more than the rest of a
//! call. Where the caller runs an event loop, the loop goes on with it as soon as it has read what the
//! work waits for. The trap: work that nobody polls stands still, so whoever stops blocking without a
//! result hands it over, and so does a look, unless it is a peek before blocking.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use leasehold::runtime::{EventLoop, Roused};
use leasehold::sys::fork::Inherited;

use crate::stop::Stop;
use crate::{ErrorInfo, Mailbox};

type Callback<T> = Box<dyn FnOnce(&Result<T, ErrorInfo>) + Send>;
type Work<T> = Pin<Box<dyn Future<Output = Result<T, ErrorInfo>> + Send>>;

/// Work that yields a `T` or an error.
pub struct Pending<T: Clone + Send + 'static> {
    inner: Inherited<Arc<Inner<T>>>,
    /// Of work that may be given up.
    stop: Option<Stop>,
}

struct Inner<T> {
    state: Mutex<State<T>>,
    bell: Condvar,
}

struct State<T> {
    result: Option<Result<T, ErrorInfo>>,
    callbacks: Vec<Callback<T>>,
    /// While no thread and no runtime has it.
    work: Option<Work<T>>,
    /// Someone wants the result and doesn't block for it.
    hand_over: bool,
    /// The work was polled for our runtime, which goes on with it once it is woken.
    asleep: bool,
    woken: bool,
    /// How many threads wait for the bell: to ring it for nobody is a system call, too.
    listening: u32,
}

impl<T: Clone + Send + 'static> Pending<T> {
    /// Starts `work`, which is finished whether or not anyone waits: a release, for one.
    pub(crate) fn start(work: impl Future<Output = Result<T, ErrorInfo>> + Send + 'static) -> Self {
        Self::begin(work, None)
    }

    /// Starts `work` that does nothing but wait: it ends when it is cancelled, or dropped.
    pub(crate) fn wait(work: impl Future<Output = Result<T, ErrorInfo>> + Send + 'static) -> Self {
        let stop = Stop::default();
        let stopped = stop.clone();
        let work = async move {
            stopped.before(work).await.unwrap_or_else(|| Err(ErrorInfo::cancelled()))
        };
        Self::begin(work, Some(stop))
    }

    fn begin(
        work: impl Future<Output = Result<T, ErrorInfo>> + Send + 'static,
        stop: Option<Stop>,
    ) -> Self {
        let mut work: Work<T> = Box::pin(work);
        if let Some(here) = EventLoop::of_thread() {
            let inner = Arc::new(Inner::of(State { hand_over: true, ..State::default() }));
            here.polling(|| Inner::let_sleep(&inner, work));
            return Self { inner: Inherited::new(inner), stop };
        }
        let (result, work) = match leasehold::runtime::poll_undecided(&mut work) {
            Poll::Ready(result) => (Some(result), None),
            Poll::Pending => (None, Some(work)),
        };
        let inner = Inner::of(State { result, work, ..State::default() });
        Self { inner: Inherited::new(Arc::new(inner)), stop }
    }

    /// The result, if the work is done. Whoever looks does not block for it: our runtime goes on.
    #[must_use]
    pub fn result(&self) -> Option<Result<T, ErrorInfo>> {
        self.hand_over();
        self.peek()
    }

    /// The same for a caller that may block for it next, or be called back, or drop it at once: a look
    /// moves nothing.
    #[must_use]
    pub fn peek(&self) -> Option<Result<T, ErrorInfo>> {
        if self.inner.forked() {
            return Some(Err(ErrorInfo::forked("the pending call")));
        }
        self.inner.state().result.clone()
    }

    /// Blocks for the result, at most `slice`: a binding checks its language's signals between
    /// slices.
    #[must_use]
    pub fn wait_for(&self, slice: Duration) -> Option<Result<T, ErrorInfo>> {
        if self.inner.forked() {
            return self.result();
        }
        let mut state = self.inner.state();
        if state.result.is_some() {
            return state.result.clone();
        }
        if !state.asleep
            && let Some(work) = state.work.take()
        {
            drop(state);
            return self.go_on(work, slice);
        }
        state.listening += 1;
        let waited =
            self.inner.bell.wait_timeout_while(state, slice, |state| state.result.is_none());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.listening -= 1;
        state.result.clone()
    }

    /// Calls `callback` with the result once the work is done, on one of our threads: it must not block or
    /// take a language's lock. False where it is done already: then `callback` is not called.
    pub fn unless_done(
        &self,
        callback: impl FnOnce(&Result<T, ErrorInfo>) + Send + 'static,
    ) -> bool {
        self.called_back(callback, || self.hand_over()).is_none()
    }

    /// Has `key` put into `mailbox`, whose reader goes on with the work where it can, once it is done:
    /// at once, if it is already.
    pub fn tell_in(&self, mailbox: &Arc<Mailbox>, key: u64) {
        if !self.unless_done_tell_in(mailbox, key) {
            mailbox.letter(key)();
        }
    }

    /// The same, but false where it is done already, or is in a moment: then nothing is put. Where that
    /// happened a few times in a row, the number is put nevertheless: other tasks are to have their turn.
    pub fn unless_done_tell_in(&self, mailbox: &Arc<Mailbox>, key: u64) -> bool {
        if self.is_done() || (mailbox.alone() && self.glance()) {
            let goes_on = mailbox.goes_on();
            if !goes_on {
                mailbox.promise(key).keep();
            }
            return !goes_on;
        }
        let promise = mailbox.promise(key);
        let go_on = || match mailbox.here() {
            Some(here) => here.polling(|| self.hand_over()),
            None => self.hand_over(),
        };
        self.called_back(move |_| promise.keep(), go_on).is_none()
    }

    fn is_done(&self) -> bool {
        self.inner.forked() || self.inner.state().result.is_some()
    }

    /// Looks for the result for a moment; whether it came.
    fn glance(&self) -> bool {
        let mut state = self.inner.state();
        let work = if state.asleep { None } else { state.work.take() };
        drop(state);
        let Some(work) = work else { return false };
        let mut finish = Finish::new(Arc::clone(&self.inner), work);
        if let Some(result) = leasehold::runtime::glance(finish.work()) {
            finish.with(result);
            return true;
        }
        self.put_back(finish.put_down());
        false
    }

    /// Has `callback` called; or hands it back, where the work is done.
    fn called_back<C: FnOnce(&Result<T, ErrorInfo>) + Send + 'static>(
        &self,
        callback: C,
        go_on: impl FnOnce(),
    ) -> Option<C> {
        if self.inner.forked() {
            return Some(callback);
        }
        let mut state = self.inner.state();
        if state.result.is_some() {
            return Some(callback);
        }
        state.callbacks.push(Box::new(callback));
        drop(state);
        go_on();
        None
    }

    /// Ends work that only waits: its result is `CANCELLED` unless it has one. All other work is
    /// finished, whoever stops blocking for it.
    pub fn cancel(&self) {
        if self.inner.forked() {
            return;
        }
        if let Some(stop) = &self.stop {
            stop.flip();
        }
        self.hand_over();
    }

    /// Has our runtime go on with the work, where a thread doesn't.
    pub(crate) fn hand_over(&self) {
        if self.inner.forked() {
            return;
        }
        let work = {
            let mut state = self.inner.state();
            state.hand_over = true;
            if state.asleep { None } else { state.work.take() }
        };
        if let Some(work) = work {
            Inner::let_sleep(&self.inner, work);
        }
    }

    /// Goes on with `work` in this thread.
    fn go_on(&self, work: Work<T>, slice: Duration) -> Option<Result<T, ErrorInfo>> {
        let mut finish = Finish::new(Arc::clone(&self.inner), work);
        if let Some(result) = leasehold::runtime::block_on_for(finish.work(), slice) {
            finish.with(result.clone());
            return Some(result);
        }
        self.put_back(finish.put_down());
        None
    }

    /// Puts `work` back, for the next who has time for it: our runtime, where it was to have it meanwhile.
    fn put_back(&self, work: Work<T>) {
        let mut state = self.inner.state();
        if state.hand_over {
            drop(state);
            Inner::spawn(&self.inner, work);
        } else {
            state.work = Some(work);
        }
    }
}

impl<T: Clone + Send + 'static> Drop for Pending<T> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<T> Default for State<T> {
    fn default() -> Self {
        let (result, callbacks, work) = (None, Vec::new(), None);
        let (hand_over, asleep, woken, listening) = (false, false, false, 0);
        Self { result, callbacks, work, hand_over, asleep, woken, listening }
    }
}

impl<T: Clone + Send + 'static> Inner<T> {
    fn of(state: State<T>) -> Self {
        Self { state: Mutex::new(state), bell: Condvar::new() }
    }

    /// Polls `work` in this thread, which has no time for more, and has whoever wakes it go on.
    fn let_sleep(this: &Arc<Self>, work: Work<T>) {
        let waker = Waker::from(Arc::new(Rouse(Arc::clone(this))));
        let mut finish = Finish::new(Arc::clone(this), work);
        if let Poll::Ready(result) = finish.work().as_mut().poll(&mut Context::from_waker(&waker)) {
            return finish.with(result);
        }
        let work = finish.put_down();
        let mut state = this.state();
        state.work = Some(work);
        let woken = std::mem::take(&mut state.woken);
        state.asleep = !woken;
        drop(state);
        if woken {
            Self::wake(this);
        }
    }

    /// Has the loop whose turn it is here, or our runtime, go on.
    fn wake(this: &Arc<Self>) {
        if leasehold::runtime::rouse(this) {
            return;
        }
        let work = this.state().work.take();
        if let Some(work) = work {
            Self::spawn(this, work);
        }
    }

    /// Has our runtime do the rest.
    fn spawn(this: &Arc<Self>, work: Work<T>) {
        let mut finish = Finish::new(Arc::clone(this), work);
        let spawned = leasehold::runtime::spawn(async move {
            let result = finish.work().await;
            finish.with(result);
        });
        if let Err(error) = spawned {
            this.finish(Err(error.into()));
        }
    }
}

impl<T: Clone + Send + 'static> Roused for Inner<T> {
    fn go_on(self: Arc<Self>, here: &Arc<EventLoop>) {
        let work = {
            let mut state = self.state();
            state.woken = false;
            state.work.take()
        };
        if let Some(work) = work {
            here.polling(|| Self::let_sleep(&self, work));
        }
    }
}

/// Wakes work that sleeps: in the turn of an event loop it is the loop that goes on with it, else our
/// runtime.
struct Rouse<T>(Arc<Inner<T>>);

impl<T: Clone + Send + 'static> Wake for Rouse<T> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        {
            let mut state = self.0.state();
            if !std::mem::take(&mut state.asleep) {
                state.woken = true;
                return;
            }
        }
        Inner::wake(&self.0);
    }
}

impl<T: Clone> Inner<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, result: Result<T, ErrorInfo>) {
        let mut state = self.state();
        if state.result.is_some() {
            return;
        }
        let callbacks = std::mem::take(&mut state.callbacks);
        let told = (!callbacks.is_empty()).then(|| result.clone());
        state.result = Some(result);
        let heard = state.listening > 0;
        drop(state);
        if heard {
            self.bell.notify_all();
        }
        if let Some(result) = told {
            callbacks.into_iter().for_each(|callback| callback(&result));
        }
    }
}

/// Finishes the work even when it panics or its runtime goes away: nobody may wait for ever.
struct Finish<T: Clone>(Option<(Arc<Inner<T>>, Work<T>)>);

impl<T: Clone> Finish<T> {
    fn new(inner: Arc<Inner<T>>, work: Work<T>) -> Self {
        Self(Some((inner, work)))
    }

    fn work(&mut self) -> &mut Work<T> {
        // Taken only by those who consume it.
        &mut self.0.as_mut().expect("the work is here until it is finished").1
    }

    fn with(mut self, result: Result<T, ErrorInfo>) {
        if let Some((inner, work)) = self.0.take() {
            drop(work);
            inner.finish(result);
        }
    }

    fn put_down(mut self) -> Work<T> {
        self.0.take().expect("the work is here until it is finished").1
    }
}

impl<T: Clone> Drop for Finish<T> {
    fn drop(&mut self) {
        if let Some((inner, work)) = self.0.take() {
            drop(work);
            let bug = leasehold::Error::new(
                leasehold::ErrorKind::Internal,
                "the call ended without a result: it panicked, or the runtime was stopped",
            );
            inner.finish(Err(bug.into()));
        }
    }
}
