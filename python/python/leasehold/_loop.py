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

from leasehold import _calls, _process
from leasehold._native import Held, Mailbox
from leasehold._notice import Notice, Postbox, Ringing
from leasehold.errors import LockError

if TYPE_CHECKING:
    from leasehold.lease import Tenure


class _Work(Protocol):
    def settle(self, mailbox: Mailbox, key: int) -> bool: ...


class Courier(Postbox):
    """The postbox of one event loop. Kept alive by the loop, which it must not keep alive."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(event_loop=True)
        self.loop = weakref.ref(loop)
        self._futures: dict[int, asyncio.Future[None]] = {}
        self._bodies: dict[int, Body] = {}
        loop.add_reader(self.mailbox.fileno(), self._arrived)

    def until(self, work: _Work, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None] | None:
        """A future of ``loop`` that is finished when ``work`` is; ``None`` where it is done
        already, or in a moment. Not a coroutine: a task goes through each of those whenever it
        goes on."""
        key = next(self._keys)
        if not work.settle(self.mailbox, key):
            return None
        # The number comes in a turn of this loop. The future is taken out when the work is done,
        # also if nobody waits any more.
        future = self._futures[key] = loop.create_future()
        return future

    def watch(self, body: Body, held: Held) -> int:
        """Has ``body`` told when ``held`` is lost, until it is forgotten."""
        key = next(self._keys)
        self._bodies[key] = body
        held.on_lost(self.mailbox, key)
        return key

    def forget(self, key: int) -> None:
        """Ends a watch."""
        self._bodies.pop(key, None)

    def _arrived(self) -> None:
        mailbox = self.mailbox
        keys = mailbox.drain()
        if not keys:
            if mailbox.flush():
                # By way of the loop, whose other callbacks have their turn.
                asyncio.get_running_loop().call_soon(self._arrived)
            return
        try:
            for key in keys:
                future = self._futures.pop(key, None)
                if future is not None:
                    if not future.done():
                        future.set_result(None)
                elif (body := self._bodies.pop(key, None)) is not None:
                    body.lost()
                elif (notice := self.take(key)) is not None:
                    self._ring(notice)
        finally:
            # After the tasks that were woken just now: what they ask for is sent together.
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        if self.mailbox.flush():
            self._arrived()

    def _ring(self, notice: Ringing) -> None:
        try:
            notice.ring()
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a callback of a lease failed", "exception": error}
            )


class Body:
    """The body of an ``async with``. On loss its task is cancelled, in the way of
    ``asyncio.timeout``: what the task is told is counted, so that a cancellation by somebody else
    is not mistaken for ours."""

    __slots__ = ("_cancelling", "_courier", "_fired", "_held", "_key", "_lease", "task")

    def __init__(self, lease: Tenure | None, held: Held | None) -> None:
        loop = asyncio.get_running_loop()
        self.task = asyncio.current_task(loop)
        self._lease = lease
        self._held = held
        self._fired = False
        self._courier = courier(loop)
        self._cancelling = 0
        self._key = -1
        if held is not None and self.task is not None:
            self._cancelling = self.task.cancelling()
            self._key = self._courier.watch(self, held)

    async def leave(self, kind: type[BaseException] | None, error: BaseException | None) -> None:
        """Gives the lease back; raises its loss if the body succeeded, or failed of nothing else
        than our cancellation."""
        # From here on a loss cancels nothing: the release is not to be cut off.
        self._courier.forget(self._key)
        ours = self._fired and self._uncancel()
        lease = self._lease
        if lease is None:
            return
        if kind is not None and issubclass(kind, GeneratorExit):
            # The coroutine is being closed: it may not await any more.
            lease._abandon()
            return
        call = lease._start_end(kind is None)
        try:
            if (result := call.poll()) is None:
                if (future := until(call)) is not None:
                    await future
                result = call.poll()
            if type(result) is not str:
                result = _calls.value(call, lease._held.name)
        except LockError:
            if kind is None:
                raise
            return
        except asyncio.CancelledError:
            # A wait for others ends here. A release goes on, and another finds it under way.
            call.cancel()
            lease._abandon()
            raise
        if result != "lost":
            return
        if kind is None or (ours and issubclass(kind, asyncio.CancelledError)):
            raise lease._loss() from error

    def lost(self) -> None:
        """The lease was lost while the body runs."""
        if self._held is not None and self.task is not None:
            reason = self._held.lost_reason()
            self._fired = self.task.cancel(f"the lease was lost: {reason}")

    def _uncancel(self) -> bool:
        """Takes our cancellation back; whether there was no other."""
        if self.task is None or self.task is not asyncio.current_task():
            return False
        return self.task.uncancel() <= self._cancelling


def leave(bodies: list[Body]) -> Body:
    """Takes the body that is being left: this task's last; or, since a test framework may leave in
    another task than it entered in, the last of all."""
    if len(bodies) == 1:
        return bodies.pop()
    task = asyncio.current_task()
    for index in reversed(range(len(bodies))):
        if bodies[index].task is task:
            return bodies.pop(index)
    if not bodies:
        raise RuntimeError("left a lock that was not entered")
    return bodies.pop()


def until(work: _Work) -> asyncio.Future[None] | None:
    """A future of the running loop that is finished when ``work`` is; ``None`` where it is done."""
    loop = asyncio.get_running_loop()
    return courier(loop).until(work, loop)


def courier(loop: asyncio.AbstractEventLoop) -> Courier:
    """The courier of ``loop``, which runs."""
    found = _couriers.get(id(loop))
    # An id is given again when a loop is gone.
    if found is None or found.loop() is not loop:
        with _lock:
            # A future that nobody finished refers to its loop: let go of those that are closed.
            for key, old in list(_couriers.items()):
                known = old.loop()
                if known is None or known.is_closed():
                    del _couriers[key]
            found = _couriers[id(loop)] = Courier(loop)
    return found


def notify(held: Held, callback: Callable[[str], object]) -> Notice:
    """Has ``callback`` called in the running loop when ``held`` is lost."""
    notice = Notice(held, callback)
    courier(asyncio.get_running_loop()).post(held, notice)
    return notice


_couriers: dict[int, Courier] = {}
_lock = threading.Lock()


def _forget() -> None:
    global _couriers, _lock
    _couriers = {}
    _lock = threading.Lock()


_process.after_fork_in_child(_forget)
