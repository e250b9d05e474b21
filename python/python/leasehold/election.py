"""Leader election: a lock whose holder says something to all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from leasehold import _calls
from leasehold._ask import DEFAULT_TTL, request
from leasehold._convert import maybe_seconds, refuse_on_loop, text
from leasehold._native import Attempt, Client, Held, Request
from leasehold._native import Observer as _Observer
from leasehold.lease import Single
from leasehold.lock import Takeable
from leasehold.plain import Duration, Leader, Release, WaiterInfo


class Election:
    """An election, from ``client.election(name)``: one leader at a time, for as long as its lease
    lasts, and all may know who it is.

        election = client.election("primary")
        with election.campaign("10.0.0.7:5432") as leadership:
            ...

        for leader in client.election("primary").observe():
            print("nobody" if leader is None else leader.value)
    """

    __slots__ = ("_client", "_name")

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    @property
    def name(self) -> str:
        """The election's name."""
        return self._name

    def campaign(
        self,
        value: str | bytes = b"",
        *,
        ttl: Duration = DEFAULT_TTL,
        wait: Duration | None = None,
        renew: bool = True,
        max_hold: Duration | None = None,
        priority: int = 0,
        note: str = "",
    ) -> Campaign:
        """Describes a candidacy; taking it waits until nobody else leads. ``value`` is what all are
        told while this candidate leads: at most 60 KiB, a ``str`` as UTF-8. The options are those
        of ``client.lock``."""
        wait_s = maybe_seconds("wait", wait)
        asked = request(self._name, ttl, wait_s, False, renew, max_hold, None, priority, note)
        return Campaign(self._client, asked, self._name, _value(value))

    def try_campaign(
        self,
        value: str | bytes = b"",
        *,
        ttl: Duration = DEFAULT_TTL,
        renew: bool = True,
        max_hold: Duration | None = None,
        note: str = "",
    ) -> TryCampaign:
        """``campaign``, won only if nobody leads now: taking it yields ``None`` otherwise."""
        asked = request(self._name, ttl, None, True, renew, max_hold, None, 0, note)
        return TryCampaign(self._client, asked, self._name, _value(value))

    def leader(self) -> Leader | None:
        """Who leads now, if anyone does."""
        return _leader(_calls.finish(self._client.leader(self._name), self._name))

    async def leader_async(self) -> Leader | None:
        """``leader`` without blocking the event loop."""
        return _leader(await _calls.finish_async(self._client.leader(self._name), self._name))

    def observe(self) -> Observer:
        """Watches who leads: to be iterated over with ``for`` or ``async for``."""
        return Observer(self._client.observe(self._name), self._name)

    def __repr__(self) -> str:
        return f"<Election {self._name!r}>"


class Leadership(Single):
    """The lead, for as long as its lease lasts: ``is_held()``, ``lost`` and the rest are those of a
    lease. Who acts as the leader should carry the ``fence``."""

    __slots__ = ()

    def proclaim(self, value: str | bytes) -> None:
        """Has all be told ``value`` from now on. Raises ``LockLost`` where it leads no more,
        ``InvalidInput`` for more than 60 KiB, and as the store fails: it leads on then, and which
        of its values is told is not known."""
        _calls.finish(self._held.proclaim(_value(value)), self.name)

    async def proclaim_async(self, value: str | bytes) -> None:
        """``proclaim`` without blocking the event loop."""
        await _calls.finish_async(self._held.proclaim(_value(value)), self.name)

    def resign(self) -> Release:
        """Ends the lead and says what became of it; those who observe are told. The same as
        ``release``."""
        return self.release()

    async def resign_async(self) -> Release:
        """``resign`` without blocking the event loop."""
        return await self.release_async()

    def __repr__(self) -> str:
        state = "leads" if self.is_held() else self.lost_reason or "resigned"
        return f"<Leadership of {self.name!r}, fence {self.fence}, {state}>"


class Campaign(Takeable[Leadership]):
    """A candidacy, from ``election.campaign(…)``. Taking it, as a lock is taken, yields a
    ``Leadership`` or raises; the end of its scope resigns."""

    __slots__ = ("_request", "_value")

    def __init__(self, client: Client, request: Request, name: str, value: bytes) -> None:
        super().__init__(client, name)
        self._request = request
        self._value = value

    def _begin(self) -> Attempt:
        return self._client.campaign(self._request, self._value)

    def _got(self, held: Held | None) -> Leadership:
        assert held is not None, "a candidate that waits leads or has an error"
        return Leadership(held)


class TryCampaign(Takeable[Leadership | None]):
    """A candidacy that waits for nobody, from ``election.try_campaign(…)``. Taking it yields a
    ``Leadership``, or ``None`` where another leads; the body of a ``with`` runs either way."""

    __slots__ = ("_request", "_value")

    def __init__(self, client: Client, request: Request, name: str, value: bytes) -> None:
        super().__init__(client, name)
        self._request = request
        self._value = value

    def _begin(self) -> Attempt:
        return self._client.campaign(self._request, self._value)

    def _got(self, held: Held | None) -> Leadership | None:
        return None if held is None else Leadership(held)


class Observer(Iterator[Leader | None], AsyncIterator[Leader | None]):
    """Who leads, whenever that changes, from ``election.observe()``: first who leads now, then each
    change, with ``None`` while nobody does. Of several changes in a row only the last may be seen.
    It never ends by itself.

    A leader that resigned or was followed by another is told of at once; one that died or was
    evicted, when its lease was to end. Raises as the store fails for longer than 15 s, and may be
    gone on with then. What is told while nobody waits is not lost: the next step yields it, also
    after one that was interrupted or cancelled.
    """

    __slots__ = ("_name", "_native")

    def __init__(self, native: _Observer, name: str) -> None:
        self._native = native
        self._name = name

    def __iter__(self) -> Observer:
        return self

    def __next__(self) -> Leader | None:
        refuse_on_loop("`for`", "`async for`")
        while True:
            _calls.wait(self._native.changed(), self._name)
            if (change := self._native.take()) is not None:
                return _leader(change)

    def __aiter__(self) -> Observer:
        return self

    async def __anext__(self) -> Leader | None:
        while True:
            await _calls.wait_async(self._native.changed(), self._name)
            # In the step that goes on: no cancellation comes between.
            if (change := self._native.take()) is not None:
                return _leader(change)

    def __repr__(self) -> str:
        return f"<Observer of {self._name!r}>"


def _value(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return text("value", value).encode()
    raise TypeError(f"value is {value!r}: a str or bytes are needed")


def _leader(plain: tuple[int, bytes, tuple[str, int, str, float, str]] | bool) -> Leader | None:
    if isinstance(plain, bool):
        return None
    fence, value, who = plain
    return Leader(fence, value, WaiterInfo(*who))
