"""What is asked of a lock, checked as far as its Python types go."""

from __future__ import annotations

from leasehold._convert import flag, maybe_seconds, owner_number, seconds, text, whole
from leasehold._native import Request
from leasehold.kinds import Asking
from leasehold.plain import Duration, Owner

#: The ttl of a lock that names none, in seconds.
DEFAULT_TTL = 30.0


def request(
    name: str,
    ttl: Duration,
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
) -> Request:
    return Request(
        text("the lock name", name),
        seconds("ttl", ttl),
        wait,
        try_only,
        not flag("renew", renew),
        maybe_seconds("max_hold", max_hold),
        owner_number(owner),
        whole("priority", priority, -(1 << 31), (1 << 31) - 1),
        text("note", note),
        shared,
        permits,
        None if order is None else text("order", order),
    )


def asking(
    name: str,
    ttl: Duration,
    wait: Duration | None,
    renew: bool,
    max_hold: Duration | None,
    owner: Owner | None,
    priority: int,
    note: str,
) -> Asking:
    wait_s = maybe_seconds("wait", wait)

    def ask(try_only: bool, shared: bool, permits: tuple[int, int] | None) -> Request:
        limit, place = (None, 0) if try_only else (wait_s, priority)
        return request(
            name, ttl, limit, try_only, renew, max_hold, owner, place, note, shared, permits
        )

    # What is wrong with the options is said where they stand.
    ask(False, False, None)
    return ask
