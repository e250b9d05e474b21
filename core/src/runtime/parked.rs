//! A thread of the caller's that waits for a future.
//!
//! Waking another thread costs more than a round trip to a server on the same host, so a thread that
//! waits anyway reads the server's socket itself, if nobody else does: the answer then arrives in
//! the thread that wants it. The trap: whoever stops reading must see to it that someone goes on,
//! or the answers of others stay in the socket.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::eager::Eager;
use crate::sys::fork::generation;
use crate::sys::{BootClock, BootTime, Clock};

/// Something that a waiting thread can read from.
pub(crate) trait Source: Send + Sync {
    /// Reads until `parked` is woken or `until` comes. False, at once, where another reads.
    fn lead(&self, parked: &Parked, until: BootTime) -> bool;

    /// The thread goes on to other things: someone else must read what may still come.
    fn leave(&self);

    /// Whether it is worth to look for an answer before going on to other things.
    fn is_near(&self) -> bool;

    /// Reads for a moment, where the one answer due is this thread's; whether `parked` was woken.
    fn glance(&self, parked: &Parked) -> bool;
}

thread_local! {
    static PARKED: RefCell<Option<(u64, Arc<Parked>)>> = const { RefCell::new(None) };
    static OFFER: RefCell<Option<Weak<dyn Source>>> = const { RefCell::new(None) };
    static MODE: Cell<Mode> = const { Cell::new(Mode::Async) };
}

/// What the current thread does with a future that it polls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// It goes on to other things: someone else must read.
    Async,
    /// It waits for it, or decides in a moment whether to.
    Blocking,
    /// It runs an event loop that can read: see `event_loop`.
    Loop,
}

/// What the current thread does with the future it polls.
pub(crate) fn mode() -> Mode {
    MODE.get()
}

/// What the current thread does, until dropped.
struct Does(Mode);

impl Does {
    fn so(mode: Mode) -> Self {
        Self(MODE.replace(mode))
    }
}

impl Drop for Does {
    fn drop(&mut self) {
        MODE.set(self.0);
    }
}

/// Polls in a thread whose event loop can read.
pub(super) fn in_loop<T>(poll: impl FnOnce() -> T) -> T {
    let _does = Does::so(Mode::Loop);
    poll()
}

/// Names what the current thread could read from while it waits. It may have read from another until
/// now, on which someone else's answer may be due: it won't again.
pub(crate) fn offer(source: Weak<dyn Source>) {
    let before = OFFER.with_borrow_mut(|offer| match offer {
        Some(before) if std::ptr::addr_eq(before.as_ptr(), source.as_ptr()) => None,
        offer => offer.replace(source),
    });
    if let Some(before) = before.and_then(|before| before.upgrade()) {
        before.leave();
    }
}

/// Marks the current thread as waiting, until dropped.
struct Waiting(Does);

impl Waiting {
    fn new() -> Self {
        Self(Does::so(Mode::Blocking))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.0.0 == Mode::Async
            && let Some(source) = offered()
        {
            source.leave();
        }
    }
}

fn offered() -> Option<Arc<dyn Source>> {
    OFFER.with_borrow(|offer| offer.as_ref().and_then(Weak::upgrade))
}

/// Polls `future` once for a caller that has not decided yet whether it waits in this thread: it
/// must then call [`block_on_for`] or spawn the future.
pub fn poll_undecided<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let waiting = Waiting::new();
    let polled = Pin::new(future).poll(&mut Context::from_waker(Waker::noop()));
    if polled.is_pending() {
        // Whoever polls it next says who reads.
        MODE.set(waiting.0.0);
        std::mem::forget(waiting);
    }
    polled
}

/// Polls `future`, and looks for what it waits for for a moment before this thread goes on to other things,
/// where that is likely to be enough (see eager.rs): a task that suspends is woken by way of its loop, or
/// of another thread, which costs more than a near server takes to answer. Whoever gets nothing must
/// spawn the future.
pub fn glance<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let source = offered().filter(|source| source.is_near())?;
    let parked = own();
    let waker = Waker::from(Arc::clone(&parked));
    let mut context = Context::from_waker(&waker);
    let _does = Does::so(Mode::Blocking);
    // One for what this thread waits for else is kept.
    let early = std::mem::take(&mut parked.state().woken);
    let mut polled = Pin::new(&mut *future).poll(&mut context);
    if polled.is_pending() && source.glance(&parked) {
        polled = Pin::new(future).poll(&mut context);
    }
    parked.state().woken |= early;
    match polled {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Waits for `future` in this thread. It needs no runtime in the calling thread, and a future that
/// is ready at once costs no thread hop.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Some(value) = wait(future.as_mut(), BootTime::NEVER) {
            return value;
        }
    }
}

/// Waits for `future` in this thread, at most `limit`; none where it isn't done by then.
pub fn block_on_for<F: Future + Unpin>(future: &mut F, limit: Duration) -> Option<F::Output> {
    wait(Pin::new(future), BootClock.now() + limit)
}

fn wait<T>(mut future: Pin<&mut impl Future<Output = T>>, until: BootTime) -> Option<T> {
    let parked = own();
    let waker = Waker::from(Arc::clone(&parked));
    let mut context = Context::from_waker(&waker);
    let _waiting = Waiting::new();
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        if until != BootTime::NEVER && BootClock.now() >= until {
            return None;
        }
        if !offered().is_some_and(|source| source.lead(&parked, until)) {
            parked.wait(until);
        }
    }
}

/// This thread's; a forked child makes its own, for its copy shares the parent's bell.
fn own() -> Arc<Parked> {
    PARKED.with_borrow_mut(|slot| match slot {
        Some((born, parked)) if *born == generation() && Arc::strong_count(parked) < 1000 => {
            Arc::clone(parked)
        }
        _ => Arc::clone(&slot.insert((generation(), Arc::default())).1),
    })
}

/// A thread that waits for a wake-up; one that came early is kept.
#[derive(Default)]
pub(crate) struct Parked {
    state: Mutex<State>,
    bell: Condvar,
    /// Rung instead while the thread waits in poll(2); made when it first does.
    pair: Mutex<Option<Arc<(UnixStream, UnixStream)>>>,
    eager: Eager,
}

/// What a thread that reads waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Came {
    /// The socket can be read.
    Bytes,
    /// A wake-up, or the time to stop.
    End,
    /// A signal of the process.
    Nothing,
}

#[derive(Default)]
struct State {
    woken: bool,
    polling: bool,
    /// It waits for the bell: to ring it for nobody is a system call, too.
    listening: bool,
}

impl Parked {
    fn wait(&self, until: BootTime) {
        let mut state = self.state();
        state.listening = true;
        while !state.woken {
            if until == BootTime::NEVER {
                state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let left = until.since(BootClock.now());
            if left.is_zero() {
                break;
            }
            (state, _) =
                self.bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        state.woken = false;
        state.listening = false;
    }

    /// Whether a wake-up came that nobody has taken.
    pub(crate) fn is_woken(&self) -> bool {
        self.state().woken
    }

    /// Waits until `socket` can be read, a wake-up comes or `until` does.
    pub(crate) fn readable(&self, socket: BorrowedFd<'_>, until: BootTime) -> Came {
        let Some(pair) = self.pair() else {
            self.wait(until);
            return Came::End;
        };
        {
            let mut state = self.state();
            if std::mem::take(&mut state.woken) {
                return Came::End;
            }
            state.polling = true;
        }
        let mut ends =
            [PollFd::from_borrowed_fd(socket, PollFlags::IN), PollFd::new(&pair.0, PollFlags::IN)];
        if !self.glance(&mut ends, until) {
            self.sleep(&mut ends, until);
        }
        let (readable, rung) = (!ends[0].revents().is_empty(), !ends[1].revents().is_empty());
        let mut state = self.state();
        state.polling = false;
        let woken = std::mem::take(&mut state.woken);
        drop(state);
        if rung || woken {
            let mut rest = [0; 64];
            while matches!((&pair.0).read(&mut rest), Ok(count) if count > 0) {}
        }
        match (woken, readable) {
            // A wake-up goes first: what is in the socket stays there.
            (true, _) => Came::End,
            (false, true) => Came::Bytes,
            (false, false) if until != BootTime::NEVER && BootClock.now() >= until => Came::End,
            (false, false) => Came::Nothing,
        }
    }

    /// Looks for a moment, where that is likely to be enough; whether it was.
    fn glance(&self, ends: &mut [PollFd<'_>], until: BootTime) -> bool {
        self.eager.look(until, || any_ready(ends))
    }

    /// Sleeps until one of `ends` can be read. Interrupted by a signal nothing came.
    fn sleep(&self, ends: &mut [PollFd<'_>], until: BootTime) {
        let begun = BootClock.now();
        let left = (until != BootTime::NEVER).then(|| {
            let left = until.since(begun);
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        if rustix::event::poll(ends, left.as_ref()).is_ok_and(|count| count > 0) {
            self.eager.took(BootClock.now() - begun);
        }
    }

    fn pair(&self) -> Option<Arc<(UnixStream, UnixStream)>> {
        let mut pair = self.pair.lock().unwrap_or_else(PoisonError::into_inner);
        if pair.is_none() {
            // Without one (no descriptor left), the driver reads.
            let made = UnixStream::pair().ok()?;
            made.0.set_nonblocking(true).ok()?;
            made.1.set_nonblocking(true).ok()?;
            *pair = Some(Arc::new(made));
        }
        pair.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `socket` can be read now.
pub(crate) fn readable(socket: BorrowedFd<'_>) -> bool {
    any_ready(&mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)])
}

fn any_ready(ends: &mut [PollFd<'_>]) -> bool {
    rustix::event::poll(ends, Some(&Timespec::default())).is_ok_and(|count| count > 0)
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let (polling, listening) = {
            let mut state = self.state();
            if std::mem::replace(&mut state.woken, true) {
                return;
            }
            (state.polling, state.listening)
        };
        if polling {
            let pair = self.pair.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(pair) = pair {
                // Full: it was rung already.
                let _ = (&pair.1).write(&[1]);
            }
        } else if listening {
            self.bell.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Counts how often it was left.
    #[derive(Default)]
    struct Left(AtomicU32);

    impl Source for Left {
        fn lead(&self, _: &Parked, _: BootTime) -> bool {
            false
        }

        fn leave(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn is_near(&self) -> bool {
            false
        }

        fn glance(&self, _: &Parked) -> bool {
            false
        }
    }

    #[test]
    fn who_is_offered_another_source_leaves_the_first() {
        let [one, other] = [0; 2].map(|_| Arc::<Left>::default());
        let weak = |source: &Arc<Left>| -> Weak<dyn Source> { Arc::downgrade(source) as _ };
        offer(weak(&one));
        offer(weak(&one));
        assert_eq!(one.0.load(Ordering::Relaxed), 0, "it goes on with the same one");
        offer(weak(&other));
        assert_eq!(one.0.load(Ordering::Relaxed), 1, "or nobody reads what is due there");
        assert_eq!(other.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_wait_ends_at_its_limit_and_can_go_on() {
        let (to, mut from) = tokio::sync::oneshot::channel();
        assert!(block_on_for(&mut from, Duration::from_millis(5)).is_none());
        to.send(7).unwrap();
        assert_eq!(block_on_for(&mut from, Duration::from_secs(20)), Some(Ok(7)));
    }

    #[test]
    fn a_thread_that_reads_is_woken_by_either() {
        let parked = own();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let waker = Waker::from(Arc::clone(&parked));
        (&theirs).write_all(b"x").unwrap();
        assert_eq!(parked.readable(ours.as_fd(), BootTime::NEVER), Came::Bytes);
        waker.wake_by_ref();
        assert_eq!(parked.readable(ours.as_fd(), BootTime::NEVER), Came::End, "it came early");
        let later = waker.clone();
        let mut byte = [0; 1];
        (&ours).read_exact(&mut byte).unwrap();
        crate::sys::thread("wakes", move || later.wake()).unwrap();
        let rung = parked.readable(ours.as_fd(), BootTime::NEVER);
        assert_eq!(rung, Came::End, "rung while it polled or before");
        let soon = BootClock.now() + Duration::from_millis(5);
        assert_eq!(parked.readable(ours.as_fd(), soon), Came::End, "the limit");
    }
}
