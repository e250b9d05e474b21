"""Plain data that the calls take and give."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

#: Seconds, or a ``timedelta``.
Duration: TypeAlias = float | timedelta


class Kind(StrEnum):
    """How a lock is held."""

    #: By one holder.
    EXCLUSIVE = "exclusive"
    #: Together with other readers, never with a writer.
    SHARED = "shared"
    #: As some of a semaphore's permits.
    PERMITS = "permits"


class LostReason(StrEnum):
    """Why a lease ended before its release."""

    #: It was not renewed in time: the process was paused or starved, or it was a fixed term.
    EXPIRED = "expired"
    #: It was ended from outside.
    REVOKED = "revoked"
    #: Another holds the lock with a newer fence.
    SUPERSEDED = "superseded"
    #: The store did not answer until the deadline.
    STORE_UNREACHABLE = "store_unreachable"
    #: The store's session that carried it ended.
    SESSION_EXPIRED = "session_expired"
    #: It reached its ``max_hold``.
    MAX_HOLD = "max_hold"
    #: It belongs to the parent of this forked process.
    FORKED = "forked"
    #: The client was shut down, or the process is exiting.
    SHUTDOWN = "shutdown"


class Release(StrEnum):
    """What a release found."""

    #: The lock was given back.
    RELEASED = "released"
    #: The store has not answered yet; the release goes on in the background.
    BACKGROUND = "background"
    #: There was nothing to give back any more: see the lease's ``lost_reason``.
    LOST = "lost"
    #: It was given back before.
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class Owner:
    """An explicit identity, for the locks of one unit of work: re-entry and deadlock detection go
    by it, never by thread or task. From ``client.owner()``; the number may be passed on to another
    process."""

    number: int

    def __post_init__(self) -> None:
        if isinstance(self.number, bool) or not isinstance(self.number, int):
            raise TypeError(f"an owner's number is an int, not {self.number!r}")
        if not 0 <= self.number < 1 << 128:
            from leasehold.errors import InvalidInput

            raise InvalidInput(f"an owner's number has 128 bits: {self.number:#x} has not")


@dataclass(frozen=True, slots=True)
class WaiterInfo:
    """Who waits for a lock, or holds it."""

    host: str
    pid: int
    language: str
    #: When the attempt began, in seconds since 1970.
    since: float
    note: str


@dataclass(frozen=True, slots=True)
class HolderInfo:
    """Who holds a lock."""

    fence: int
    #: Seconds left of the lease as the holder was told.
    told: float
    #: Seconds left of it in the store, which keeps it a little longer.
    stored: float
    who: WaiterInfo


@dataclass(frozen=True, slots=True)
class LockInfo:
    """One lock, as people see it."""

    name: str
    #: Who holds it, or ``None``.
    holder: HolderInfo | None
    #: Who waits, first in line first; at most 100.
    queue: tuple[WaiterInfo, ...]
    #: How many wait in all.
    waiting: int


@dataclass(frozen=True, slots=True)
class AskedBack:
    """A request to give a lease back."""

    #: Who asks.
    by: WaiterInfo
    why: str
    #: The seconds that the holder had when it was told. Whoever asks may end the lease then.
    grace: float


class ReturnState(StrEnum):
    """What a request to give a lock back came to."""

    #: No one held the lock, or not with that fence.
    NOT_HELD = "not_held"
    #: The tenure was over in time: given back, or ended otherwise.
    GIVEN_BACK = "given_back"
    #: The grace is over, and the lock is still held.
    STILL_HELD = "still_held"
    #: The holder held on, and its tenure was ended; by ``manager.revoke`` only.
    EVICTED = "evicted"


@dataclass(frozen=True, slots=True)
class Returned:
    """What a request to give a lock back came to."""

    state: ReturnState
    #: The fence of the tenure; of several that of the first, and where they are still held of the
    #: first that is left. ``None`` where nobody held it.
    fence: int | None
    #: Who holds or held it.
    holder: WaiterInfo | None
    #: The fences of those that were asked besides and hold it too.
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One interference with a tenure. It holds no token and no password."""

    #: When, in seconds since 1970.
    at: float
    #: Who does it.
    by: WaiterInfo
    #: ``"evict"`` or ``"ask_back"``.
    action: str
    #: The store's URL, without secrets.
    store: str
    lock: str
    #: The fence that was meant or met, if one is known.
    fence: int | None
    #: The reason, as the caller said it.
    why: str
    #: Whose tenure it is, where that is known.
    holder: WaiterInfo | None
    #: ``"begun"``: it is about to be done, and another event says what came of it. Or
    #: ``"refused"``, ``"not_held"``, ``"evicted"``, ``"given_back"``, ``"still_held"``,
    #: ``"failed"``.
    outcome: str
    #: Of what failed or was refused, the error's one line.
    error: str | None


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads."""

    #: Larger than that of every leader before.
    fence: int
    #: What it said last.
    value: bytes
    #: Who it is, and since when it has campaigned.
    who: WaiterInfo


@dataclass(frozen=True, slots=True)
class Deadlocks:
    """What the searches for deadlocks came to."""

    #: Looks taken.
    looks: int
    #: Cycles found, also those whose victim was another's wait.
    found: int
    #: Waits that were ended: they were the victims.
    victims: int
    #: Owners in the longest cycle found.
    longest: int
    #: How severe the worst deadlock of a victim of this client was: the waits for any of its locks,
    #: in the cycle and behind it. All of them stood still.
    severest: int
    #: Owners in the longest chain of waits followed, cycle or not.
    deepest: int
    #: Looks that followed a chain of 64 owners to no end.
    cut: int
