//! Has Node's own loop watch a descriptor: libuv's `uv_poll_t`, by hand.
//!
//! Node-API gives the loop (`napi_get_uv_event_loop`) and no way to use it, and no maintained crate
//! does without building a libuv of its own, so this file speaks to the one inside the node program.
//! Its functions are looked up: a host without them (Bun has no `uv_poll`) does without, and its
//! completions come as from any other thread. The traps: a worker ends by closing its loop, which
//! aborts the process while a handle is open, so the handle is closed by a clean-up hook that the
//! environment waits for; and what a callback of libuv calls must be called with
//! `napi_make_callback`, or the promises that it resolves are not gone on with before the next event.

#![allow(unsafe_code, reason = "C functions of libuv and Node-API, for which there is no macro")]

use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::OnceLock;

use leasehold_bridge::LOOKS;
use libloading::os::unix::Library;
use napi::sys::{self, Status};

/// `UV_POLL` in `uv_handle_type` (uv.h); the numbers are part of libuv's ABI.
const UV_POLL: c_int = 8;
/// `UV_READABLE` in `uv_poll_event`.
const UV_READABLE: c_int = 1;

/// An opaque `uv_poll_t`.
type Handle = *mut c_void;

/// What the loop calls.
pub(crate) trait Readable {
    /// The descriptor can be read. What it answers goes to the JavaScript function.
    fn turn(&self) -> Vec<f64>;

    /// JavaScript has gone on with what it was told. Whether there is something to read at once.
    fn flush(&self) -> bool;
}

/// libuv's functions, as uv.h declares them.
struct Uv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    set_data: unsafe extern "C" fn(Handle, *mut c_void),
    get_data: unsafe extern "C" fn(Handle) -> *mut c_void,
    unref: unsafe extern "C" fn(Handle),
    close: unsafe extern "C" fn(Handle, Option<unsafe extern "C" fn(Handle)>),
    poll_init: unsafe extern "C" fn(*mut sys::uv_loop_s, Handle, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(Handle, c_int, Option<Polled>) -> c_int,
}

type Polled = unsafe extern "C" fn(Handle, c_int, c_int);

impl Uv {
    /// Those of the program that this is loaded into.
    fn of_host() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Uv>> = OnceLock::new();
        FOUND.get_or_init(Self::find).as_ref()
    }

    fn find() -> Option<Self> {
        let here = Library::this();
        // SAFETY: each is looked up by the name that uv.h gives the type written above.
        unsafe {
            Some(Self {
                handle_size: *here.get(b"uv_handle_size\0").ok()?,
                set_data: *here.get(b"uv_handle_set_data\0").ok()?,
                get_data: *here.get(b"uv_handle_get_data\0").ok()?,
                unref: *here.get(b"uv_unref\0").ok()?,
                close: *here.get(b"uv_close\0").ok()?,
                poll_init: *here.get(b"uv_poll_init\0").ok()?,
                poll_start: *here.get(b"uv_poll_start\0").ok()?,
            })
        }
    }
}

/// One watch. Lives until its environment ends.
struct Watch {
    uv: &'static Uv,
    env: sys::napi_env,
    /// A reference to the JavaScript function.
    arrived: sys::napi_ref,
    to: Box<dyn Readable>,
    /// The `uv_poll_t`, as aligned as malloc would have it.
    handle: Box<[u128]>,
    /// While the environment ends.
    ends: sys::napi_async_cleanup_hook_handle,
}

/// Has the loop of `env` watch `descriptor`, which must stay open as long as `to` lives, until `env`
/// ends; whether it does. It keeps no program alive.
pub(crate) fn watch(
    env: sys::napi_env,
    descriptor: BorrowedFd<'_>,
    arrived: sys::napi_value,
    to: Box<dyn Readable>,
) -> bool {
    let Some(uv) = Uv::of_host() else { return false };
    let (mut event_loop, mut reference) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: called by JavaScript, in the thread of `env`, with a function of its own. The handle's
    // memory is as large as libuv asks for and stays where it is, in a box that nobody frees before
    // `closed`; only then may it be handed to libuv.
    unsafe {
        if sys::napi_get_uv_event_loop(env, &raw mut event_loop) != Status::napi_ok
            || sys::napi_create_reference(env, arrived, 1, &raw mut reference) != Status::napi_ok
        {
            return false;
        }
        let words = (uv.handle_size)(UV_POLL).div_ceil(size_of::<u128>());
        let handle = vec![0; words].into_boxed_slice();
        let ends = ptr::null_mut();
        let watch = Box::new(Watch { uv, env, arrived: reference, to, handle, ends });
        let watch = Box::into_raw(watch);
        let handle: Handle = (*watch).handle.as_mut_ptr().cast();
        if (uv.poll_init)(event_loop, handle, descriptor.as_raw_fd()) != 0 {
            drop(Box::from_raw(watch));
            return false;
        }
        (uv.set_data)(handle, watch.cast());
        // The hook last: once the environment is to close the handle, nobody else may.
        if (uv.poll_start)(handle, UV_READABLE, Some(polled)) != 0
            || sys::napi_add_async_cleanup_hook(env, Some(end), watch.cast(), ptr::null_mut())
                != Status::napi_ok
        {
            (uv.close)(handle, Some(closed));
            return false;
        }
        (uv.unref)(handle);
    }
    true
}

/// The watch whose handle this is.
///
/// # Safety
/// `handle` is one that [`watch`] made and [`closed`] has not freed.
unsafe fn of<'a>(handle: Handle) -> &'a Watch {
    // SAFETY: the data is what `watch` set.
    unsafe {
        let uv = Uv::of_host().expect("it was found when the handle was made");
        &*(uv.get_data)(handle).cast()
    }
}

unsafe extern "C" fn polled(handle: Handle, _: c_int, _: c_int) {
    // SAFETY: libuv calls this with the handle that it was given, in the thread of its environment,
    // between `poll_start` and `uv_close`.
    let watch = unsafe { of(handle) };
    for _ in 0..LOOKS {
        let keys = watch.to.turn();
        if !keys.is_empty() {
            // SAFETY: as above: JavaScript can be called.
            unsafe { tell(watch, &keys) };
        }
        if !watch.to.flush() {
            break;
        }
    }
}

/// Calls JavaScript with `keys`, and has it go on with what that resolves.
///
/// # Safety
/// In the thread of the watch's environment, outside of JavaScript.
unsafe fn tell(watch: &Watch, keys: &[f64]) {
    let env = watch.env;
    let mut scope: sys::napi_handle_scope = ptr::null_mut();
    let [mut arrived, mut global, mut array, mut number, mut thrown] = [ptr::null_mut(); 5];
    // SAFETY: all values live in the scope opened here; a refusal leaves them null, which is refused
    // in turn.
    unsafe {
        sys::napi_open_handle_scope(env, &raw mut scope);
        sys::napi_get_reference_value(env, watch.arrived, &raw mut arrived);
        sys::napi_get_global(env, &raw mut global);
        sys::napi_create_array_with_length(env, keys.len(), &raw mut array);
        for (index, key) in (0..).zip(keys) {
            sys::napi_create_double(env, *key, &raw mut number);
            sys::napi_set_element(env, array, index, number);
        }
        let none = ptr::null_mut();
        let called = sys::napi_make_callback(
            env,
            none,
            global,
            arrived,
            1,
            &raw const array,
            ptr::null_mut(),
        );
        if called == Status::napi_pending_exception
            && sys::napi_get_and_clear_last_exception(env, &raw mut thrown) == Status::napi_ok
        {
            sys::napi_fatal_exception(env, thrown);
        }
        sys::napi_close_handle_scope(env, scope);
    }
}

unsafe extern "C" fn end(ends: sys::napi_async_cleanup_hook_handle, watch: *mut c_void) {
    let watch: *mut Watch = watch.cast();
    // SAFETY: the environment calls this once, with what `watch` gave it.
    unsafe {
        (*watch).ends = ends;
        sys::napi_delete_reference((*watch).env, (*watch).arrived);
        ((*watch).uv.close)((*watch).handle.as_mut_ptr().cast(), Some(closed));
    }
}

unsafe extern "C" fn closed(handle: Handle) {
    // SAFETY: libuv has let go of the handle, which nobody else knows.
    unsafe {
        let watch = ptr::from_ref(of(handle)).cast_mut();
        let ends = (*watch).ends;
        drop(Box::from_raw(watch));
        if !ends.is_null() {
            sys::napi_remove_async_cleanup_hook(ends);
        }
    }
}
