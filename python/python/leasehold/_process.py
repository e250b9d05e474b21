"""The process's life: its exit, its forks.

At exit the holders are told, what can be given back in bounded time is, and attempts that still
wait leave their queues. Only daemon threads can be waiting then, and they end with the process in
silence, as daemon threads do: an exception would be printed for each. The hooks of ``atexit`` do
not run in a child of ``multiprocessing``, so there one of its own kind is registered.

A forked child keeps nothing: an event loop's file descriptor is shared with the parent (reading it
would take the parent's wake-up), and the thread that runs callbacks does not exist there.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from leasehold import _native

#: How long the exit may be delayed. A lock that could not be given back in time expires.
EXIT_GRACE_MS = 1000

_in_child: list[Callable[[], None]] = []
#: Whether an attempt has to call ``prepare`` first.
unprepared = True
_prepared = False
_ending = False


def prepare() -> None:
    """Called before each attempt: the first in a process has its exit arranged."""
    global _prepared, unprepared
    if ends_this_thread():
        end_this_thread()
    unprepared = _ending
    if not _prepared:
        _prepared = True
        parallel = sys.modules.get("multiprocessing.process")
        if parallel is not None and parallel.parent_process() is not None:
            from multiprocessing.util import Finalize

            Finalize(None, _at_exit, exitpriority=0)


def ends_this_thread() -> bool:
    """Whether the process's exit has begun, and this thread is to end with it. The main thread goes
    on: it runs the exit hooks of others."""
    return _ending and threading.current_thread() is not threading.main_thread()


def end_this_thread() -> NoReturn:
    """Lets the thread rest until the process is gone: a lock that it takes now, nobody would give
    back, and an error that it gets now is of no use to anybody."""
    while True:
        threading.Event().wait()


def after_fork_in_child(forget: Callable[[], None]) -> None:
    """Has ``forget`` run in each forked child."""
    _in_child.append(forget)


def _at_exit() -> None:
    global _ending, unprepared
    _ending = unprepared = True
    _native.release_all(EXIT_GRACE_MS)


def _after_fork() -> None:
    global _prepared, _ending, unprepared
    _prepared = _ending = False
    unprepared = True
    for forget in _in_child:
        forget()


# Registered at import, so that it runs after the hooks of whoever imports us: they may release what
# they hold in their own way.
atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
