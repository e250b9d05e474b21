"""Access to one store."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

from leasehold import _calls, _decorator, _native
from leasehold._ask import DEFAULT_TTL, asking, request
from leasehold._convert import maybe_seconds, seconds, text, whole
from leasehold.audit import AuditSink, sink
from leasehold.barrier import Barrier
from leasehold.election import Election
from leasehold.errors import InvalidInput, from_failure
from leasehold.kinds import RwLock, Semaphore
from leasehold.latch import Latch
from leasehold.lock import Lock, TryLock
from leasehold.multi import LockAll, TryEach, TryLockAll
from leasehold.plain import (
    Deadlocks,
    Duration,
    HolderInfo,
    LockInfo,
    Owner,
    Returned,
    ReturnState,
    WaiterInfo,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")

# The class below has a method of that name.
_List: TypeAlias = list
_Who: TypeAlias = tuple[str, int, str, float, str]
_Plain: TypeAlias = tuple[
    str, tuple[int, float, float, _Who] | None, _List[_Who], int
]  # as the native half has it


def connect(
    url: str | None = None,
    *,
    deadlock_depth: int | None = None,
    audit: AuditSink | None = None,
) -> Client:
    """A client of the store at ``url``: ``memory://`` (private to the client), ``memory://name``
    (shared in the process), ``sqlite:///path``, ``redis://[user:password@]host[:port][/database]``
    (``rediss`` for TLS).

    Without a URL: ``LEASEHOLD_URL`` if it is set and not empty, else the file
    ``~/.local/state/leasehold/locks.db`` of the effective user: the locks of this user on this
    host.

    - ``deadlock_depth``: how many owners the search for deadlocks follows from one that waits to
      the next, 1 to 10,000 (64). A longer circle is not found by this client's waits. Clients that
      wait for each other should have the same.
    - ``audit``: who is told of each eviction and each request to give a lock back, first that it is
      about to be done and then what came of it. A path: a line of JSON each is appended to that
      file, and what can't be written is not done. Or a function, which is called with each
      ``AuditEvent`` in a thread of ours, soon.

    Nothing is opened before the first request; ``ping()`` proves the store. Raises ``InvalidInput``
    for what is no URL of a store and ``Unsupported`` for a store that this version lacks.
    """
    client = Client(url, deadlock_depth=deadlock_depth, audit=audit)
    if url is None and not os.environ.get("LEASEHOLD_URL"):
        _say_scope(client.url)
    return client


_scopes_said: set[str] = set()


def _say_scope(url: str) -> None:
    """Once per process: who takes the default for more than it is should find this in the log."""
    if url not in _scopes_said:
        _scopes_said.add(url)
        logging.getLogger("leasehold").info(
            "default store %s: locks of this user on this host", url
        )


class Client:
    """Access to one store; see ``connect``. Cheap, and safe to share between threads and tasks.
    After a fork the child's first use opens a connection of its own."""

    __slots__ = ("_auditor", "_native")

    def __init__(
        self,
        url: str | None = None,
        *,
        deadlock_depth: int | None = None,
        audit: AuditSink | None = None,
    ) -> None:
        if url is not None:
            text("the store URL", url)
        file, self._auditor = sink(audit)
        trail = None if self._auditor is None else self._auditor.trail
        client = _native.Client.connect(url, depth(deadlock_depth), file, trail)
        if isinstance(client, _native.Failure):
            raise from_failure(client)
        self._native = client

    @property
    def url(self) -> str:
        """Where the locks live, without secrets."""
        return self._native.url

    def lock(
        self,
        name: str,
        *,
        ttl: Duration = DEFAULT_TTL,
        wait: Duration | None = None,
        renew: bool = True,
        max_hold: Duration | None = None,
        owner: Owner | None = None,
        priority: int = 0,
        note: str = "",
        order: Literal["fifo", "throughput"] = "fifo",
        deadlock_priority: int | None = None,
    ) -> Lock:
        """Describes a lock; nothing is asked of the store until it is taken.

        - ``name``: any Unicode text of 1 to 1,024 bytes of UTF-8, taken as it is.
        - ``ttl``: how long the lease lasts without a renewal; 10 ms to 365 days. It is what a
          crashed holder costs the others.
        - ``wait``: how long to wait; ``None`` for ever, 0 not at all.
        - ``renew``: false for a fixed term, which ends after its ttl whatever happens.
        - ``max_hold``: the longest tenure, however often renewed; ``lease.touch()`` counts anew.
        - ``owner``: an identity for re-entry and deadlock detection, from ``client.owner()``.
        - ``priority``: larger goes first in the queue.
        - ``deadlock_priority``: of the waits in a deadlock that with the smallest ends; ``None``:
          as the ``priority``.
        - ``note``: free text for people who look at the lock, at most 256 bytes.
        - ``order``: ``"throughput"`` for a lock that many tasks or threads of this process contend
          for: it goes from one to the next with no step of the store in between, to at most 512 of
          them and for at most 50 ms, then to whoever waits elsewhere. Each has a lease and a fence
          of its own. Without an owner, and for locks that are taken alone.
        """
        wait_s = maybe_seconds("wait", wait)
        asked = request(
            name,
            ttl,
            wait_s,
            False,
            renew,
            max_hold,
            owner,
            priority,
            note,
            order=order,
            deadlock_priority=deadlock_priority,
        )
        return Lock(self._native, asked, name)

    def try_lock(
        self,
        name: str,
        *,
        ttl: Duration = DEFAULT_TTL,
        renew: bool = True,
        max_hold: Duration | None = None,
        owner: Owner | None = None,
        note: str = "",
    ) -> TryLock:
        """Describes a lock that is taken only if it is free: taking it yields ``None`` otherwise.
        The options are those of ``lock``."""
        asked = request(name, ttl, None, True, renew, max_hold, owner, 0, note)
        return TryLock(self._native, asked, name)

    def rwlock(
        self,
        name: str,
        *,
        ttl: Duration = DEFAULT_TTL,
        wait: Duration | None = None,
        renew: bool = True,
        max_hold: Duration | None = None,
        owner: Owner | None = None,
        priority: int = 0,
        note: str = "",
        deadlock_priority: int | None = None,
    ) -> RwLock:
        """Describes a lock that many may hold to read, or one to write:
        ``with client.rwlock("prices").read() as lease``. The options are those of ``lock``."""
        ask = asking(name, ttl, wait, renew, max_hold, owner, priority, note, deadlock_priority)
        return RwLock(self._native, ask, text("the lock name", name))

    def semaphore(
        self,
        name: str,
        capacity: int,
        *,
        ttl: Duration = DEFAULT_TTL,
        wait: Duration | None = None,
        renew: bool = True,
        max_hold: Duration | None = None,
        owner: Owner | None = None,
        priority: int = 0,
        note: str = "",
        deadlock_priority: int | None = None,
    ) -> Semaphore:
        """Describes ``capacity`` permits: ``with client.semaphore("slots", 10)`` takes one of them,
        ``with client.semaphore("slots", 10).permits(3)`` three. The options are those of ``lock``.
        """
        ask = asking(name, ttl, wait, renew, max_hold, owner, priority, note, deadlock_priority)
        return Semaphore(self._native, ask, name, capacity)

    def lock_all(self, locks: Iterable[str | Lock], *, wait: Duration | None = None) -> LockAll:
        """Describes several locks of this client to be taken all or none:
        ``with client.lock_all(["a", "b"]) as leases``. Each is a name or what ``lock``,
        ``rwlock(…).read()`` or ``semaphore(…)`` describes, with options of its own; ``wait`` is for
        all of them, and what they say of it does not count. At most 1,000, each name once."""
        return LockAll(self._native, self._checked(locks), maybe_seconds("wait", wait))

    def try_lock_all(self, locks: Iterable[str | Lock]) -> TryLockAll:
        """``lock_all``, taken only if all are free: taking them yields ``None`` otherwise."""
        return TryLockAll(self._native, self._checked(locks))

    def try_each(self, locks: Iterable[str | Lock]) -> TryEach:
        """Describes several locks of this client to be tried each alone, in one request:
        ``with client.try_each(["a", "b"]) as each`` takes those that are free, waits for none, and
        says of each what it came to. The list is as that of ``lock_all``."""
        return TryEach(self._native, self._checked(locks))

    def election(self, name: str) -> Election:
        """Describes an election: one leader at a time, and all may know who it is. Nothing is asked
        of the store until someone campaigns or looks."""
        return Election(self._native, text("the election's name", name))

    def latch(self, name: str, count: int, *, keep: Duration | None = None) -> Latch:
        """Describes a latch that opens once it was counted down by ``count``, and is then kept for
        ``keep``: at least a minute, ``None`` for an hour. Who counts down several times should keep
        the object: the latch remembers each."""
        return Latch(self._native, text("the latch's name", name), count, keep)

    def barrier(
        self,
        name: str,
        parties: int,
        *,
        ttl: Duration = DEFAULT_TTL,
        wait: Duration | None = None,
        note: str = "",
    ) -> Barrier:
        """Describes a double barrier for so many parties: none goes into the ``with`` before all
        have come, and none out before all leave. ``ttl`` is how long a member counts as there
        without a sign of life, ``wait`` how long to wait for the others, on the way in and once
        more on the way out; ``note`` is for people who look at it."""
        wait_s = maybe_seconds("wait", wait)
        asked = request(name, ttl, wait_s, False, True, None, None, 0, note)
        return Barrier(self._native, asked, name, parties, wait_s)

    def locked(
        self,
        name: str | Callable[..., str],
        *,
        ttl: Duration = DEFAULT_TTL,
        wait: Duration | None = None,
        renew: bool = True,
        max_hold: Duration | None = None,
        owner: Owner | None = None,
        priority: int = 0,
        note: str = "",
        order: Literal["fifo", "throughput"] = "fifo",
        deadlock_priority: int | None = None,
    ) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
        """A decorator for ``def`` and ``async def``: each call runs under the lock. ``name`` may
        be a function of the call's arguments. The options are those of ``lock``."""

        def lock_for(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Lock:
            return self.lock(
                name(*args, **kwargs) if callable(name) else name,
                ttl=ttl,
                wait=wait,
                renew=renew,
                max_hold=max_hold,
                owner=owner,
                priority=priority,
                note=note,
                order=order,
                deadlock_priority=deadlock_priority,
            )

        if not callable(name):
            # What is wrong with the options is said where they stand.
            lock_for((), {})

        def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
            return _decorator.under(function, lock_for)

        return decorate

    def owner(self) -> Owner:
        """A fresh identity for the locks of one unit of work. Asks nothing of the store."""
        number = self._native.owner()
        if isinstance(number, _native.Failure):
            raise from_failure(number)
        return Owner(number)

    def ping(self) -> None:
        """Proves that the store answers."""
        _calls.finish(self._native.ping())

    async def ping_async(self) -> None:
        """``ping`` without blocking the event loop."""
        await _calls.finish_async(self._native.ping())

    def inspect(self, name: str) -> LockInfo:
        """One lock, as people see it: who holds it and who waits, now."""
        return lock_info(_calls.finish(self._native.inspect(text("the lock name", name)), name))

    async def inspect_async(self, name: str) -> LockInfo:
        """``inspect`` without blocking the event loop."""
        call = self._native.inspect(text("the lock name", name))
        return lock_info(await _calls.finish_async(call, name))

    def is_locked(self, name: str) -> bool:
        """Whether anybody holds the lock, now. Take the lock rather than act on this."""
        return self.inspect(name).holder is not None

    async def is_locked_async(self, name: str) -> bool:
        """``is_locked`` without blocking the event loop."""
        return (await self.inspect_async(name)).holder is not None

    def evict(self, name: str, *, why: str, fence: int | None = None) -> int | None:
        """Ends the tenures of a lock from outside, or only that which has this ``fence``. Yields
        the fence of the first that was ended, or ``None`` where nobody held it so. A holder is told
        (``revoked``) at its next renewal; until then only the fence keeps it from harm;
        ``ask_back`` asks it first. ``why`` is for the log and the audit."""
        return _calls.finish(self._evict(name, why, fence), name) or None

    async def evict_async(self, name: str, *, why: str, fence: int | None = None) -> int | None:
        """``evict`` without blocking the event loop."""
        return await _calls.finish_async(self._evict(name, why, fence), name) or None

    def ask_back(
        self, name: str, *, why: str, grace: Duration, fence: int | None = None
    ) -> Returned:
        """Asks whoever holds a lock, or only who holds it with this ``fence``, to give it back, and
        waits at most ``grace`` until it is given back. The holder is told ``why`` where it listens
        (``lease.asked_back()``, ``lease.on_asked_back``) and may hold on; then ``evict`` is what is
        left. Of many holders the first 100 are asked.

        Whoever wants the lock should wait for it meanwhile: the release hands it over. Interrupted,
        the request stands until its grace is over."""
        return returned(_calls.wait(self._ask_back(name, why, grace, fence), name))

    async def ask_back_async(
        self, name: str, *, why: str, grace: Duration, fence: int | None = None
    ) -> Returned:
        """``ask_back`` without blocking the event loop."""
        return returned(await _calls.wait_async(self._ask_back(name, why, grace, fence), name))

    def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = 100
    ) -> _List[LockInfo]:
        """Locks that are held or waited for and whose names start with ``prefix``, in order of
        name: at most ``limit``, only those after ``after`` (the last of the previous page)."""
        found = _calls.finish(self._list(prefix, after, limit))
        return [lock_info(plain) for plain in found]

    async def list_async(
        self, prefix: str = "", *, after: str | None = None, limit: int = 100
    ) -> _List[LockInfo]:
        """``list`` without blocking the event loop."""
        found = await _calls.finish_async(self._list(prefix, after, limit))
        return [lock_info(plain) for plain in found]

    def deadlocks(self) -> Deadlocks:
        """What the searches for deadlocks came to so far, of the waits of this client in this
        process. Asks nothing of the store."""
        counts = self._native.deadlocks()
        if isinstance(counts, _native.Failure):
            raise from_failure(counts)
        return Deadlocks(*counts)

    def shutdown(self, grace: Duration = 1.0) -> bool:
        """Ends this client: its holders are told, its waiters refused, its leases given back.
        Waits for that at most ``grace``; says whether it was enough."""
        return _calls.finish(self._native.shutdown(seconds("grace", grace)))

    async def shutdown_async(self, grace: Duration = 1.0) -> bool:
        """``shutdown`` without blocking the event loop."""
        return await _calls.finish_async(self._native.shutdown(seconds("grace", grace)))

    def _checked(self, locks: Iterable[str | Lock]) -> _List[Lock]:
        if isinstance(locks, str):
            raise TypeError(f"locks is {locks!r}: a list of names or locks is needed")
        asked = [self.lock(item) if isinstance(item, str) else item for item in locks]
        for item in asked:
            if not isinstance(item, Lock):
                raise TypeError(f"locks has {item!r}: names and locks can be taken together")
            if item._client is not self._native:
                raise InvalidInput(f"lock {item.name!r} is of another client")
        return asked

    def _evict(self, name: str, why: str, fence: int | None) -> _native.Call[int]:
        self._audited()
        asked = text("the lock name", name)
        return self._native.evict(asked, fence_or_none(fence), text("why", why))

    def _ask_back(
        self, name: str, why: str, grace: Duration, fence: int | None
    ) -> _native.Call[_native._Returned]:
        self._audited()
        asked, grace_s = text("the lock name", name), seconds("grace", grace)
        return self._native.ask_back(asked, text("why", why), grace_s, fence_or_none(fence))

    def _audited(self) -> None:
        if self._auditor is not None:
            self._auditor.listen()

    def _list(self, prefix: str, after: str | None, limit: int) -> _native.Call[_List[_Plain]]:
        text("prefix", prefix)
        if after is not None:
            text("after", after)
        return self._native.list(prefix, after, whole("limit", limit, 0, (1 << 32) - 1))

    def __repr__(self) -> str:
        return f"<Client of {self.url}>"


def depth(value: int | None) -> int | None:
    """How many owners a search follows, if that is said."""
    return None if value is None else whole("deadlock_depth", value, 0, (1 << 32) - 1)


def fence_or_none(value: int | None) -> int | None:
    """A fence, if one is said."""
    return None if value is None else whole("fence", value, 0, (1 << 53) - 1)


def returned(plain: _native._Returned) -> Returned:
    """What a request to give a lock back came to."""
    state, fence, holder, others = plain
    who = None if holder is None else WaiterInfo(*holder)
    return Returned(ReturnState(state), fence, who, tuple(others))


def lock_info(plain: _Plain) -> LockInfo:
    """One lock, as people see it."""
    name, holder, queue, waiting = plain
    return LockInfo(
        name=name,
        holder=None if holder is None else HolderInfo(*holder[:3], WaiterInfo(*holder[3])),
        queue=tuple(WaiterInfo(*who) for who in queue),
        waiting=waiting,
    )
