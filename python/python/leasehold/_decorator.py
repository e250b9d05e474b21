"""``@client.locked(…)``: a function whose every call runs under a lock.

What returns before its body has run (a generator, an awaitable from a plain function) would run it
without the lock, silently. Such a function is refused.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast

from leasehold.lock import Lock

_P = ParamSpec("_P")
_T = TypeVar("_T")


def under(
    function: Callable[_P, _T], lock_for: Callable[[tuple[Any, ...], dict[str, Any]], Lock]
) -> Callable[_P, _T]:
    """``function``, each call of which runs under the lock that ``lock_for`` gives for its
    arguments."""
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"{function!r} is no function: its calls can't be locked")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{function!r} is a generator: its body would run after the lock was given back; "
            "take the lock inside"
        )
    if _is_async(function):
        awaiting = cast("Callable[_P, Awaitable[Any]]", function)

        @functools.wraps(function)
        async def run_async(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            async with lock_for(args, kwargs):
                return await awaiting(*args, **kwargs)

        return cast("Callable[_P, _T]", run_async)

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with lock_for(args, kwargs):
            result = function(*args, **kwargs)
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise TypeError(
                    f"{function!r} returned an awaitable: its body would run after the lock was "
                    "given back; make it an `async def`"
                )
            return result

    return run


def _is_async(function: Callable[..., Any]) -> bool:
    if inspect.iscoroutinefunction(function):
        return True
    # An object with an async __call__.
    return inspect.iscoroutinefunction(type(function).__call__)
