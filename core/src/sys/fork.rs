//! What survives `fork`: nothing that this crate may touch.
//!
//! A forked child has one thread: a mutex that another thread held stays locked for ever, a
//! runtime has no workers, a connection is shared with the parent. So every long-lived part is
//! stamped with the fork generation. In a child the stamp no longer fits: the part is forgotten
//! (never dropped, which would join dead threads or close the parent's files) and made anew.
//! The child handler does only what is async-signal-safe: add one, and close the lock files whose
//! `flock` the child would otherwise keep alive after the parent's death.
//!
//! What a library underneath keeps in its own globals can't be forgotten that way. SQLite's table
//! of open files makes a child believe that it has locks which only its parent has
//! (sqlite.org/howtocorrupt.html, 2.6), so the parent closes its databases before each fork:
//! [`before_fork`].

#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

static GENERATION: AtomicU64 = AtomicU64::new(0);
static HOOK: Once = Once::new();

/// How many forks lie between this process and the one that loaded the library.
#[must_use]
pub fn generation() -> u64 {
    // `Once` is done before any fork that matters: nothing is stamped earlier.
    HOOK.call_once(|| {
        // SAFETY: the handlers live for ever; `in_child` is async-signal-safe (atomics and close
        // only).
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    });
    GENERATION.load(Ordering::Acquire)
}

/// Forks under way: two threads may fork at once.
static FORKING: AtomicUsize = AtomicUsize::new(0);
static PASSES: AtomicUsize = AtomicUsize::new(0);
static QUIESCE: OnceLock<fn()> = OnceLock::new();
/// A fork waits this long for work that must not be cut in two, then goes on regardless.
const FORK_PATIENCE: Duration = Duration::from_secs(6);
const FORK_PAUSE: Duration = Duration::from_micros(50);

/// Has `quiesce` called in the forking thread before each fork, when no [`Pass`] is out. It must be
/// quick. One per process.
pub fn before_fork(quiesce: fn()) {
    let _ = generation();
    let _ = QUIESCE.set(quiesce);
}

/// Leave to do work that a fork must not cut in two. Dropped when the work is done.
#[derive(Debug)]
pub struct Pass(u64);

/// Waits while a fork is under way, then holds off the next one. The work must be short, and never
/// run user code.
#[must_use]
pub fn pass() -> Pass {
    loop {
        PASSES.fetch_add(1, Ordering::SeqCst);
        if FORKING.load(Ordering::SeqCst) == 0 {
            return Pass(generation());
        }
        PASSES.fetch_sub(1, Ordering::SeqCst);
        std::thread::yield_now();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // In a forked child the count began anew.
        if self.0 == GENERATION.load(Ordering::Acquire) {
            PASSES.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a fork handler has no executor to wait with")]
extern "C" fn before() {
    FORKING.fetch_add(1, Ordering::SeqCst);
    let Some(quiesce) = QUIESCE.get() else { return };
    let mut waited = Duration::ZERO;
    while PASSES.load(Ordering::SeqCst) > 0 && waited < FORK_PATIENCE {
        std::thread::sleep(FORK_PAUSE);
        waited += FORK_PAUSE;
    }
    quiesce();
}

extern "C" fn in_parent() {
    FORKING.fetch_sub(1, Ordering::SeqCst);
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
    PASSES.store(0, Ordering::SeqCst);
    FORKING.store(0, Ordering::SeqCst);
    let mut at = SLOTS.load(Ordering::Acquire);
    // SAFETY: slots are leaked boxes, pushed once and never freed, so `at` is valid or null.
    while let Some(slot) = unsafe { at.as_ref() } {
        let fd = slot.fd.swap(-1, Ordering::AcqRel);
        if fd >= 0 {
            // SAFETY: close(2) is async-signal-safe; the descriptor's owner in this process is
            // inherited and therefore never used or dropped again.
            unsafe { libc::close(fd) };
        }
        at = slot.next;
    }
}

struct Slot {
    fd: AtomicI32,
    next: *mut Slot,
}

static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());

/// A file whose descriptor a forked child closes at birth. A `flock` belongs to the open file, not
/// to the process: a child that kept its copy would hold the lock on after the parent was killed.
#[derive(Debug)]
pub struct NotInherited {
    file: ManuallyDrop<OwnedFd>,
    slot: &'static AtomicI32,
}

impl NotInherited {
    /// Takes `file` under watch.
    #[must_use]
    pub fn new(file: OwnedFd) -> Self {
        let slot = claim_slot(file.as_raw_fd());
        Self { file: ManuallyDrop::new(file), slot }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &OwnedFd {
        &self.file
    }
}

impl Drop for NotInherited {
    fn drop(&mut self) {
        // Whoever takes the descriptor out of the slot closes it: here, or `in_child`.
        if self.slot.swap(-1, Ordering::AcqRel) >= 0 {
            // SAFETY: dropped once, here, and not used again.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

/// Marks a descriptor that another object owns: a forked child closes its copy at birth. A copy of a
/// socket would keep the other side believing in a process that is gone. Must be dropped before the
/// owner closes the descriptor.
#[derive(Debug)]
pub struct ClosedInChild {
    fd: RawFd,
    slot: &'static AtomicI32,
}

impl ClosedInChild {
    /// Marks `fd`.
    #[must_use]
    pub fn new(fd: BorrowedFd<'_>) -> Self {
        let fd = fd.as_raw_fd();
        Self { fd, slot: claim_slot(fd) }
    }
}

impl Drop for ClosedInChild {
    fn drop(&mut self) {
        // In a forked child the slot was emptied, and may be another's by now.
        let _ = self.slot.compare_exchange(self.fd, -1, Ordering::AcqRel, Ordering::Relaxed);
    }
}

fn claim_slot(fd: RawFd) -> &'static AtomicI32 {
    let _ = generation();
    let mut at = SLOTS.load(Ordering::Acquire);
    // SAFETY: as in `in_child`.
    while let Some(slot) = unsafe { at.as_ref() } {
        if slot.fd.compare_exchange(-1, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return &slot.fd;
        }
        at = slot.next;
    }
    let slot = Box::leak(Box::new(Slot { fd: AtomicI32::new(fd), next: ptr::null_mut() }));
    let this: *mut Slot = slot;
    let mut head = SLOTS.load(Ordering::Acquire);
    loop {
        // SAFETY: not yet published, so this is the only reference.
        unsafe { (*this).next = head };
        match SLOTS.compare_exchange(head, this, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: leaked above, valid for ever.
            Ok(_) => return unsafe { &(*this).fd },
            Err(newer) => head = newer,
        }
    }
}

/// A value of this process only: in a forked child it is neither reachable nor dropped.
#[derive(Debug)]
pub struct Inherited<T> {
    generation: u64,
    value: ManuallyDrop<T>,
}

impl<T> Inherited<T> {
    /// Stamps `value` with this process.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self { generation: generation(), value: ManuallyDrop::new(value) }
    }

    /// Whether a fork lies between the value and this process.
    #[must_use]
    pub fn forked(&self) -> bool {
        self.generation != generation()
    }
}

impl<T> Deref for Inherited<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Inherited<T> {
    fn drop(&mut self) {
        if !self.forked() {
            // SAFETY: dropped once, here, and not used again.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

/// A slot filled once per process: a forked child finds it empty and fills it anew. Lock-free, for
/// a mutex could have been held by another thread at the moment of the fork.
#[derive(Debug)]
pub struct PerProcess<T> {
    slot: AtomicPtr<Stamped<T>>,
}

#[derive(Debug)]
struct Stamped<T> {
    generation: u64,
    value: Arc<T>,
}

impl<T> PerProcess<T> {
    /// An empty slot.
    #[must_use]
    pub const fn new() -> Self {
        Self { slot: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The value, if this process has filled the slot.
    #[must_use]
    pub fn get(&self) -> Option<Arc<T>> {
        // SAFETY: null, or a box that is freed only in `drop`, which has `&mut self`, or was
        // replaced by a newer generation, in which case it is leaked.
        let stamped = unsafe { self.slot.load(Ordering::Acquire).as_ref() }?;
        (stamped.generation == generation()).then(|| Arc::clone(&stamped.value))
    }

    /// The value, made by `make` if this process has none. Two threads may both make one; the
    /// first to finish wins and the other's is dropped.
    ///
    /// # Errors
    /// As `make` fails.
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let current = generation();
        let value = Arc::new(make()?);
        let fresh =
            Box::into_raw(Box::new(Stamped { generation: current, value: Arc::clone(&value) }));
        loop {
            let old = self.slot.load(Ordering::Acquire);
            // SAFETY: as in `get`.
            if let Some(stamped) = unsafe { old.as_ref() }
                && stamped.generation == current
            {
                // SAFETY: `fresh` was never published.
                drop(unsafe { Box::from_raw(fresh) });
                return Ok(Arc::clone(&stamped.value));
            }
            let swapped =
                self.slot.compare_exchange(old, fresh, Ordering::AcqRel, Ordering::Acquire);
            if swapped.is_ok() {
                // `old` is null or of another generation: leaked, see the head of this file.
                return Ok(value);
            }
        }
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let stamped = *self.slot.get_mut();
        // SAFETY: exclusive access; a value of another generation is left alone.
        if let Some(found) = unsafe { stamped.as_ref() }
            && found.generation == generation()
        {
            // SAFETY: made by `Box::into_raw`, reachable from nowhere else.
            drop(unsafe { Box::from_raw(stamped) });
        }
    }
}

// SAFETY: the slot hands out `Arc<T>` across threads and nothing else.
unsafe impl<T: Send + Sync> Send for PerProcess<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for PerProcess<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `body` in a forked child; whether it was true there.
    fn in_forked_child(body: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child only runs `body`, which takes no lock of another thread, and ends.
        match unsafe { libc::fork() } {
            0 => {
                let code = i32::from(!body());
                // SAFETY: ends the child without the parent's exit handlers.
                unsafe { libc::_exit(code) }
            }
            child => {
                assert!(child > 0, "fork failed");
                let mut status = 0;
                // SAFETY: waits for the child just made.
                let waited = unsafe { libc::waitpid(child, &mut status, 0) };
                waited == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
            }
        }
    }

    #[test]
    fn a_child_sees_another_generation_and_the_parent_does_not() {
        let before = generation();
        assert!(in_forked_child(|| generation() == before + 1));
        assert_eq!(generation(), before);
    }

    #[test]
    fn a_slot_is_empty_in_a_child_and_full_in_the_parent() {
        let slot = PerProcess::new();
        let make = |value| slot.get_or_try_init(|| Ok::<_, ()>(value));
        assert_eq!(make(1).as_deref(), Ok(&1));
        assert!(in_forked_child(|| slot.get().is_none() && make(2).as_deref() == Ok(&2)));
        assert_eq!(slot.get().as_deref(), Some(&1));
    }

    #[test]
    fn an_inherited_value_is_not_dropped_in_a_child() {
        struct Flag(Arc<AtomicUsize>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let value = Inherited::new(Flag(Arc::clone(&dropped)));
        let seen = Arc::clone(&dropped);
        assert!(in_forked_child(|| {
            let forked = value.forked();
            drop(value);
            forked && seen.load(Ordering::SeqCst) == 0
        }));
        assert_eq!(dropped.load(Ordering::SeqCst), 1, "dropped in the parent, by the closure");
    }

    #[test]
    fn a_child_is_born_without_the_lock_files_and_the_slot_is_used_again() {
        let open = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let watched = NotInherited::new(open());
        let fd = watched.file().as_raw_fd();
        // SAFETY: asks for a descriptor's flags only.
        let is_open = move || unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
        assert!(is_open());
        assert!(in_forked_child(|| !is_open()));
        assert!(is_open());
        let slot = std::ptr::from_ref(watched.slot);
        drop(watched);
        assert!(!is_open());
        let again: Vec<_> = (0..3).map(|_| NotInherited::new(open())).collect();
        assert!(again.iter().any(|other| std::ptr::eq(other.slot, slot)));
    }
}
