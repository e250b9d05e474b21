"""Several locks that are taken together, all or none, or each alone; held and given back as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar, overload

from leasehold._native import Attempt, Client, Failure, Held
from leasehold.errors import LockError, from_failure
from leasehold.lease import Lease, Tenure
from leasehold.lock import Lock, Takeable

_Got = TypeVar("_Got")


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


class Each(Tenure, Sequence[Lease | LockError | None]):
    """What became of locks that were tried each alone, in the order of their list: a ``Lease``,
    ``None`` where another holds it, or the error. ``leases`` are those that were obtained.

    As a whole it is those leases, as ``Leases`` is: each may be given back when it is done with,
    and ``release()``, like the end of the ``with``, gives back the rest, in one request.
    """

    __slots__ = ("_names",)

    def __init__(self, held: Held, names: Sequence[str]) -> None:
        super().__init__(held)
        self._names = names

    @property
    def leases(self) -> list[Lease]:
        """The leases of those that were obtained."""
        return [Lease(held, self) for held in self._held.each()]

    @overload
    def __getitem__(self, index: int) -> Lease | LockError | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[Lease | LockError | None]: ...
    def __getitem__(
        self, index: int | slice
    ) -> Lease | LockError | list[Lease | LockError | None] | None:
        return list(self)[index]

    def __iter__(self) -> Iterator[Lease | LockError | None]:
        for outcome, name in zip(self._held.outcomes(), self._names, strict=True):
            if isinstance(outcome, Held):
                yield Lease(outcome, self)
            elif isinstance(outcome, Failure):
                yield from_failure(outcome, name)
            else:
                yield None

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        state = "held" if self.is_held() else self.lost_reason or "released"
        return f"<Each of {self._held.name!r}, {state}>"


class _Several(Takeable[_Got]):
    """Several locks, by their requests."""

    __slots__ = ("_names", "_requests")

    def __init__(self, client: Client, locks: Sequence[Lock]) -> None:
        self._names = tuple(lock.name for lock in locks)
        self._requests = tuple(lock._request for lock in locks)
        super().__init__(client, ", ".join(self._names))


class LockAll(_Several[Leases]):
    """Locks to be taken all or none, from ``client.lock_all([…])``. Taking them yields ``Leases``
    or raises, as for one ``Lock``; nothing is held then.

    Those that are free are taken in one atomic step where the store can, and those that are not
    are waited for in the order of their names: so no two of these wait for each other, however
    their lists overlap.
    """

    __slots__ = ("_wait",)

    def __init__(self, client: Client, locks: Sequence[Lock], wait: float | None) -> None:
        super().__init__(client, locks)
        self._wait = wait

    def _begin(self) -> Attempt:
        return self._client.attempt_all(self._requests, self._wait, False)

    def _got(self, held: Held | None) -> Leases:
        assert held is not None, "an attempt that waits has leases or an error"
        return Leases(held)


class TryLockAll(_Several[Leases | None]):
    """Locks to be taken if all of them are free, from ``client.try_lock_all([…])``. Taking them
    yields ``Leases``, or ``None`` where one is held by another."""

    __slots__ = ()

    def _begin(self) -> Attempt:
        return self._client.attempt_all(self._requests, None, True)

    def _got(self, held: Held | None) -> Leases | None:
        return None if held is None else Leases(held)


class TryEach(_Several[Each]):
    """Locks to be tried each alone, from ``client.try_each([…])``. Trying them yields ``Each``, or
    raises where it concerns them all: the store does not answer, a name is there twice. Then none
    is held."""

    __slots__ = ()

    def _begin(self) -> Attempt:
        return self._client.attempt_each(self._requests)

    def _got(self, held: Held | None) -> Each:
        assert held is not None, "an attempt at each has an outcome of each or an error"
        return Each(held, self._names)
