"""Uncontended pairs from Python, in interleaved rounds: FOLDER ROUNDS SECONDS.

Writes a JSON list to standard output: a store, and for each contestant the microseconds per pair of
each round. `bench` starts it; the first contestant of each store is the limit.
"""

import asyncio
import contextlib
import json
import sqlite3
import sys
import threading
import time
from collections.abc import Awaitable, Callable

import leasehold

STRIDE = 32


def timed(pair: Callable[[], None], seconds: float) -> float:
    """Microseconds per call of `pair`, over about `seconds`."""
    done, begun = 0, time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        for _ in range(STRIDE):
            pair()
        done += STRIDE
    return took / done * 1e6


async def timed_async(pair: Callable[[], Awaitable[None]], seconds: float) -> float:
    """The same for a coroutine function, on the running loop."""
    done, begun = 0, time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        for _ in range(STRIDE):
            await pair()
        done += STRIDE
    return took / done * 1e6


def with_client(client: "leasehold.Client") -> Callable[[], None]:
    """A pair by `with`."""

    def pair() -> None:
        with client.lock("bench"):
            pass

    return pair


def async_with_client(client: "leasehold.Client") -> Callable[[], Awaitable[None]]:
    """A pair by `async with`."""

    async def pair() -> None:
        async with client.lock("bench"):
            pass

    return pair


def threading_pair() -> Callable[[], None]:
    """A pair on the standard library's lock."""
    lock = threading.Lock()

    def pair() -> None:
        with lock:
            pass

    return pair


def asyncio_pair() -> Callable[[], Awaitable[None]]:
    """A pair on asyncio's lock."""
    lock = asyncio.Lock()

    async def pair() -> None:
        async with lock:
            pass

    return pair


def raw_pair(path: str, stack: contextlib.ExitStack) -> Callable[[], None]:
    """Two transactions by the sqlite3 module, one row each."""
    raw = sqlite3.connect(path, isolation_level=None)
    stack.callback(raw.close)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = NORMAL")
    raw.execute("CREATE TABLE lock (name TEXT PRIMARY KEY, token BLOB, fence INT) WITHOUT ROWID")
    token = bytes(16)

    def pair() -> None:
        raw.execute("BEGIN IMMEDIATE")
        raw.execute("REPLACE INTO lock VALUES ('bench', ?, 1)", (token,))
        raw.execute("COMMIT")
        raw.execute("BEGIN IMMEDIATE")
        raw.execute("DELETE FROM lock WHERE name = 'bench'")
        raw.execute("COMMIT")

    return pair


Measurement = Callable[[float], float]


def sync(pair: Callable[[], None]) -> Measurement:
    """Measures `pair` in this thread."""
    return lambda seconds: timed(pair, seconds)


def main(folder: str, rounds: int, seconds: float) -> list[dict[str, object]]:
    """Measures all contestants."""
    with contextlib.ExitStack() as stack:
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)

        def on_loop(make: Callable[[], Callable[[], Awaitable[None]]]) -> Measurement:
            pair = make()
            return lambda seconds: loop.run_until_complete(timed_async(pair, seconds))

        memory = leasehold.connect("memory://")
        sqlite = leasehold.connect(f"sqlite://{folder}/python.db")
        parts: dict[str, list[tuple[str, Measurement]]] = {
            "memory": [
                ("threading.Lock", sync(threading_pair())),
                ("asyncio.Lock", on_loop(asyncio_pair)),
                ("leasehold, with", sync(with_client(memory))),
                ("leasehold, async with", on_loop(lambda: async_with_client(memory))),
            ],
            "sqlite": [
                ("sqlite3: 2 transactions", sync(raw_pair(f"{folder}/python-raw.db", stack))),
                ("leasehold, with", sync(with_client(sqlite))),
                ("leasehold, async with", on_loop(lambda: async_with_client(sqlite))),
            ],
        }
        values: dict[str, list[list[float]]] = {
            store: [[] for _ in contestants] for store, contestants in parts.items()
        }
        for _ in range(rounds):
            for store, contestants in parts.items():
                for row, (_, measure) in zip(values[store], contestants, strict=True):
                    row.append(measure(seconds))
        return [
            {
                "store": store,
                "rows": [
                    [name, row]
                    for (name, _), row in zip(contestants, values[store], strict=True)
                ],
            }
            for store, contestants in parts.items()
        ]


if __name__ == "__main__":
    where, how_often, how_long = sys.argv[1:4]
    print(json.dumps(main(where, int(how_often), float(how_long))))
