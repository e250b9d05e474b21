"""A worker of the bench in Python: URL. Orders on standard input, answers on standard output.

The same protocol as the worker in Rust (src/redis/order.rs), a line of JSON each way. Blocking
locks run in a thread for each task, the others on one event loop. A peer's lock object is made once
and used again, which is its fastest way; leasehold's is made for each use, as its documentation
does.
"""

import asyncio
import itertools
import json
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

TTL = 30
LOCK = "bench:contended"
Answer = dict[str, Any]
# A contender's two halves.
Halves = tuple[Callable[[], Any], Callable[[], Any]]
AsyncHalves = tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[Any]]]


def say(answer: Answer | str) -> None:
    """Writes a line that the bench reads."""
    sys.stdout.write(f"answer {json.dumps(answer)}\n")
    sys.stdout.flush()


class Lost(Exception):
    """A lock was not granted, or was not there to give back."""


def sure(granted: object) -> None:
    """A lock that answers no has spoilt the measurement."""
    if not granted:
        raise Lost("a lock said no")


class Blocking:
    """A lock whose calls block; `make` gives a contender's halves."""

    def __init__(self, make: Callable[[str], Halves]) -> None:
        self.make = make

    def run(self, names: list[str], body: Callable[[int, Halves, int], None]) -> "Meter":
        """Runs `body` for each name, in a thread of its own where there are several."""
        all_halves = [self.make(name) for name in names]
        if names[0] != LOCK:
            for take, give in all_halves:
                # The first pair loads scripts and opens connections.
                take()
                give()
        failures: list[BaseException] = []

        def guarded(index: int, until: int) -> None:
            try:
                body(index, all_halves[index], until)
            except BaseException as failure:
                failures.append(failure)

        meter = Meter()
        if len(names) == 1:
            guarded(0, meter.until)
        else:
            threads = [
                threading.Thread(target=guarded, args=(index, meter.until))
                for index in range(len(names))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]
        meter.stop()
        return meter

    def pairs(self, tasks: int) -> Answer:
        """Pairs without contention."""
        counts = [0] * tasks

        def body(index: int, halves: Halves, until: int) -> None:
            take, give = halves
            done = 0
            while time.monotonic_ns() < until:
                take()
                give()
                done += 1
            counts[index] = done

        return self.run([f"bench:pair:{index}" for index in range(tasks)], body).did(sum(counts))

    def contend(self, order: Answer) -> Answer:
        """Contenders on one lock."""
        turns: list[list[int]] = [[] for _ in range(order["contenders"])]
        hold = order["hold"] / 1e6

        def body(index: int, halves: Halves, until: int) -> None:
            (take, give), mine = halves, turns[index]
            who = order["first"] + index
            while (asked := time.monotonic_ns()) < until:
                take()
                granted = time.monotonic_ns()
                if hold:
                    time.sleep(hold)
                mine += (who, asked, granted, time.monotonic_ns())
                give()

        return self.run([LOCK] * len(turns), body).did(leave(order, turns))


class Awaited:
    """A lock whose calls are awaited."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make: Callable[[str], AsyncHalves]) -> None:
        self.loop, self.make = loop, make

    def pairs(self, tasks: int) -> Answer:
        """Pairs without contention."""

        async def one(halves: AsyncHalves, until: int) -> int:
            take, give = halves
            done = 0
            while time.monotonic_ns() < until:
                await take()
                await give()
                done += 1
            return done

        async def everyone() -> Answer:
            all_halves = [self.make(f"bench:pair:{index}") for index in range(tasks)]
            await asyncio.gather(*(warm_up(halves) for halves in all_halves))
            meter = Meter()
            counts = await asyncio.gather(*(one(halves, meter.until) for halves in all_halves))
            meter.stop()
            return meter.did(sum(counts))

        return self.loop.run_until_complete(everyone())

    def contend(self, order: Answer) -> Answer:
        """Contenders on one lock."""
        turns: list[list[int]] = [[] for _ in range(order["contenders"])]
        hold = order["hold"] / 1e6

        async def one(who: int, mine: list[int], halves: AsyncHalves, until: int) -> None:
            take, give = halves
            while (asked := time.monotonic_ns()) < until:
                await take()
                granted = time.monotonic_ns()
                if hold:
                    await asyncio.sleep(hold)
                mine += (who, asked, granted, time.monotonic_ns())
                await give()

        async def everyone() -> Meter:
            contenders = [
                (who, mine, self.make(LOCK)) for who, mine in enumerate(turns, order["first"])
            ]
            meter = Meter()
            await asyncio.gather(*(one(*contender, meter.until) for contender in contenders))
            meter.stop()
            return meter

        return self.loop.run_until_complete(everyone()).did(leave(order, turns))


async def warm_up(halves: AsyncHalves) -> None:
    """The first pair loads scripts and opens connections."""
    take, give = halves
    await take()
    await give()


class Meter:
    """Says that all is made, waits for the word, and measures from there. Nothing else runs on a
    loop meanwhile: that is meant."""

    def __init__(self) -> None:
        say("ready")
        order = json.loads(sys.stdin.readline())
        if order["order"] != "go":
            raise Lost(f"told {order} instead of to go")
        self.until: int = order["until"]
        self.begun, self.used = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """The end of what is measured."""
        self.seconds, self.cpu = time.perf_counter() - self.begun, time.process_time() - self.used

    def did(self, count: int) -> Answer:
        """The figures of `count` pairs or tenures."""
        return {"count": count, "seconds": self.seconds, "cpu": self.cpu}


def leave(order: Answer, turns: list[list[int]]) -> int:
    """Leaves all turns where the bench collects them; how many there are."""
    numbers = [number for mine in turns for number in mine]
    with open(order["file"], "wb") as file:
        file.write(struct.pack(f"<{len(numbers)}Q", *numbers))
    return len(numbers) // 4


def redis_py(url: str) -> Blocking:
    """redis-py's Lock on one client, which keeps a connection for each thread."""
    import redis

    client = redis.Redis.from_url(url)

    def make(name: str) -> Halves:
        lock = client.lock(name, timeout=TTL)
        return lambda: sure(lock.acquire()), lock.release

    return Blocking(make)


def redis_py_asyncio(url: str, loop: asyncio.AbstractEventLoop) -> Awaited:
    """The same on asyncio."""
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(url)

    def make(name: str) -> AsyncHalves:
        lock = client.lock(name, timeout=TTL)

        async def take() -> None:
            sure(await lock.acquire())

        return take, lock.release

    return Awaited(loop, make)


def python_redis_lock(url: str) -> Blocking:
    """python-redis-lock, which waits in BLPOP."""
    import redis
    import redis_lock

    client = redis.StrictRedis.from_url(url)

    def make(name: str) -> Halves:
        lock = redis_lock.Lock(client, name, expire=TTL)
        return lambda: sure(lock.acquire()), lock.release

    return Blocking(make)


def pottery(url: str) -> Blocking:
    """pottery's Redlock on one server."""
    import pottery
    import redis

    client = redis.Redis.from_url(url)

    def make(name: str) -> Halves:
        lock = pottery.Redlock(key=name, masters={client}, auto_release_time=TTL)
        return lambda: sure(lock.acquire()), lock.release

    return Blocking(make)


def leasehold_sync(url: str) -> Blocking:
    """leasehold, blocking."""
    import leasehold

    client = leasehold.connect(url)

    def make(name: str) -> Halves:
        held: list[Any] = []
        return (
            lambda: held.append(client.lock(name, ttl=TTL).acquire()),
            lambda: held.pop().release(),
        )

    return Blocking(make)


def leasehold_asyncio(url: str, loop: asyncio.AbstractEventLoop) -> Awaited:
    """leasehold, awaited."""
    import leasehold

    client = leasehold.connect(url)

    def make(name: str) -> AsyncHalves:
        held: list[Any] = []

        async def take() -> None:
            lock = client.lock(name, ttl=TTL)
            await lock.__aenter__()
            held.append(lock)

        async def give() -> None:
            await held.pop().__aexit__(None, None, None)

        return take, give

    return Awaited(loop, make)


def main(url: str) -> None:
    """Answers orders until there are no more."""
    loop = asyncio.new_event_loop()
    makers: dict[str, Callable[[], Blocking | Awaited]] = {
        "redis-py": lambda: redis_py(url),
        "redis-py asyncio": lambda: redis_py_asyncio(url, loop),
        "python-redis-lock": lambda: python_redis_lock(url),
        "pottery": lambda: pottery(url),
        "leasehold sync": lambda: leasehold_sync(url),
        "leasehold asyncio": lambda: leasehold_asyncio(url, loop),
    }
    rivals: dict[str, Blocking | Awaited] = {}
    absent: list[tuple[str, str]] = []
    for name, maker in makers.items():
        try:
            rivals[name] = maker()
        except Exception as why:
            absent.append((name, f"{type(why).__name__}: {why}"))
    say({"here": {"rivals": list(rivals), "absent": absent}})
    for line in sys.stdin:
        order = json.loads(line)
        try:
            rival = rivals[order["rival"]]
            pairs = order["order"] == "pairs"
            say({"did": rival.pairs(order["tasks"]) if pairs else rival.contend(order)})
        except Exception as why:
            say({"failed": f"{type(why).__name__}: {why}"})


if __name__ == "__main__":
    main(*itertools.islice(sys.argv, 1, 2))
