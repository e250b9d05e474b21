"""What a manager says of its stores and names, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from leasehold.errors import LockError
from leasehold.plain import LockInfo


@dataclass(frozen=True, slots=True)
class Placed:
    """A lock in one of the manager's stores."""

    #: The store's name in the configuration.
    store: str
    lock: LockInfo


@dataclass(frozen=True, slots=True)
class Health:
    """One store of a manager at one moment."""

    #: Its name in the configuration.
    store: str
    #: Its URL, without secrets.
    url: str
    #: How many seconds it took to answer; ``None`` where it did not.
    round_trip: float | None
    #: Why it did not.
    error: LockError | None
    #: Leases in it that this process holds through the manager.
    held: int
    #: Attempts of this process that ask or wait for locks in it.
    waiting: int

    @property
    def is_reachable(self) -> bool:
        """Whether it answered."""
        return self.round_trip is not None


@dataclass(frozen=True, slots=True)
class Usage:
    """How this process uses one name at this moment."""

    name: str
    #: Leases that are held.
    held: int
    #: Calls that ask or wait for it.
    waiting: int
    #: Locks that are described, and leases that are over and not dropped yet.
    idle: int
    #: When it was last asked for, granted, given back or lost, in seconds since 1970; ``None``
    #: where it is only described so far.
    last_used: float | None
