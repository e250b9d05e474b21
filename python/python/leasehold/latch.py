"""The latch: a count that goes down to zero once, and those who wait for that."""

from __future__ import annotations

from leasehold import _calls
from leasehold._convert import maybe_seconds, refuse_on_loop, whole
from leasehold._native import Client
from leasehold.plain import Duration

_MOST = (1 << 64) - 1


class Latch:
    """A latch, from ``client.latch(name, count)``. It opens once and stays open, like a
    ``threading.Event`` that so many must set; some time later its name is free for a new one.

    All who use one name must say the same count: ``InvalidInput`` otherwise.
    """

    __slots__ = ("_count", "_name", "_native")

    def __init__(self, client: Client, name: str, count: int, keep: Duration | None) -> None:
        self._name = name
        self._count = whole("count", count, 0, _MOST)
        self._native = client.latch(name, self._count, maybe_seconds("keep", keep))

    @property
    def name(self) -> str:
        """The latch's name."""
        return self._name

    def count_down(self, count: int = 1) -> int:
        """Counts down by ``count``, not below zero, and says what is left. Each call counts once,
        also where the answer to its request is lost; one that is interrupted, or raises because the
        store failed, may have counted or not."""
        return _calls.finish(self._native.count_down(whole("count", count, 0, _MOST)), self._name)

    async def count_down_async(self, count: int = 1) -> int:
        """``count_down`` without blocking the event loop. Cancelled, it counts all the same."""
        call = self._native.count_down(whole("count", count, 0, _MOST))
        return await _calls.finish_async(call, self._name)

    def left(self) -> int:
        """What is left: zero once it is open."""
        return _calls.finish(self._native.count(), self._name)

    async def left_async(self) -> int:
        """``left`` without blocking the event loop."""
        return await _calls.finish_async(self._native.count(), self._name)

    def is_open(self) -> bool:
        """Whether it is open. Once true, true for as long as it is kept."""
        return self.left() == 0

    async def is_open_async(self) -> bool:
        """``is_open`` without blocking the event loop."""
        return await self.left_async() == 0

    def wait(self, timeout: Duration | None = None) -> None:
        """Blocks until it is open. Raises ``LockTimeout``, a ``TimeoutError``, where ``timeout``
        ran out first, and ``RuntimeError`` in a thread that runs an event loop."""
        refuse_on_loop("wait()", "await wait_async()")
        _calls.wait(self._native.wait(maybe_seconds("timeout", timeout)), self._name)

    async def wait_async(self, timeout: Duration | None = None) -> None:
        """``wait`` without blocking the event loop."""
        call = self._native.wait(maybe_seconds("timeout", timeout))
        await _calls.wait_async(call, self._name)

    def __repr__(self) -> str:
        return f"<Latch {self._name!r} of {self._count}>"
