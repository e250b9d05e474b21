//! An event loop of a host language that reads the server's socket itself.
//!
//! An answer that our thread reads must be carried to the loop's thread, and waking a thread costs
//! more than a round trip to a server on the same host. So the loop watches one descriptor, behind
//! which are the sockets of those connections on which nobody else waits; what arrives is read, and
//! what it wakes is polled, in a turn of the loop. The traps: a program may block its loop for
//! seconds, so a connection that is not served for a moment goes back to its driver (see
//! `store/redis/conn.rs`); and calls that the callbacks of a turn make are sent together at its end,
//! so every [`turn`](EventLoop::turn) must be followed by its [`flush`](EventLoop::flush). Whoever runs the
//! loop may then look for the answers of a near server for a moment (eager.rs), as a network card's driver
//! does when Linux is told to (`net.core.busy_poll`); other events of the program must not wait for more than
//! a few of those.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::ThreadId;

use super::eager::Eager;
use super::parked::in_loop;
use crate::sys::fork::generation;
use crate::sys::{BootClock, BootTime, Clock, OwnMap, Poller};

/// Something that an event loop can read from.
pub(crate) trait Attended: Send + Sync {
    /// Reads what has arrived.
    fn serve(&self);

    /// Sends what was gathered during a turn. Whether answers are due.
    fn flush(&self) -> bool;
}

/// What an event loop goes on with when it is woken by what the loop read.
pub trait Roused: Send + Sync {
    /// Goes on, in the loop's thread.
    fn go_on(self: Arc<Self>, here: &Arc<EventLoop>);
}

thread_local! {
    /// Whose turn it is in this thread, from its begin until it is flushed.
    static TURN: RefCell<Option<Arc<EventLoop>>> = const { RefCell::new(None) };
    /// Whether what is woken now can be polled here soon.
    static SERVING: Cell<bool> = const { Cell::new(false) };
    /// The loop for which a future is polled.
    static HERE: RefCell<Option<Arc<EventLoop>>> = const { RefCell::new(None) };
    /// The loop for which this thread starts what it starts.
    static OWN: RefCell<Weak<EventLoop>> = const { RefCell::new(Weak::new()) };
}

/// So many answers in a row are looked for; then the thread's other tasks, or a program's other events,
/// have their turn.
pub const LOOKS: u32 = 8;

/// An event loop of one thread. Its owner watches [`descriptor`](Self::descriptor), and calls
/// [`turn`](Self::turn), tells what came of it, and calls [`flush`](Self::flush) when it is readable.
pub struct EventLoop {
    poller: Poller,
    born: u64,
    sources: Mutex<Sources>,
    roused: Mutex<Vec<Arc<dyn Roused>>>,
    eager: Eager,
    /// Since when it has slept with answers due; 0 where it does not.
    asleep_since: AtomicU64,
    /// The thread that runs it.
    home: OnceLock<ThreadId>,
}

#[derive(Default)]
struct Sources {
    last: u64,
    each: OwnMap<u64, Weak<dyn Attended>>,
}

impl EventLoop {
    /// A loop that nothing is read for yet; none where the system has no descriptor that stands for
    /// several.
    #[must_use]
    pub fn new() -> Option<Arc<Self>> {
        let poller = Poller::new().ok()?;
        let (sources, roused) = (Mutex::default(), Mutex::default());
        let (born, eager, asleep_since) = (generation(), Eager::default(), AtomicU64::new(0));
        let home = OnceLock::new();
        Some(Arc::new(Self { poller, born, sources, roused, eager, asleep_since, home }))
    }

    /// Readable when there is something to do. It is the loop's own: not to be closed.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }

    /// Has [`turn`](Self::turn) tell when `bell` can be read, which is watched with the rest.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn hear(&self, bell: BorrowedFd<'_>) -> std::io::Result<()> {
        self.poller.add(bell, BELL)
    }

    /// Reads what has arrived and goes on with what that wakes; never blocks. Whether the bell was
    /// rung.
    pub fn turn(self: &Arc<Self>) -> bool {
        if self.born != generation() {
            return false;
        }
        self.home.get_or_init(|| std::thread::current().id());
        let ready = self.poller.ready();
        let since = self.asleep_since.swap(0, Ordering::Relaxed);
        if since > 0 && ready.iter().any(|key| *key != BELL) {
            self.eager.took(BootClock.now() - BootTime::from_nanos(since));
        }
        TURN.set(Some(Arc::clone(self)));
        SERVING.set(true);
        let mut rung = false;
        for key in ready {
            if key == BELL {
                rung = true;
                continue;
            }
            let source = self.sources().each.get(&key).and_then(Weak::upgrade);
            if let Some(source) = source {
                source.serve();
            }
        }
        loop {
            let roused = std::mem::take(&mut *self.roused());
            if roused.is_empty() {
                break;
            }
            for one in roused {
                one.go_on(self);
            }
        }
        SERVING.set(false);
        rung
    }

    /// Ends a turn: sends what its callbacks asked for. Whether answers are due, for which
    /// [`glance`](Self::glance) may look.
    pub fn flush(&self) -> bool {
        drop(TURN.take());
        if self.born != generation() {
            return false;
        }
        let sources: Vec<_> = self.sources().each.values().filter_map(Weak::upgrade).collect();
        let mut due = false;
        for source in sources {
            due |= source.flush();
        }
        if due {
            self.asleep_since.store(BootClock.now().as_nanos(), Ordering::Relaxed);
        }
        due
    }

    /// Whether [`glance`](Self::glance) would look at all.
    #[must_use]
    pub fn is_eager(&self) -> bool {
        self.eager.looks()
    }

    /// Looks for answers for a moment, where that is likely to be enough. True where they came: there is
    /// something to do for another turn.
    pub fn glance(&self) -> bool {
        let seen = self.eager.look(BootTime::NEVER, || self.poller.any());
        if seen {
            // It has not slept.
            self.asleep_since.store(0, Ordering::Relaxed);
        }
        seen
    }

    /// Whether this thread is in a [`turn`](Self::turn) of it, whose end tells what has come.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        SERVING.get()
            && TURN
                .with_borrow(|turn| turn.as_ref().is_some_and(|turn| std::ptr::eq(&**turn, self)))
    }

    /// Has all that this thread starts be started for the loop, from now on: a thread that does nothing
    /// else than to run it.
    pub fn own_thread(self: &Arc<Self>) {
        OWN.set(Arc::downgrade(self));
    }

    /// Ends that: the thread will not run the loop any more, but may still wait for what it starts.
    pub fn disown_thread() {
        OWN.set(Weak::new());
    }

    /// The loop for which this thread starts what it starts.
    #[must_use]
    pub fn of_thread() -> Option<Arc<Self>> {
        OWN.with_borrow(Weak::upgrade)
    }

    /// Polls for the loop: what `poll` waits for is read by it, where it can be.
    pub fn polling<T>(self: &Arc<Self>, poll: impl FnOnce() -> T) -> T {
        if self.born != generation() {
            return poll();
        }
        let before = HERE.replace(Some(Arc::clone(self)));
        let polled = in_loop(poll);
        drop(HERE.replace(before));
        polled
    }

    /// Has the loop serve `source` when `socket` can be read, until the lead is dropped; none where
    /// the system refuses.
    pub(crate) fn lead(
        self: &Arc<Self>,
        socket: BorrowedFd<'_>,
        source: Weak<dyn Attended>,
    ) -> Option<Lead> {
        let watch = self.poller.copy(socket).ok()?;
        let mut sources = self.sources();
        sources.last += 1;
        let key = sources.last;
        self.poller.add(watch.as_fd(), key).ok()?;
        sources.each.insert(key, source);
        drop(sources);
        Some(Lead { of: Arc::downgrade(self), key, watch })
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn roused(&self) -> MutexGuard<'_, Vec<Arc<dyn Roused>>> {
        self.roused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventLoop")
    }
}

/// What the bell is among the sources, which are counted from one.
const BELL: u64 = 0;

/// A loop's lead of one source. Dropping it ends it.
pub(crate) struct Lead {
    of: Weak<EventLoop>,
    key: u64,
    watch: crate::sys::Watch,
}

impl Lead {
    /// Whether it is that of `other`.
    pub(crate) fn is_of(&self, other: &Arc<EventLoop>) -> bool {
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(other))
    }

    /// Whether its loop is run by this thread.
    pub(crate) fn is_home(&self) -> bool {
        let home = self.of.upgrade().and_then(|of| of.home.get().copied());
        home.is_some_and(|home| home == std::thread::current().id())
    }

    /// Whether its loop is in a turn, in this thread.
    pub(crate) fn in_turn(&self) -> bool {
        TURN.with_borrow(|turn| turn.as_ref().is_some_and(|turn| self.is_of(turn)))
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if let Some(of) = self.of.upgrade() {
            of.poller.remove(self.watch.as_fd());
            of.sources().each.remove(&self.key);
        }
    }
}

/// The loop for which this thread polls.
pub(crate) fn event_loop() -> Option<Arc<EventLoop>> {
    HERE.with_borrow(Clone::clone)
}

/// Has the loop whose turn it is in this thread go on with `work`, once all that arrived is read;
/// false where there is none.
pub fn rouse<T: Roused + 'static>(work: &Arc<T>) -> bool {
    if !SERVING.get() {
        return false;
    }
    TURN.with_borrow(|turn| {
        let Some(turn) = turn else { return false };
        turn.roused().push(Arc::clone(work) as _);
        true
    })
}
