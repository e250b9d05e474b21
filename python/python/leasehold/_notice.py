"""Brings the news of a loss to Python code: a mailbox, and the callbacks that wait for its numbers.

The lease thread only puts a number into the mailbox. The callback runs in the event loop where it
was registered, or else in one daemon thread of ours: it may do what it likes without costing
anybody's lease.

Callbacks are held by their lease and only watched from here: a registry that held them would hold
the lease that such a callback mentions, and a forgotten lease would be renewed for ever.
"""

from __future__ import annotations

import contextvars
import itertools
import select
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

from leasehold import _process
from leasehold._native import Held, Mailbox


class Ringing(Protocol):
    """Something that news is brought to."""

    def ring(self) -> None: ...


class Work(Protocol):
    """A call under way."""

    def notify(self, mailbox: Mailbox, key: int) -> None: ...


class Notice:
    """One callback, to be called once with the reason of the loss, in the context in which it was
    registered."""

    __slots__ = ("__weakref__", "_callback", "_context", "_held")

    def __init__(self, held: Held, callback: Callable[[str], object]) -> None:
        self._held = held
        self._callback = callback
        self._context = contextvars.copy_context()

    def ring(self) -> None:
        """Calls the callback."""
        reason = self._held.lost_reason()
        if reason is not None:
            self._context.run(self._callback, reason)


class Postbox:
    """A mailbox and the notices that wait for its numbers."""

    def __init__(self, event_loop: bool = False) -> None:
        self.mailbox = Mailbox(event_loop)
        self._keys = itertools.count()
        self._notices: weakref.WeakValueDictionary[int, Ringing] = weakref.WeakValueDictionary()

    def post(self, held: Held, notice: Notice) -> None:
        """Has ``notice`` rung when ``held`` is lost."""
        key = next(self._keys)
        self._notices[key] = notice
        held.on_lost(self.mailbox, key)

    def expect(self, work: Work, listener: Ringing) -> None:
        """Has ``listener`` rung when ``work`` is done."""
        key = next(self._keys)
        self._notices[key] = listener
        work.notify(self.mailbox, key)

    def take(self, key: int) -> Ringing | None:
        """Who waits for ``key``, unless it is forgotten."""
        return self._notices.pop(key, None)


class Bellringer(Postbox):
    """The postbox of all threads without an event loop. Its thread starts with the first notice."""

    def __init__(self) -> None:
        super().__init__()
        threading.Thread(target=self._run, name="leasehold-notices", daemon=True).start()

    def _run(self) -> None:
        # Waits in C code of Python's own, where the end of the interpreter may catch it.
        ready = select.poll()
        ready.register(self.mailbox.fileno(), select.POLLIN)
        while True:
            ready.poll()
            for key in self.mailbox.drain():
                notice = self.take(key)
                if notice is None:
                    continue
                try:
                    notice.ring()
                except BaseException:
                    # As for any thread; and the next one's news must still arrive.
                    kind, error, trace = sys.exc_info()
                    assert kind is not None
                    threading.excepthook(
                        threading.ExceptHookArgs((kind, error, trace, threading.current_thread()))
                    )


_bellringer: Bellringer | None = None
_lock = threading.Lock()


def bellringer() -> Bellringer:
    """The one bellringer of the process."""
    global _bellringer
    with _lock:
        if _bellringer is None:
            _bellringer = Bellringer()
        return _bellringer


def _forget() -> None:
    global _bellringer, _lock
    _bellringer = None
    _lock = threading.Lock()


_process.after_fork_in_child(_forget)
