"""A lock as a description, and the ways to take it: ``with``, ``async with``, ``acquire()`` and
``await acquire_async()``, on one object that may be used again and by many at once.

The order of things is what makes an interrupt harmless: the attempt exists before the lock is held,
and whatever is raised until the lease is in the caller's hand cancels it. So does the cancellation
of the task, at every ``await``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Coroutine
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from leasehold import _calls, _process
from leasehold._convert import refuse_on_loop
from leasehold._native import Attempt, Client, Held, Request, Scope
from leasehold.errors import LockError
from leasehold.lease import Lease, Tenure
from leasehold.plain import Release

if TYPE_CHECKING:
    from leasehold._loop import Body

_Got = TypeVar("_Got")


_loop_module: ModuleType | None = None


def _loop_side() -> ModuleType:
    """asyncio's side, imported when it is first used: a program without asyncio need not pay for
    it."""
    global _loop_module
    if _loop_module is None:
        from leasehold import _loop

        _loop_module = _loop
    return _loop_module


class Takeable(Scope, Generic[_Got]):
    """What all that can be taken share; ``_Got`` is what taking it yields."""

    __slots__ = ("_bodies", "_client", "_name")

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._bodies: list[Body] = []

    @property
    def name(self) -> str:
        """The lock's name; of several their names."""
        return self._name

    def acquire(self) -> _Got:
        """Takes the lock, outside any scope: release the lease yourself. Raises ``RuntimeError`` in
        a thread that runs an event loop."""
        refuse_on_loop("acquire()", "await acquire_async()")
        attempt = self._start()
        try:
            return self._got(_calls.obtain(attempt, self._name))
        except BaseException:
            attempt.cancel()
            raise

    async def acquire_async(self) -> _Got:
        """``acquire`` without blocking the event loop. Cancelled, it leaves nothing behind."""
        attempt = self._start()
        try:
            return self._got(await _calls.obtain_async(attempt, self._name))
        except BaseException:
            attempt.cancel()
            raise

    def __enter__(self) -> _Got:
        refuse_on_loop("`with`", "`async with`")
        attempt = self._start()
        try:
            got = self._got(_calls.obtain(attempt, self._name))
            self._entered(attempt, got)
            return got
        except BaseException:
            attempt.cancel()
            self._forget(attempt)
            raise

    def _leave(
        self,
        lease: Tenure | None,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The Python half of ``__exit__``; if it is interrupted, the native half cancels."""
        if lease is None:
            return
        try:
            lost = lease.release() is Release.LOST
        except LockError:
            if kind is None:
                raise
            return
        if lost and kind is None:
            raise lease._loss()

    async def __aenter__(self) -> _Got:
        loop_side = _loop_side()
        attempt = self._start()
        try:
            held = attempt.poll()
            if held is None:
                if (future := loop_side.until(attempt)) is not None:
                    await future
                held = attempt.poll()
            taken = held if type(held) is Held else _calls.held(attempt, self._name)
            got = self._got(taken)
            self._bodies.append(loop_side.Body(got if isinstance(got, Tenure) else None, taken))
            return got
        except BaseException:
            attempt.cancel()
            raise

    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Coroutine[Any, Any, None]:
        left: Coroutine[Any, Any, None] = _loop_side().leave(self._bodies).leave(kind, error)
        return left

    def _start(self) -> Attempt:
        if _process.unprepared:
            _process.prepare()
        return self._begin()

    @abstractmethod
    def _begin(self) -> Attempt: ...

    @abstractmethod
    def _got(self, held: Held | None) -> _Got: ...

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r}>"


class _One(Takeable[_Got]):
    """One lock, by its request."""

    __slots__ = ("_request",)

    def __init__(self, client: Client, request: Request, name: str) -> None:
        super().__init__(client, name)
        self._request = request

    def _begin(self) -> Attempt:
        return self._client.attempt(self._request)


class Lock(_One[Lease]):
    """A lock to be taken, from ``client.lock(name, …)``. Taking it yields a ``Lease`` or raises:
    ``LockTimeout`` where the wait ran out, ``InvalidInput`` for a wrong name or option, and as the
    store fails.

    ``with`` and ``async with`` give the lease back at the end, waiting for that at most one second.
    If the lease was lost meanwhile and the body succeeded, they raise ``LockLost``; an error of the
    body's own is never masked. In an ``async with``, the body is cancelled when the lease is lost.
    """

    __slots__ = ()

    def _got(self, held: Held | None) -> Lease:
        assert held is not None, "an attempt that waits has a lease or an error"
        return Lease(held)


class TryLock(_One[Lease | None]):
    """A lock to be taken if it is free, from ``client.try_lock(name, …)``. Taking it yields a
    ``Lease``, or ``None`` where another holds it; the body of a ``with`` runs either way."""

    __slots__ = ()

    def _got(self, held: Held | None) -> Lease | None:
        return None if held is None else Lease(held)
