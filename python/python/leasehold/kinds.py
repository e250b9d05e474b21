"""The kinds of lock beside the exclusive one. Each yields descriptions to be taken like any lock:
``with``, ``async with``, ``acquire()`` or ``await acquire_async()``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from leasehold import _calls
from leasehold._convert import whole
from leasehold._native import Call, Client, Request
from leasehold.lock import Lock, TryLock

#: A request with the options of the kind: whether it only tries, whether it shares, the permits.
Asking: TypeAlias = Callable[[bool, bool, "tuple[int, int] | None"], Request]

_MOST = (1 << 32) - 1


class RwLock:
    """A lock that many may hold to read, or one to write, from ``client.rwlock(name, …)``.

    Neither readers nor writers starve: a reader that comes while a writer waits queues behind it,
    and when a writer ends, all readers that waited go together.
    """

    __slots__ = ("_ask", "_client", "_name")

    def __init__(self, client: Client, ask: Asking, name: str) -> None:
        self._client = client
        self._ask = ask
        self._name = name

    @property
    def name(self) -> str:
        """The lock's name."""
        return self._name

    def read(self) -> Lock:
        """To be held together with other readers."""
        return Lock(self._client, self._ask(False, True, None), self._name)

    def write(self) -> Lock:
        """To be held alone; the same as ``client.lock`` of the name."""
        return Lock(self._client, self._ask(False, False, None), self._name)

    def try_read(self) -> TryLock:
        """``read``, taken only if that needs no wait: taking it yields ``None`` otherwise."""
        return TryLock(self._client, self._ask(True, True, None), self._name)

    def try_write(self) -> TryLock:
        """``write``, taken only if that needs no wait."""
        return TryLock(self._client, self._ask(True, False, None), self._name)

    def __repr__(self) -> str:
        return f"<RwLock {self._name!r}>"


class Semaphore(Lock):
    """So many permits, of which each holder has some for as long as its lease lasts, from
    ``client.semaphore(name, capacity, …)``. Itself it is one permit to be taken.

    How many there are is part of each request. While anyone holds permits or waits for them, a
    request with another number raises ``InvalidInput``; once all are free nothing is remembered.
    ``resize`` changes the number, also while it is in use.
    """

    __slots__ = ("_ask", "_capacity")

    def __init__(self, client: Client, ask: Asking, name: str, capacity: int) -> None:
        self._ask = ask
        self._capacity = whole("capacity", capacity, 0, _MOST)
        super().__init__(client, ask(False, False, (1, self._capacity)), name)

    @property
    def capacity(self) -> int:
        """How many permits there are."""
        return self._capacity

    def permits(self, count: int) -> Lock:
        """``count`` permits, granted and given back together. Granted by arrival: while a request
        does not fit, none behind it is granted. Taking none, or more than there are, raises
        ``InvalidInput``."""
        return Lock(self._client, self._ask(False, False, self._of(count)), self._name)

    def try_permits(self, count: int = 1) -> TryLock:
        """``permits``, taken only if they are free: taking it yields ``None`` otherwise."""
        return TryLock(self._client, self._ask(True, False, self._of(count)), self._name)

    def resize(self, permits: int) -> int:
        """Changes how many permits there are, from ``capacity`` to ``permits``, also while some are
        held, and says the number of the change. Those who hold permits keep them, also beyond a
        smaller number; those who wait go on waiting, and who fits now is granted at once; who waits
        for more than there are any more is refused.

        Programs that still say the former number mean the new one from here on. That is remembered
        until none of them has said it for a day; until then a request with any other number raises
        ``InvalidInput``, which names the right one.

        Raises ``InvalidInput`` where there is another number of permits than ``capacity``: of two
        changes at once one is refused. After ``StoreUnavailable`` it may have taken place; to ask
        again is safe."""
        return _calls.finish(self._resize(permits), self._name)

    async def resize_async(self, permits: int) -> int:
        """``resize`` without blocking the event loop."""
        return await _calls.finish_async(self._resize(permits), self._name)

    def _resize(self, permits: int) -> Call[int]:
        return self._client.resize(self._name, self._capacity, whole("permits", permits, 0, _MOST))

    def _of(self, count: int) -> tuple[int, int]:
        return whole("permits", count, 0, _MOST), self._capacity
