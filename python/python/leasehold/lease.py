"""One tenure of one lock, and the truth about it."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from leasehold import _calls, _notice
from leasehold._convert import maybe_seconds, seconds
from leasehold._native import Held
from leasehold.asked import Listener, Requests
from leasehold.errors import LockError, LockLost, from_failure
from leasehold.plain import AskedBack, Duration, Kind, LostReason, Owner, Release

if TYPE_CHECKING:
    from leasehold._native import Call

_RELEASES = {str(found): found for found in Release}


class Tenure:
    """What one lease and several that were taken together have in common: a belief with a deadline,
    compared with the clock on each call, and the ways to end it."""

    __slots__ = ("__weakref__", "_given_back", "_held", "_losses", "_notices")

    def __init__(self, held: Held) -> None:
        self._held = held
        self._given_back = False
        self._notices: list[_notice.Ringing] = []
        self._losses: dict[str, Loss] = {}

    @property
    def remaining(self) -> float:
        """Seconds for which ``is_held()`` stays true without a renewal; 0.0 when it is over."""
        return self._held.remaining()

    @property
    def lost_reason(self) -> LostReason | None:
        """Why it ended, if it ended before its release."""
        reason = self._held.lost_reason()
        return None if reason is None else LostReason(reason)

    @property
    def lost(self) -> Loss:
        """The loss as something to look at or to wait for, like a ``threading.Event``."""
        # Not an attribute that two threads may set: the release ends the waits of one only.
        return self._losses.get("lost") or self._losses.setdefault("lost", Loss(self._held))

    def is_held(self) -> bool:
        """Whether the lock is this tenure's, as far as can be known here and now. Once false, false
        for ever."""
        return self._held.is_held()

    def check(self, min_remaining: Duration = 0) -> None:
        """Returns while at least ``min_remaining`` is left: what takes a second should not start
        with half of one. Raises ``LockLost`` otherwise, and ``Forked`` in a forked child."""
        failure = self._held.check(seconds("min_remaining", min_remaining))
        if failure is not None:
            raise from_failure(failure, self._held.name)

    def extend(self, ttl: Duration) -> None:
        """Changes the lease's length to ``ttl`` and renews it now; also for a fixed term. Raises
        ``LockLost`` where it is over, ``InvalidInput`` for a ttl out of bounds, and as the store
        fails, in which case the lease keeps the time it had."""
        _calls.finish(self._held.extend(seconds("ttl", ttl)), self._held.name)

    async def extend_async(self, ttl: Duration) -> None:
        """``extend`` without blocking the event loop."""
        await _calls.finish_async(self._held.extend(seconds("ttl", ttl)), self._held.name)

    def touch(self) -> None:
        """A sign of life: ``max_hold`` counts anew from now."""
        self._held.touch()

    def release(self) -> Release:
        """Gives the lock back and says what became of it. May be called again, and never touches
        another's tenure. Waits for the store at most one second and not beyond the lease's end,
        then goes on in the background."""
        return _RELEASES[_calls.finish(self._start_release(), self._held.name)]

    async def release_async(self) -> Release:
        """``release`` without blocking the event loop. Goes on in the background if cancelled."""
        return _RELEASES[await _calls.finish_async(self._start_release(), self._held.name)]

    def on_lost(self, callback: Callable[[LostReason], object]) -> None:
        """Calls ``callback(reason)`` once if the lease is lost: in the running event loop, if this
        thread has one, else in a thread of ours. Soon, but never before this returns, if it is
        lost already; never, if it is released. The lease keeps the callback alive."""

        def tell(reason: str) -> None:
            callback(LostReason(reason))

        loops = sys.modules.get("asyncio.events")
        if loops is not None and loops._get_running_loop() is not None:
            from leasehold import _loop

            self._notices.append(_loop.notify(self._held, tell))
        else:
            notice = _notice.Notice(self._held, tell)
            _notice.bellringer().post(self._held, notice)
            self._notices.append(notice)

    def _start_release(self) -> Call[str]:
        call = self._held.release()
        self._over()
        return call

    def _over(self) -> None:
        """It is given back: nobody is to be told of a loss any more."""
        self._given_back = True
        if self._notices:
            self._notices.clear()
        for loss in tuple(self._losses.values()):
            loss._over()

    def _start_end(self, succeeded: bool) -> Call[Any]:
        """What the end of a scope does, whose body ``succeeded`` or raised."""
        return self._start_release()

    def _loss(self) -> LockError:
        failure = self._held.loss()
        if failure is None:
            return LockLost(f"the lease of lock {self._held.name!r} was lost")
        return from_failure(failure, self._held.name)

    def _abandon(self) -> None:
        """Gives the lock back with nobody waiting for it."""
        self._start_release()

    def __del__(self) -> None:
        if getattr(self, "_given_back", True):
            return
        held = self._held
        if not sys.is_finalizing() and held.is_held():
            # Not left to the handle's own end: a record of the warning keeps the lease alive.
            self._abandon()
            warnings.warn(
                f"the lease of lock {held.name!r} was never released",
                ResourceWarning,
                stacklevel=1,
                source=self,
            )


class Single(Tenure):
    """What the tenures of one name have in common."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name that it was taken by."""
        return self._held.name

    @property
    def fence(self) -> int:
        """The fencing token: larger than that of every tenure of this name before, and at most
        2**53 - 1. It stays this tenure's own for ever. Of a reader it is the ``epoch``, of permits
        and of a place inside a barrier a number of their own: none of those is to be written with.
        """
        return self._held.fence

    def asked_back(self) -> Requests:
        """The requests to give it back (``client.ask_back``), to be iterated over with ``for`` or
        ``async for``. To follow one is the holder's choice."""
        return Requests(self._held)

    def on_asked_back(self, callback: Callable[[AskedBack], object]) -> None:
        """Calls ``callback(request)`` with each request to give it back, until it is over: in the
        running event loop, if this thread has one, else in a thread of ours. It costs a look at the
        store with each renewal. The lease keeps the callback alive."""
        loops = sys.modules.get("asyncio.events")
        if loops is not None and (loop := loops._get_running_loop()) is not None:
            from leasehold import _loop

            postbox: _notice.Postbox = _loop.courier(loop)
        else:
            postbox = _notice.bellringer()
        self._notices.append(Listener(self._held, callback, postbox))


class Lease(Single):
    """One tenure of one lock, from ``lock.acquire()`` or ``with lock as lease``.

    It is a belief with a deadline: ``is_held()`` compares it with the clock on each call, so it is
    right at once even after the whole process was paused. What is done under the lock should carry
    the ``fence`` to where it takes effect.

    A lease that is forgotten is given back when it is collected, with a ``ResourceWarning``.
    """

    __slots__ = ("_together",)

    def __init__(self, held: Held, together: Tenure | None = None) -> None:
        super().__init__(held)
        # One of several: those keep it until the last of them is gone.
        self._together = together
        self._given_back = together is not None

    @property
    def kind(self) -> Kind:
        """How the lock is held."""
        return Kind(self._held.kind)

    @property
    def epoch(self) -> int | None:
        """What a reader knows of the writers: it came after each whose fence is not larger than
        this, and before all others. ``None`` for who does not just read."""
        return self._held.epoch

    @property
    def owner(self) -> Owner | None:
        """The identity it was taken with."""
        number = self._held.owner
        return None if number is None else Owner(number)

    def downgrade(self) -> None:
        """Has a writer read on, with no other writer in between: it keeps its fence, which is the
        epoch of those who now read with it. Raises ``InvalidInput`` for permits, and ``LockLost``
        where the lease is over; where the store fails it is a reader's lease that may keep other
        readers out until it is released or this is called again."""
        _calls.finish(self._held.downgrade(), self.name)

    async def downgrade_async(self) -> None:
        """``downgrade`` without blocking the event loop."""
        await _calls.finish_async(self._held.downgrade(), self.name)

    def upgrade(self) -> None:
        """Has the only reader write, with a fence of its own. Raises ``Deadlock`` where others read
        too: two that waited for each other to leave would wait for ever, so none may. It reads on
        then, as it does when the store fails."""
        _calls.finish(self._held.upgrade(), self.name)

    async def upgrade_async(self) -> None:
        """``upgrade`` without blocking the event loop."""
        await _calls.finish_async(self._held.upgrade(), self.name)

    def __repr__(self) -> str:
        state = "held" if self.is_held() else self.lost_reason or "released"
        return f"<Lease of {self.name!r}, fence {self.fence}, {state}>"


class Loss:
    """Whether a lease was lost. Like a ``threading.Event`` that others set."""

    __slots__ = ("_ended", "_held", "_notice")

    def __init__(self, held: Held) -> None:
        self._held = held
        self._ended = threading.Event()
        self._notice: _notice.Notice | None = None

    def is_set(self) -> bool:
        """Whether the lease was lost, computed here and now."""
        return self._held.lost_reason() is not None

    def wait(self, timeout: Duration | None = None) -> bool:
        """Blocks until the lease is lost, at most ``timeout``, and says whether it was. Returns
        false also when the lease is released: it can't be lost any more."""
        limit = maybe_seconds("timeout", timeout)
        if self._notice is None:
            ended = self._ended
            self._notice = _notice.Notice(self._held, lambda _: ended.set())
            _notice.bellringer().post(self._held, self._notice)
        if self._held.is_held():
            self._ended.wait(None if limit is None else min(limit, threading.TIMEOUT_MAX))
        return self.is_set()

    def _over(self) -> None:
        self._ended.set()

    def __repr__(self) -> str:
        return f"<Loss: {self._held.lost_reason() or 'not lost'}>"
