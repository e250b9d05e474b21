"""The double barrier: none goes in before all have come, none out before all leave."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from leasehold import _calls
from leasehold._convert import maybe_seconds, refuse_on_loop, whole
from leasehold._native import Attempt, Call, Client, Held, Request
from leasehold.lease import Single, Tenure
from leasehold.lock import Takeable
from leasehold.plain import Duration

_MOST = (1 << 32) - 1


class Inside(Single):
    """A place between the two barriers, which is a lease like any: who dies is gone at its end."""

    __slots__ = ("_wait",)

    def __init__(self, held: Held, wait: float | None) -> None:
        super().__init__(held)
        self._wait = wait

    def leave(self, timeout: Duration | None = None) -> None:
        """Leaves, and blocks until all have. Raises ``LockTimeout`` where the others are still in
        after ``timeout``, and ``LockLost`` where the lease ended before, so that the others went on
        without this member. It has left also then, and may be called again to wait once more; so it
        may where it was interrupted. ``release()`` leaves and does not wait."""
        refuse_on_loop("leave()", "await leave_async()")
        _calls.wait(self._start_leave(maybe_seconds("timeout", timeout)), self.name)

    async def leave_async(self, timeout: Duration | None = None) -> None:
        """``leave`` without blocking the event loop."""
        await _calls.wait_async(self._start_leave(maybe_seconds("timeout", timeout)), self.name)

    def _start_leave(self, wait: float | None) -> Call[bool]:
        call = self._held.leave(wait)
        self._over()
        return call

    def _start_end(self, succeeded: bool) -> Call[Any]:
        return self._start_leave(self._wait) if succeeded else self._start_release()

    def __repr__(self) -> str:
        state = "in" if self.is_held() else self.lost_reason or "out"
        return f"<Inside of {self.name!r}, {state}>"


class Barrier(Takeable[Inside]):
    """A double barrier, from ``client.barrier(name, parties)``, to be used again and again. Its
    ``with`` and ``async with`` begin once all have come and end once all leave; a body that raises
    leaves without waiting for the others. Raises ``LockTimeout`` where the others did not come, or
    did not leave, within the ``wait``.

    Unlike that of a ``threading.Barrier``, one member's trouble is not the others': whoever waits
    too long, or dies, does not count, and the rest go on waiting for somebody else.
    """

    __slots__ = ("_parties", "_request", "_wait")

    def __init__(
        self, client: Client, request: Request, name: str, parties: int, wait: float | None
    ) -> None:
        super().__init__(client, name)
        self._request = request
        self._parties = whole("parties", parties, 0, _MOST)
        self._wait = wait

    @property
    def parties(self) -> int:
        """How many must come."""
        return self._parties

    def enter(self) -> Inside:
        """Comes, and blocks until all have, outside any scope: ``leave()`` yourself. The same as
        ``acquire``."""
        return self.acquire()

    async def enter_async(self) -> Inside:
        """``enter`` without blocking the event loop. Cancelled, it goes away again."""
        return await self.acquire_async()

    def _begin(self) -> Attempt:
        return self._client.enter(self._request, self._parties)

    def _got(self, held: Held | None) -> Inside:
        assert held is not None, "who waits is in or has an error"
        return Inside(held, self._wait)

    def _leave(
        self,
        lease: Tenure | None,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and isinstance(lease, Inside):
            _calls.wait(lease._start_leave(self._wait), self._name)
        else:
            super()._leave(lease, kind, error, trace)
