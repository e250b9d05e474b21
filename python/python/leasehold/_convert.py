"""Checks of arguments that the core can't make, for it never sees them: their Python types.

Values (zero, negative, not a number, too large, too long) are the core's to refuse, alike in every
language. A string with a lone surrogate is no Unicode text: it has no UTF-8, so the core could
neither take nor name it.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from leasehold.errors import InvalidInput
from leasehold.plain import Duration, Owner

_SHOWN = 80


def seconds(what: str, value: Duration) -> float:
    """``value`` as seconds."""
    if type(value) is float:
        return value
    if isinstance(value, timedelta):
        return value.total_seconds()
    # A bool is an int to Python: ttl=True would be one second.
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"{what} is {value!r}: seconds (int or float) or a timedelta are needed")
    try:
        return float(value)
    except OverflowError as cause:
        raise InvalidInput(f"{what} is a number of seconds beyond any float") from cause


def maybe_seconds(what: str, value: Duration | None) -> float | None:
    """``value`` as seconds, if there is one."""
    return None if value is None else seconds(what, value)


def text(what: str, value: str) -> str:
    """``value``, which must be a string that has a UTF-8 form."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is {value!r}: a str is needed")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as cause:
            shown = ascii(value[:_SHOWN]) + ("…" if len(value) > _SHOWN else "")
            raise InvalidInput(
                f"{what} {shown} has a lone surrogate at index {cause.start}: it is no Unicode text"
            ) from cause
    return value


def whole(what: str, value: int, low: int, high: int) -> int:
    """``value``, which must be an int from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} is {value!r}: an int is needed")
    if not low <= value <= high:
        raise InvalidInput(f"{what} is {value}: {low} to {high} are allowed")
    return value


def flag(what: str, value: bool) -> bool:
    """``value``, which must be a bool: ``renew=0`` would else read as a number of seconds."""
    if not isinstance(value, bool):
        raise TypeError(f"{what} is {value!r}: True or False is needed")
    return value


def owner_number(value: Owner | None) -> int | None:
    """The number of an owner, if there is one."""
    if value is None:
        return None
    if not isinstance(value, Owner):
        raise TypeError(f"owner is {value!r}: take one from client.owner()")
    return value.number


def refuse_on_loop(what: str, instead: str) -> None:
    """Raises where this thread runs an event loop: waiting would block it, and whoever must
    release the lock may be a task of the same loop."""
    # Not imported here: a program without asyncio need not pay for it.
    events = sys.modules.get("asyncio.events")
    if events is not None and events._get_running_loop() is not None:
        raise RuntimeError(f"{what} would block the running event loop: use {instead}")
