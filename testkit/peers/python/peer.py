"""`peer.py LIBRARY URL`: holds one lock at a time with a published library, as told on its input.

The protocol is in ../README.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Protocol

import redis


class Peer(Protocol):
    """What a library must be able to do. Times are in milliseconds; a ttl of 0 is none."""

    def acquire(self, name: str, ttl: int, wait: int, renewed: bool) -> bool:
        """Whether the lock is held now."""

    def release(self) -> bool:
        """Whether it was still ours, by the library's word."""

    def extend(self, ttl: int) -> bool:
        """Whether it was still ours, by the library's word."""


class RedisPy:
    """`redis.lock.Lock`."""

    package = "redis"

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.lock: Any = None

    def acquire(self, name: str, ttl: int, wait: int, renewed: bool) -> bool:
        refuse_renewal(renewed)
        # A blocking timeout below `sleep` would give up before its first try again.
        self.lock = self.client.lock(name, timeout=ttl / 1000 if ttl else None)
        return bool(self.lock.acquire(blocking=wait > 0, blocking_timeout=wait / 1000))

    def release(self) -> bool:
        return said(self.lock.release, redis.exceptions.LockNotOwnedError)

    def extend(self, ttl: int) -> bool:
        def extend() -> None:
            self.lock.extend(ttl / 1000, replace_ttl=True)

        return said(extend, redis.exceptions.LockNotOwnedError)


class PythonRedisLock:
    """`redis_lock.Lock`. It counts in whole seconds."""

    package = "python-redis-lock"

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.lock: Any = None

    def acquire(self, name: str, ttl: int, wait: int, renewed: bool) -> bool:
        import redis_lock

        expire = seconds(ttl)
        self.lock = redis_lock.Lock(self.client, name, expire=expire, auto_renewal=renewed)
        if not wait:
            return bool(self.lock.acquire(blocking=False))
        until = time.monotonic() + wait / 1000
        while True:
            # It refuses to wait for longer than its own expiry, unless it renews.
            left = max(1, round(until - time.monotonic()))
            if expire and not renewed:
                left = min(left, expire)
            if self.lock.acquire(timeout=left):
                return True
            if time.monotonic() >= until:
                return False

    def release(self) -> bool:
        import redis_lock

        return said(self.lock.release, redis_lock.NotAcquired)

    def extend(self, ttl: int) -> bool:
        import redis_lock

        return said(lambda: self.lock.extend(seconds(ttl)), redis_lock.NotAcquired)


class Pottery:
    """`pottery.Redlock` over one server."""

    package = "pottery"

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.lock: Any = None

    def acquire(self, name: str, ttl: int, wait: int, renewed: bool) -> bool:
        import pottery

        refuse_renewal(renewed)
        if not ttl:
            raise ValueError("every lock of pottery expires")
        self.lock = pottery.Redlock(key=name, masters={self.client}, auto_release_time=ttl / 1000)
        if wait:
            return bool(self.lock.acquire(timeout=wait / 1000))
        return bool(self.lock.acquire(blocking=False))

    def release(self) -> bool:
        import pottery

        return said(self.lock.release, pottery.ReleaseUnlockedLock)

    def extend(self, ttl: int) -> bool:
        import pottery

        self.lock.auto_release_time = ttl / 1000
        return said(self.lock.extend, pottery.ExtendUnlockedLock)


def seconds(ttl: int) -> int | None:
    if ttl % 1000:
        raise ValueError("python-redis-lock counts in whole seconds")
    return ttl // 1000 or None


def refuse_renewal(renewed: bool) -> None:
    if renewed:
        raise ValueError("the library has no renewal of its own")


def said(ask: Callable[[], object], not_ours: type[Exception]) -> bool:
    """Whether the library didn't raise that the lock is not ours."""
    try:
        ask()
    except not_ours:
        return False
    return True


def obey(peer: Peer, words: list[str]) -> str:
    match words:
        case ["acquire", name, ttl, wait, *rest] if rest in ([], ["renewed"]):
            return "held" if peer.acquire(name, int(ttl), int(wait), bool(rest)) else "busy"
        case ["release"]:
            return "released" if peer.release() else "not-held"
        case ["extend", ttl]:
            return "extended" if peer.extend(int(ttl)) else "not-held"
    raise ValueError(f"unknown: {words}")


def main() -> None:
    libraries = {"redis-py": RedisPy, "python-redis-lock": PythonRedisLock, "pottery": Pottery}
    library, url = sys.argv[1:]
    make = libraries[library]
    # Without its limit on the time that an answer takes, 5 s: python-redis-lock waits in BLPOP.
    client = redis.Redis.from_url(url, socket_timeout=None)
    client.ping()
    peer: Peer = make(client)
    print(f"ready {version(make.package)}", flush=True)
    for line in sys.stdin:
        try:
            answer = obey(peer, line.split())
        except Exception as error:  # whatever the library raises is its answer
            answer = f"error {type(error).__name__}: {error}".replace("\n", " ")
        print(answer, flush=True)


if __name__ == "__main__":
    main()
