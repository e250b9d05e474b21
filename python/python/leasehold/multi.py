"""Several locks that are taken together: all or none, held and given back as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from leasehold._native import Attempt, Client, Held, Request
from leasehold.lease import Lease, Tenure
from leasehold.lock import Takeable


class Leases(Tenure, Sequence[Lease]):
    """The leases of locks that were taken together, in the order of their list. ``is_held()`` is
    whether all are held, and ``lost`` and ``on_lost`` tell of the first that is lost.

    Each of them is a ``Lease`` with a fence of its own. They stay together: what was not released
    is given back once none of them is referred to any more.
    """

    __slots__ = ()

    @overload
    def __getitem__(self, index: int) -> Lease: ...
    @overload
    def __getitem__(self, index: slice) -> list[Lease]: ...
    def __getitem__(self, index: int | slice) -> Lease | list[Lease]:
        held = self._held.each()[index]
        if isinstance(held, list):
            return [Lease(one, self) for one in held]
        return Lease(held, self)

    def __iter__(self) -> Iterator[Lease]:
        return (Lease(held, self) for held in self._held.each())

    def __len__(self) -> int:
        return len(self._held.each())

    def __repr__(self) -> str:
        state = "held" if self.is_held() else self.lost_reason or "released"
        return f"<Leases of {self._held.name!r}, {state}>"


class LockAll(Takeable[Leases]):
    """Locks to be taken all or none, from ``client.lock_all([…])``. Taking them yields ``Leases``
    or raises, as for one ``Lock``; nothing is held then.

    Those that are free are taken in one atomic step where the store can, and those that are not
    are waited for in the order of their names: so no two of these wait for each other, however
    their lists overlap.
    """

    __slots__ = ("_requests", "_wait")

    def __init__(
        self, client: Client, requests: Sequence[Request], name: str, wait: float | None
    ) -> None:
        super().__init__(client, name)
        self._requests = requests
        self._wait = wait

    def _begin(self) -> Attempt:
        return self._client.attempt_all(self._requests, self._wait, False)

    def _got(self, held: Held | None) -> Leases:
        assert held is not None, "an attempt that waits has leases or an error"
        return Leases(held)


class TryLockAll(Takeable[Leases | None]):
    """Locks to be taken if all of them are free, from ``client.try_lock_all([…])``. Taking them
    yields ``Leases``, or ``None`` where one is held by another."""

    __slots__ = ("_requests",)

    def __init__(self, client: Client, requests: Sequence[Request], name: str) -> None:
        super().__init__(client, name)
        self._requests = requests

    def _begin(self) -> Attempt:
        return self._client.attempt_all(self._requests, None, True)

    def _got(self, held: Held | None) -> Leases | None:
        return None if held is None else Leases(held)
