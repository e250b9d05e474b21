"""Locks by name, of the stores and kinds that one configuration says."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar, cast

from leasehold import _calls, _native
from leasehold._ask import CONFIGURED, Configured, asking, request
from leasehold._convert import maybe_seconds, seconds, text, whole
from leasehold.audit import AuditSink, sink
from leasehold.client import depth, fence_or_none, lock_info, returned
from leasehold.errors import LockError, from_failure
from leasehold.kinds import RwLock, Semaphore
from leasehold.lock import Lock, TryLock
from leasehold.plain import Duration, HolderInfo, LockInfo, Owner, Returned, WaiterInfo
from leasehold.state import Health, Placed, Usage

_Made = TypeVar("_Made")
_List: TypeAlias = list


class Manager:
    """Locks by name. What a name is, in which store it lives and how it is taken, one configuration
    says for all parts of a program. Safe to share between threads and tasks; a store is opened with
    the first lock in it.

        manager = leasehold.Manager({
            "stores": {"main": {"url": "redis://localhost"}, "local": {"url": "sqlite:///a.db"}},
            "defaults": {"store": "main", "ttl": "30s"},
            "prefix": {"report:": {"store": "local", "wait": "5s"}},
            "name": {"workers": {"kind": "semaphore", "capacity": 10}},
            "permissions": {"evict": True},
        })
        with manager.lock("report:2031"), manager.semaphore("workers"):
            ...

    The same as TOML: ``Manager.from_file(path)``, ``Manager.from_toml(text)``. See docs/manager.md
    for all keys. Raises ``InvalidInput``, with the place, for what is no configuration.

    ``audit`` is told of each eviction and each request to give a lock back, also of one that was
    refused; ``deadlock_depth`` is as for ``connect``.
    """

    __slots__ = ("_auditor", "_native")

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        deadlock_depth: int | None = None,
        audit: AuditSink | None = None,
    ) -> None:
        if not isinstance(config, Mapping):
            raise TypeError(f"the configuration is {config!r}: a mapping is needed")
        self._open("json", json.dumps(config, default=_plain), deadlock_depth, audit)

    @classmethod
    def from_toml(
        cls, config: str, *, deadlock_depth: int | None = None, audit: AuditSink | None = None
    ) -> Manager:
        """A manager of what a TOML text says."""
        manager = cls.__new__(cls)
        manager._open("toml", text("the configuration", config), deadlock_depth, audit)
        return manager

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        deadlock_depth: int | None = None,
        audit: AuditSink | None = None,
    ) -> Manager:
        """A manager of what a TOML file says. Raises ``StoreFailed`` for one that can't be read."""
        manager = cls.__new__(cls)
        manager._open("file", text("the path", os.fspath(path)), deadlock_depth, audit)
        return manager

    def _open(
        self, form: str, config: str, deadlock_depth: int | None, audit: AuditSink | None
    ) -> None:
        file, self._auditor = sink(audit)
        trail = None if self._auditor is None else self._auditor.trail
        opened = _native.Manager.open(form, config, depth(deadlock_depth), file, trail)
        self._native = _made(opened)

    def lock(
        self,
        name: str,
        *,
        ttl: Duration | None = None,
        wait: Duration | None = None,
        owner: Owner | None = None,
        priority: int = 0,
        note: str = "",
    ) -> Lock:
        """Describes a lock, with the settings of its name; what is said here goes before them.
        Raises ``InvalidInput`` for a name that the configuration sends nowhere or says to be of
        another kind."""
        client = _client(self._describe(name, "exclusive"))
        wait_s = maybe_seconds("wait", wait)
        asked = request(name, _ttl(ttl), wait_s, False, True, None, owner, priority, note)
        return Lock(client, asked, name)

    def try_lock(
        self, name: str, *, ttl: Duration | None = None, owner: Owner | None = None, note: str = ""
    ) -> TryLock:
        """``lock``, taken only if it is free: taking it yields ``None`` otherwise."""
        client = _client(self._describe(name, "exclusive"))
        return TryLock(
            client, request(name, _ttl(ttl), None, True, True, None, owner, 0, note), name
        )

    def rwlock(
        self,
        name: str,
        *,
        ttl: Duration | None = None,
        wait: Duration | None = None,
        owner: Owner | None = None,
        priority: int = 0,
        note: str = "",
    ) -> RwLock:
        """Describes a read-write lock, with the settings of its name; see ``lock``."""
        client = _client(self._describe(name, "rwlock"))
        return RwLock(
            client, asking(name, _ttl(ttl), wait, True, None, owner, priority, note), name
        )

    def semaphore(
        self,
        name: str,
        *,
        ttl: Duration | None = None,
        wait: Duration | None = None,
        owner: Owner | None = None,
        priority: int = 0,
        note: str = "",
    ) -> Semaphore:
        """Describes a semaphore of the capacity that the configuration says, with the settings of
        its name; see ``lock``."""
        managed = self._describe(name, "semaphore")
        ask = asking(name, _ttl(ttl), wait, True, None, owner, priority, note)
        return Semaphore(_client(managed), ask, name, managed.capacity())

    def is_locked(self, name: str) -> bool:
        """Whether anybody holds the lock in any way, now. Take the lock rather than act on this."""
        return _calls.finish(self._native.is_locked(_name(name)), name)

    async def is_locked_async(self, name: str) -> bool:
        """``is_locked`` without blocking the event loop."""
        return await _calls.finish_async(self._native.is_locked(_name(name)), name)

    def holder(self, name: str) -> HolderInfo | None:
        """Who holds the lock: host, process, language, since when, with which note. Of several
        one."""
        return _holder(_calls.finish(self._native.holder(_name(name)), name))

    async def holder_async(self, name: str) -> HolderInfo | None:
        """``holder`` without blocking the event loop."""
        return _holder(await _calls.finish_async(self._native.holder(_name(name)), name))

    def inspect(self, name: str) -> LockInfo:
        """The lock, as people see it: who holds it and who waits, now."""
        return lock_info(_calls.finish(self._native.inspect(_name(name)), name))

    async def inspect_async(self, name: str) -> LockInfo:
        """``inspect`` without blocking the event loop."""
        return lock_info(await _calls.finish_async(self._native.inspect(_name(name)), name))

    def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = 100
    ) -> _List[Placed]:
        """Locks that are held or waited for and whose names start with ``prefix``, in order of
        name, of each store that the configuration may send such a name to: at most ``limit``, only
        those after ``after``. What a store has besides, under a name that belongs elsewhere, is
        left out."""
        return _placed(_calls.finish(self._list(prefix, after, limit)))

    async def list_async(
        self, prefix: str = "", *, after: str | None = None, limit: int = 100
    ) -> _List[Placed]:
        """``list`` without blocking the event loop."""
        return _placed(await _calls.finish_async(self._list(prefix, after, limit)))

    def ask_back(
        self, name: str, *, why: str, grace: Duration, fence: int | None = None
    ) -> Returned:
        """Asks whoever holds the lock to give it back, as ``client.ask_back`` does."""
        return returned(_calls.wait(self._ask_back(name, why, grace, fence), name))

    async def ask_back_async(
        self, name: str, *, why: str, grace: Duration, fence: int | None = None
    ) -> Returned:
        """``ask_back`` without blocking the event loop."""
        return returned(await _calls.wait_async(self._ask_back(name, why, grace, fence), name))

    def evict(self, name: str, *, why: str, fence: int | None = None) -> int | None:
        """Ends the tenures of a lock from outside, as ``client.evict`` does. Raises ``Unsupported``
        where the configuration does not permit it (``permissions.evict``)."""
        return _calls.finish(self._evict(name, why, fence), name) or None

    async def evict_async(self, name: str, *, why: str, fence: int | None = None) -> int | None:
        """``evict`` without blocking the event loop."""
        return await _calls.finish_async(self._evict(name, why, fence), name) or None

    def revoke(self, name: str, *, why: str, grace: Duration, fence: int | None = None) -> Returned:
        """Takes a lock away: asks for it back first, and ends those tenures that are not given back
        within the grace, one for each fence. Where the configuration doesn't permit the rest,
        raises ``Unsupported`` and asks nobody. Interrupted, it ends nothing any more."""
        return returned(_calls.wait(self._revoke(name, why, grace, fence), name))

    async def revoke_async(
        self, name: str, *, why: str, grace: Duration, fence: int | None = None
    ) -> Returned:
        """``revoke`` without blocking the event loop. Cancelled, it ends nothing any more."""
        return returned(await _calls.wait_async(self._revoke(name, why, grace, fence), name))

    def health(self) -> _List[Health]:
        """How each store is, in order of name, asked all at once: within the 5 seconds that a
        request may take, whatever they do. It raises nothing: what fails is in the answer."""
        return [_health(plain) for plain in _calls.finish(self._native.health())]

    async def health_async(self) -> _List[Health]:
        """``health`` without blocking the event loop."""
        return [_health(plain) for plain in await _calls.finish_async(self._native.health())]

    def usage(self, name: str) -> Usage | None:
        """How this process uses ``name`` through this manager; ``None`` where it doesn't now."""
        plain = self._native.usage(_name(name))
        return None if plain is None else Usage(*plain)

    def usages(self) -> _List[Usage]:
        """How this process uses each name that it uses, in order of name."""
        return [Usage(*plain) for plain in self._native.usages()]

    def shutdown(self, grace: Duration = 1.0) -> bool:
        """Ends the clients of all stores: holders are told, waiters refused, leases given back.
        Waits for that at most ``grace``; says whether it was enough."""
        return _calls.finish(self._native.shutdown(seconds("grace", grace)))

    async def shutdown_async(self, grace: Duration = 1.0) -> bool:
        """``shutdown`` without blocking the event loop."""
        return await _calls.finish_async(self._native.shutdown(seconds("grace", grace)))

    def _describe(self, name: str, kind: str) -> _native.Managed:
        return _made(self._native.describe(_name(name), kind), name)

    def _list(
        self, prefix: str, after: str | None, limit: int
    ) -> _native.Call[_List[tuple[str, _native._Lock]]]:
        text("prefix", prefix)
        if after is not None:
            text("after", after)
        return self._native.list(prefix, after, whole("limit", limit, 0, (1 << 32) - 1))

    def _evict(self, name: str, why: str, fence: int | None) -> _native.Call[int]:
        self._audited()
        return self._native.evict(_name(name), fence_or_none(fence), text("why", why))

    def _ask_back(
        self, name: str, why: str, grace: Duration, fence: int | None
    ) -> _native.Call[_native._Returned]:
        self._audited()
        grace_s = seconds("grace", grace)
        return self._native.ask_back(_name(name), text("why", why), grace_s, fence_or_none(fence))

    def _revoke(
        self, name: str, why: str, grace: Duration, fence: int | None
    ) -> _native.Call[_native._Returned]:
        self._audited()
        grace_s = seconds("grace", grace)
        return self._native.revoke(_name(name), text("why", why), grace_s, fence_or_none(fence))

    def _audited(self) -> None:
        if self._auditor is not None:
            self._auditor.listen()

    def __repr__(self) -> str:
        return f"<Manager of {len(self._native.usages())} names in use>"


def _name(name: str) -> str:
    return text("the lock name", name)


def _made(made: _Made | _native.Failure, name: str | None = None) -> _Made:
    if isinstance(made, _native.Failure):
        raise from_failure(made, name)
    return made


def _ttl(ttl: Duration | None) -> Duration | Configured:
    return CONFIGURED if ttl is None else ttl


def _client(managed: _native.Managed) -> _native.Client:
    """All that a lock needs of its client, what is managed has too."""
    return cast("_native.Client", managed)


def _plain(value: object) -> float:
    """What JSON lacks: spans are seconds."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"the configuration has {value!r}: {type(value).__name__} is no value in it")


def _holder(plain: _native._Holder | bool) -> HolderInfo | None:
    return None if isinstance(plain, bool) else HolderInfo(*plain[:3], WaiterInfo(*plain[3]))


def _placed(found: list[tuple[str, _native._Lock]]) -> list[Placed]:
    return [Placed(store, lock_info(plain)) for store, plain in found]


def _health(plain: _native._Health) -> Health:
    store, url, round_trip, failure, held, waiting = plain
    error: LockError | None = None if failure is None else from_failure(failure)
    return Health(store, url, round_trip, error, held, waiting)
