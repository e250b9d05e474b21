"""asyncio's side: completions and losses come into an event loop through one file descriptor.

Per loop there is one mailbox, read by one callback of the loop that takes everything that has
arrived. It is used when a call isn't done at once; until then nothing of the loop is touched.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from leasehold import _process
from leasehold._native import Held, Mailbox
from leasehold._notice import Notice, Postbox
from leasehold.errors import LockError
from leasehold.plain import Release

if TYPE_CHECKING:
    from leasehold.lease import Lease


class _Work(Protocol):
    def notify(self, mailbox: Mailbox, key: int) -> None: ...


class Courier(Postbox):
    """The postbox of one event loop. Kept alive by the loop, which it must not keep alive."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._futures: dict[int, asyncio.Future[None]] = {}
        loop.add_reader(self.mailbox.fileno(), self._arrived)

    async def done(self, work: _Work) -> None:
        """Returns when ``work`` is done."""
        future = asyncio.get_running_loop().create_future()
        key = next(self._keys)
        self._futures[key] = future
        try:
            work.notify(self.mailbox, key)
            await future
        finally:
            self._futures.pop(key, None)

    def _arrived(self) -> None:
        for key in self.mailbox.drain():
            future = self._futures.pop(key, None)
            if future is not None:
                if not future.done():
                    future.set_result(None)
            elif (notice := self.take(key)) is not None:
                try:
                    notice.ring()
                except Exception as error:
                    asyncio.get_running_loop().call_exception_handler(
                        {"message": "a callback of Lease.on_lost failed", "exception": error}
                    )


class Body:
    """The body of an ``async with``. On loss its task is cancelled, in the way of
    ``asyncio.timeout``: what the task is told is counted, so that a cancellation by somebody else
    is not mistaken for ours."""

    __slots__ = ("_cancelling", "_fired", "_lease", "_notice", "task")

    def __init__(self, lease: Lease | None, held: Held | None) -> None:
        self.task = asyncio.current_task()
        self._lease = lease
        self._fired = False
        self._cancelling = self.task.cancelling() if self.task is not None else 0
        self._notice: Notice | None = None
        if held is not None and self.task is not None:
            self._notice = notify(held, self._lost)

    async def leave(self, kind: type[BaseException] | None, error: BaseException | None) -> None:
        """Gives the lease back; raises its loss if the body succeeded, or failed of nothing else
        than our cancellation."""
        # From here on a loss cancels nothing: the release is not to be cut off.
        self._notice = None
        ours = self._fired and self._uncancel()
        if self._lease is None:
            return
        if kind is not None and issubclass(kind, GeneratorExit):
            # The coroutine is being closed: it may not await any more.
            self._lease._abandon()
            return
        try:
            lost = await self._lease.release_async() is Release.LOST
        except LockError:
            if kind is None:
                raise
            return
        cancelled = ours and kind is not None and issubclass(kind, asyncio.CancelledError)
        if lost and (kind is None or cancelled):
            raise self._lease._loss() from error

    def _lost(self, reason: str) -> None:
        if self._notice is not None and self.task is not None:
            self._fired = self.task.cancel(f"the lease was lost: {reason}")

    def _uncancel(self) -> bool:
        """Takes our cancellation back; whether there was no other."""
        if self.task is None or self.task is not asyncio.current_task():
            return False
        return self.task.uncancel() <= self._cancelling


def leave(bodies: list[Body]) -> Body:
    """Takes the body that is being left: this task's last; or, since a test framework may leave in
    another task than it entered in, the last of all."""
    task = asyncio.current_task()
    for index in reversed(range(len(bodies))):
        if bodies[index].task is task:
            return bodies.pop(index)
    if not bodies:
        raise RuntimeError("left a lock that was not entered")
    return bodies.pop()


async def done(work: _Work) -> None:
    """Returns when ``work`` is done."""
    await courier().done(work)


def courier() -> Courier:
    """The courier of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _couriers.get(loop)
    if found is None:
        with _lock:
            # A future that nobody finished refers to its loop: let go of those that are closed.
            for old in [old for old in _couriers if old.is_closed()]:
                del _couriers[old]
            found = _couriers[loop] = Courier(loop)
    return found


def notify(held: Held, callback: Callable[[str], object]) -> Notice:
    """Has ``callback`` called in the running loop when ``held`` is lost."""
    notice = Notice(held, callback)
    courier().post(held, notice)
    return notice


_couriers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Courier] = (
    weakref.WeakKeyDictionary()
)
_lock = threading.Lock()


def _forget() -> None:
    global _couriers, _lock
    _couriers = weakref.WeakKeyDictionary()
    _lock = threading.Lock()


_process.after_fork_in_child(_forget)
