"""What can go wrong: one class per code of the library's one list of codes.

Each is a ``LockError``, and the built-in exception that a Python programmer would expect, so that
``except TimeoutError`` and ``except ConnectionError`` work. Told apart by what the caller does
next, as the docstrings say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from leasehold.plain import LostReason

if TYPE_CHECKING:
    from leasehold._native import Failure


class LockError(Exception):
    """Any error of leasehold. The message names the input or the place that was wrong."""

    #: The stable code, the same in every language.
    code: ClassVar[str] = "LOCK_ERROR"
    #: Whether the same call may succeed later with nothing changed.
    retryable: bool = False
    #: Why the lease was lost, if that is what the error says.
    reason: LostReason | None = None
    #: The lock's name, where the error is about one lock.
    name: str | None = None


class InvalidInput(LockError, ValueError):
    """The call's own input is wrong: change it."""

    code = "INVALID_INPUT"


class Unsupported(LockError, NotImplementedError):
    """This store, platform or build can't do it: ask for something else."""

    code = "UNSUPPORTED"


class LockTimeout(LockError, TimeoutError):
    """The wait ran out while another held the lock: try again, or don't."""

    code = "LOCK_TIMEOUT"
    retryable = True


class QueueFull(LockError):
    """The lock's queue is at its limit: shed load, or try again later."""

    code = "QUEUE_FULL"
    retryable = True


class Cancelled(LockError):
    """The attempt was cancelled and yields no lease. Not asyncio's ``CancelledError``."""

    code = "CANCELLED"
    retryable = True


class Deadlock(LockError):
    """Waiting would never end: release what you hold before you try again."""

    code = "DEADLOCK"
    #: Each wait in the cycle, one line each: who waits for what, held by whom. Your own first.
    cycle: tuple[str, ...] = ()


class LockLost(LockError):
    """The lease ended before its release, for ``reason``: stop acting under it."""

    code = "LOCK_LOST"


class Forked(LockLost):
    """The lease, or the call, is the parent's, inherited through ``fork``: take your own."""

    code = "FORKED"


class StoreUnavailable(LockError, ConnectionError):
    """The store did not answer, or not in time: try again."""

    code = "STORE_UNAVAILABLE"
    retryable = True


class StoreFailed(LockError, OSError):
    """The store refused, or is unusable or broken: have it mended."""

    code = "STORE_FAILED"


class ShutDown(LockError, RuntimeError):
    """The client was shut down: make a new one."""

    code = "SHUT_DOWN"


class InternalError(LockError, RuntimeError):
    """A bug in leasehold: please report it with the message."""

    code = "INTERNAL"


class Cause(Exception):
    """One line of what caused an error, below the library's own message."""


BY_CODE: dict[str, type[LockError]] = {
    kind.code: kind
    for kind in (
        InvalidInput,
        Unsupported,
        LockTimeout,
        QueueFull,
        Cancelled,
        Deadlock,
        LockLost,
        StoreUnavailable,
        StoreFailed,
        Forked,
        ShutDown,
        InternalError,
    )
}


def from_failure(failure: Failure, name: str | None = None) -> LockError:
    """The exception for ``failure``, with its causes chained, nearest first."""
    error = BY_CODE.get(failure.code, InternalError)(failure.message)
    error.retryable = failure.retryable
    error.name = name
    if isinstance(error, Deadlock):
        error.cycle = tuple(failure.cycle)
    if failure.reason is not None:
        error.reason = LostReason(failure.reason)
    above: BaseException = error
    for line in failure.causes:
        above.__cause__ = Cause(line)
        above = above.__cause__
    return error
