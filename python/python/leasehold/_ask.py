"""What is asked of a lock, checked as far as its Python types go."""

from __future__ import annotations

from enum import Enum

from leasehold._convert import flag, maybe_seconds, owner_number, seconds, text, whole
from leasehold._native import Request
from leasehold.kinds import Asking
from leasehold.plain import Duration, Owner

#: The ttl of a lock that names none, in seconds.
DEFAULT_TTL = 30.0


class Configured(Enum):
    """The ttl of a lock whose ttl a configuration says."""

    TTL = "configured"


CONFIGURED = Configured.TTL


def request(
    name: str,
    ttl: Duration | Configured,
    wait: float | None,
    try_only: bool,
    renew: bool,
    max_hold: Duration | None,
    owner: Owner | None,
    priority: int,
    note: str,
    shared: bool = False,
    permits: tuple[int, int] | None = None,
    order: str | None = None,
    deadlock_priority: int | None = None,
) -> Request:
    return Request(
        text("the lock name", name),
        None if ttl is CONFIGURED else seconds("ttl", ttl),
        wait,
        try_only,
        not flag("renew", renew),
        maybe_seconds("max_hold", max_hold),
        owner_number(owner),
        _rank("priority", priority),
        text("note", note),
        shared,
        permits,
        None if order is None else text("order", order),
        None if deadlock_priority is None else _rank("deadlock_priority", deadlock_priority),
    )


def asking(
    name: str,
    ttl: Duration | Configured,
    wait: Duration | None,
    renew: bool,
    max_hold: Duration | None,
    owner: Owner | None,
    priority: int,
    note: str,
    deadlock_priority: int | None = None,
) -> Asking:
    wait_s = maybe_seconds("wait", wait)

    def ask(try_only: bool, shared: bool, permits: tuple[int, int] | None) -> Request:
        limit, place = (None, 0) if try_only else (wait_s, priority)
        return request(
            name,
            ttl,
            limit,
            try_only,
            renew,
            max_hold,
            owner,
            place,
            note,
            shared,
            permits,
            deadlock_priority=deadlock_priority,
        )

    # What is wrong with the options is said where they stand.
    ask(False, False, None)
    return ask


def _rank(what: str, value: int) -> int:
    return whole(what, value, -(1 << 31), (1 << 31) - 1)
