"""Waiting for a native call, in a thread or in a task.

A thread waits in slices. Between them Python runs: signal handlers (Ctrl-C), and exceptions that
were sent to the thread. A result that is there at once costs neither a wait nor a loop's turn.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from leasehold import _process
from leasehold._native import Attempt, Failure, Held
from leasehold.errors import from_failure

if TYPE_CHECKING:
    from leasehold._native import Call

_T = TypeVar("_T")

# Handlers of signals run in the main thread only; elsewhere a slice is for exceptions that were
# sent to the thread, and a thousand waiting threads should not wake twenty times a second each.
_MAIN_SLICE_MS = 50
_OTHER_SLICE_MS = 500


def finish(call: Call[_T], name: str | None = None) -> _T:
    """The result of ``call``, waited for in this thread."""
    if call.poll() is None:
        try:
            _block(call)
        except BaseException:
            # Between two slices nobody goes on with it, and the traceback keeps it.
            call.cancel()
            raise
    return value(call, name)


async def finish_async(call: Call[_T], name: str | None = None) -> _T:
    """The result of ``call``, waited for in this task."""
    if call.poll() is None:
        from leasehold import _loop

        if (future := _loop.until(call)) is not None:
            await future
    return value(call, name)


def wait(call: Call[_T], name: str) -> _T:
    """``finish`` of a call that only waits: interrupted, the wait ends."""
    try:
        return finish(call, name)
    except BaseException:
        call.cancel()
        raise


async def wait_async(call: Call[_T], name: str) -> _T:
    """``wait`` in this task: cancelled, the wait ends."""
    try:
        return await finish_async(call, name)
    except BaseException:
        call.cancel()
        raise


def obtain(attempt: Attempt, name: str) -> Held | None:
    """What ``attempt`` came to, waited for in this thread. None where the lock is another's."""
    if attempt.poll() is None:
        _block(attempt)
    if _process.ends_this_thread():
        attempt.cancel()
        _process.end_this_thread()
    return held(attempt, name)


async def obtain_async(attempt: Attempt, name: str) -> Held | None:
    """What ``attempt`` came to, waited for in this task."""
    if attempt.poll() is None:
        from leasehold import _loop

        if (future := _loop.until(attempt)) is not None:
            await future
    return held(attempt, name)


def _block(work: Call[_T] | Attempt) -> None:
    main = threading.get_ident() == threading.main_thread().ident
    slice_ms = _MAIN_SLICE_MS if main else _OTHER_SLICE_MS
    while work.wait(slice_ms) is None:
        pass


def value(call: Call[_T], name: str | None) -> _T:
    """The result of ``call``, which is done."""
    result = call.poll()
    if isinstance(result, Failure):
        if _process.ends_this_thread():
            _process.end_this_thread()
        raise from_failure(result, name)
    assert result is not None, "a call that is done has a result"
    return result


def held(attempt: Attempt, name: str) -> Held | None:
    """What ``attempt`` came to, which is done. None where the lock is another's."""
    result = attempt.poll()
    if isinstance(result, Held):
        return result
    if isinstance(result, Failure):
        raise from_failure(result, name)
    return None
