"""A ttl and a wait from a lock's own history."""

from __future__ import annotations

from dataclasses import dataclass

from leasehold import _native
from leasehold._convert import seconds
from leasehold.errors import from_failure
from leasehold.lease import Lease
from leasehold.lock import Lock, Takeable
from leasehold.plain import Duration


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and from what. ``str`` says it in words."""

    #: The lease's length in seconds: 30 until enough is known, from then on 1 to 30.
    ttl: float
    #: How long to wait, in seconds: 1 to 30 as well.
    wait: float
    #: How many of the latest holds it goes by, at most 50.
    holds: int
    #: What 95 % of them were not longer than, in seconds.
    hold: float
    #: What 95 % of the latest waits were not longer than, in seconds.
    waited: float
    #: The part of the latest acquires that had to wait, 0 to 1.
    load: float
    words: str

    def __str__(self) -> str:
        return self.words


class AdaptiveTtl:
    """A ttl and a wait that follow how long a lock was held and waited for. Shared by all who take
    the lock in this process; each lock, or each group of locks that are used alike, has its own.

        reports = leasehold.AdaptiveTtl()
        with reports.adapt(client.lock("report")) as lease:
            ...
        print(reports.choose())
    """

    __slots__ = ("_native",)

    def __init__(self) -> None:
        self._native = _native.AdaptiveTtl()

    def adapt(self, lock: Lock) -> AdaptedLock:
        """``lock`` with the ttl and the wait that are chosen whenever it is taken, and its other
        options. How long it was waited for is noted, and, when it is released, how long it was
        held."""
        if not isinstance(lock, Lock):
            raise TypeError(f"lock is {lock!r}: a lock that waits is needed")
        return AdaptedLock(lock, self._native)

    def held(self, span: Duration) -> None:
        """Notes how long the lock was held, where that was not through ``adapt``."""
        if (failure := self._native.held(seconds("span", span))) is not None:
            raise from_failure(failure)

    def waited(self, span: Duration) -> None:
        """Notes how long it was waited for, where that was not through ``adapt``."""
        if (failure := self._native.waited(seconds("span", span))) is not None:
            raise from_failure(failure)

    def choose(self) -> Choice:
        """What to ask for now."""
        return Choice(*self._native.choose())

    def __repr__(self) -> str:
        return f"<AdaptiveTtl: {self.choose()}>"


class AdaptedLock(Takeable[Lease]):
    """A lock whose ttl and wait follow its history, from ``AdaptiveTtl.adapt(lock)``. To be taken
    as that lock is; raises ``LockTimeout`` where the chosen wait ran out."""

    __slots__ = ("_adaptive", "_request")

    def __init__(self, lock: Lock, adaptive: _native.AdaptiveTtl) -> None:
        super().__init__(lock._client, lock._name)
        self._request = lock._request
        self._adaptive = adaptive

    def _begin(self) -> _native.Attempt:
        return self._client.attempt_adaptive(self._request, self._adaptive)

    def _got(self, held: _native.Held | None) -> Lease:
        assert held is not None, "an attempt that waits has a lease or an error"
        return Lease(held)
