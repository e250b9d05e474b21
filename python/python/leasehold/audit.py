"""Who interfered with whose tenure, for the program's own record of it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TypeAlias

from leasehold import _calls, _notice
from leasehold._convert import text
from leasehold._native import Call, Trail
from leasehold.plain import AuditEvent, WaiterInfo

#: Who is told of each eviction and each request to give a lock back: a file, by its path, or a
#: function.
AuditSink: TypeAlias = str | os.PathLike[str] | Callable[[AuditEvent], object]


#: How long the end of the process may be delayed by a function that is at it.
_TURN = 1.0


class Teller:
    """Tells a function what has come, one event after the other, whoever has it do so."""

    __slots__ = ("callback", "trail", "turn")

    def __init__(self, callback: Callable[[AuditEvent], object]) -> None:
        self.trail = Trail()
        self.callback = callback
        # The function's own calls may bring it here again.
        self.turn = threading.RLock()

    def tell(self) -> None:
        if not self.turn.acquire(timeout=_TURN):
            return
        try:
            while (plain := self.trail.take()) is not None:
                at, by, action, store, lock, fence, why, holder, outcome, error = plain
                who = None if holder is None else WaiterInfo(*holder)
                by_whom = WaiterInfo(*by)
                self.callback(
                    AuditEvent(at, by_whom, action, store, lock, fence, why, who, outcome, error)
                )
        finally:
            self.turn.release()


class Auditor:
    """Calls a function with each event of a client's, one after the other, in the thread that
    brings the news of losses too. What was not told before the program ends, or before the client
    is forgotten, is told then."""

    __slots__ = ("__weakref__", "_call", "_ringer", "_teller")

    def __init__(self, callback: Callable[[AuditEvent], object]) -> None:
        self._teller = Teller(callback)
        self._call: Call[bool] | None = None
        self._ringer: _notice.Postbox | None = None
        weakref.finalize(self, self._teller.tell)

    @property
    def trail(self) -> Trail:
        """Where the events lie until they are told."""
        return self._teller.trail

    def listen(self) -> None:
        """Called before each interference: the first in a process begins to listen there."""
        ringer = _notice.bellringer()
        if self._ringer is not ringer:
            self._ringer = ringer
            # A forked child's: the parent's may have been taken at that moment.
            self._teller.turn = threading.RLock()
            self._wait(ringer)

    def ring(self) -> None:
        """Tells what has come."""
        assert self._call is not None and self._ringer is not None, "it listens"
        _calls.value(self._call, None)
        try:
            self._teller.tell()
        finally:
            self._wait(self._ringer)

    def _wait(self, ringer: _notice.Postbox) -> None:
        self._call = self.trail.arrived()
        ringer.expect(self._call, self)


def sink(audit: AuditSink | None) -> tuple[str | None, Auditor | None]:
    """The path of the file, or who calls the function."""
    if audit is None:
        return None, None
    if isinstance(audit, str | os.PathLike):
        path = os.fspath(audit)
        return text("the path of the audit file", path), None
    if callable(audit):
        return None, Auditor(audit)
    raise TypeError(f"audit is {audit!r}: a path or a function is needed")
