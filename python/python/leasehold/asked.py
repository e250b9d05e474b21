"""Requests to give a lease back, as its holder hears of them."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator, Callable, Iterator

from leasehold import _calls
from leasehold._convert import refuse_on_loop
from leasehold._native import Call, Held
from leasehold._notice import Postbox
from leasehold.plain import AskedBack, WaiterInfo


class Requests(Iterator[AskedBack], AsyncIterator[AskedBack]):
    """The requests to give a lease back, from ``lease.asked_back()``: each once, also those from
    before it was iterated over, as long as they stand; it ends with the lease. To follow one is the
    holder's choice: nothing happens by itself. Of several who listen for one lease, each request
    goes to one.

    While a step of it waits, the store is looked at with every renewal; in between the store tells
    of a request at once. Raises ``Unsupported`` by a store that has no place for requests. What
    comes while nobody waits is not lost: the next step yields it, also after one that was
    interrupted or cancelled.
    """

    __slots__ = ("_held",)

    def __init__(self, held: Held) -> None:
        self._held = held

    def __iter__(self) -> Requests:
        return self

    def __next__(self) -> AskedBack:
        refuse_on_loop("`for`", "`async for`")
        while _calls.wait(self._held.asked_back(), self._held.name):
            if (asked := taken(self._held)) is not None:
                return asked
        raise StopIteration

    def __aiter__(self) -> Requests:
        return self

    async def __anext__(self) -> AskedBack:
        while await _calls.wait_async(self._held.asked_back(), self._held.name):
            # In the step that goes on: no cancellation comes between.
            if (asked := taken(self._held)) is not None:
                return asked
        raise StopAsyncIteration

    def __repr__(self) -> str:
        return f"<Requests for {self._held.name!r}>"


class Listener:
    """One callback, to be called with each request until the lease is over, in the context in which
    it was registered. Its lease keeps it."""

    __slots__ = ("__weakref__", "_call", "_callback", "_context", "_held", "_postbox")

    def __init__(
        self, held: Held, callback: Callable[[AskedBack], object], postbox: Postbox
    ) -> None:
        self._held = held
        self._callback = callback
        self._context = contextvars.copy_context()
        self._postbox = postbox
        self._listen()

    def ring(self) -> None:
        """Calls the callback."""
        if not _calls.value(self._call, self._held.name):
            return
        asked = taken(self._held)
        # Also where the callback fails.
        self._listen()
        if asked is not None:
            self._context.run(self._callback, asked)

    def _listen(self) -> None:
        # Kept first: it may ring in another thread before this returns.
        self._call: Call[bool] = self._held.asked_back()
        self._postbox.expect(self._call, self)


def taken(held: Held) -> AskedBack | None:
    """The request that nobody has taken yet."""
    plain = held.take_asked()
    if plain is None:
        return None
    by, why, grace = plain
    return AskedBack(WaiterInfo(*by), why, grace)
