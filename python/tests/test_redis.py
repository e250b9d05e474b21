"""A real Redis on a network that fails: what Python code that holds a lock is told, and when.

The lock is kept by a thread that Python can't hold up. So a loop that is blocked or an interpreter
that is kept busy costs nobody the lock; and where it is lost at the same time, the first look says
so.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import leasehold
import pytest
import uvloop
from conftest import PATIENCE, Redis, eventually, queued
from leasehold import LockLost, LostReason, Release

Runner = Callable[[Coroutine[Any, Any, None]], None]

#: Short enough to be waited out.
TTL = 1.0
#: What a loaded machine may add.
SLACK = 2.0


@pytest.fixture
def client(redis: Redis) -> leasehold.Client:
    """On the network that fails."""
    return leasehold.connect(redis.url)


@pytest.fixture
def other(redis: Redis) -> leasehold.Client:
    """Another program, on a network that doesn't."""
    return leasehold.connect(redis.direct)


def keep_the_interpreter(seconds: float) -> None:
    """C code that doesn't let go of the interpreter's lock: no other thread runs Python."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def block_the_loop(seconds: float) -> None:
    """Code that should not run in an event loop."""
    time.sleep(seconds)


RUNNERS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])

# Each takes three lengths of a lease: not every pair.
BLOCKERS = pytest.mark.parametrize(
    ("run", "block"),
    [(asyncio.run, block_the_loop), (uvloop.run, keep_the_interpreter)],
    ids=["loop", "interpreter"],
)


def test_cut_off_while_holding(
    redis: Redis, client: leasehold.Client, other: leasehold.Client
) -> None:
    lease = client.lock("a", ttl=TTL).acquire()
    told: list[LostReason] = []
    lease.on_lost(told.append)
    granted: list[leasehold.Lease] = []

    def wait() -> None:
        granted.append(other.lock("a", wait=PATIENCE).acquire())
        # The one thing that must never be: at this moment both believe.
        assert not lease.is_held()

    rival = threading.Thread(target=wait)
    rival.start()
    queued(other, "a")
    redis.do("black-hole")
    left = lease.remaining
    cut = time.monotonic()
    assert left <= TTL
    assert lease.lost.wait(PATIENCE)
    assert time.monotonic() <= cut + left + SLACK
    assert not lease.is_held()
    assert lease.lost_reason is LostReason.STORE_UNREACHABLE
    eventually(lambda: bool(told), "the callback")
    assert told == [LostReason.STORE_UNREACHABLE]
    rival.join(PATIENCE)
    (theirs,) = granted
    assert theirs.fence > lease.fence
    redis.do("heal")
    assert lease.release() is Release.LOST
    assert theirs.is_held()
    assert theirs.release() is Release.RELEASED


def test_cut_off_in_a_scope(redis: Redis, client: leasehold.Client) -> None:
    with pytest.raises(LockLost) as caught:
        with client.lock("a", ttl=TTL) as lease:
            redis.do("unplug")
            assert lease.lost.wait(PATIENCE)
    assert caught.value.reason is LostReason.STORE_UNREACHABLE


@RUNNERS
def test_cut_off_in_an_async_scope(redis: Redis, client: leasehold.Client, run: Runner) -> None:
    async def main() -> None:
        with pytest.raises(LockLost) as caught:
            async with client.lock("a", ttl=TTL) as lease:
                redis.do("black-hole")
                left = lease.remaining
                cut = time.monotonic()
                await asyncio.sleep(PATIENCE)
        assert caught.value.reason is LostReason.STORE_UNREACHABLE
        # The release that follows waits for nothing: it was lost.
        assert time.monotonic() <= cut + left + SLACK

    run(main())


@RUNNERS
def test_what_a_blocked_loop_does_not_read_is_read(
    redis: Redis, client: leasehold.Client, other: leasehold.Client, run: Runner
) -> None:
    names = ["a", "b", "c"]
    seen: list[int | None] = []

    def look() -> None:
        # Time itself is what is waited for: then whatever was not renewed has expired.
        time.sleep(2 * TTL)
        for name in names:
            holder = other.inspect(name).holder
            seen.append(None if holder is None else holder.fence)

    async def main() -> None:
        # From here on the loop reads by itself.
        async with client.lock("warm", ttl=TTL):
            pass
        first = await other.lock("b").acquire_async()
        attempts = [client.lock(name, ttl=TTL).acquire_async() for name in names]
        tasks = [asyncio.ensure_future(attempt) for attempt in attempts]
        while (await other.inspect_async("b")).waiting != 1:
            pass
        tasks.append(asyncio.ensure_future(client.lock("d", ttl=TTL).acquire_async()))
        names.append("d")
        given_back = asyncio.ensure_future(first.release_async())
        await asyncio.sleep(0)
        thread = threading.Thread(target=look)
        thread.start()
        # The answers, and the push of a grant, lie in the socket.
        thread.join()
        assert await given_back is Release.RELEASED
        leases = await asyncio.gather(*tasks)
        # Else they expired before anyone knew of them, and were taken a second time.
        assert [lease.fence for lease in leases] == seen
        for lease in leases:
            assert await lease.release_async() is Release.RELEASED

    run(main())


@RUNNERS
def test_a_task_that_locks_again_and_again_leaves_the_others_their_turn(
    other: leasehold.Client, run: Runner
) -> None:
    turns = 0

    async def counts() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> None:
        counting = asyncio.ensure_future(counts())
        for _ in range(100):
            async with other.lock("again"):
                pass
        counting.cancel()

    run(main())
    # An answer that comes in a moment is waited for in place, but only a few times in a row.
    assert turns >= 2 * 100 // 8 - 1


def test_a_blocked_loop_keeps_no_thread_waiting(redis: Redis, client: leasehold.Client) -> None:
    def others() -> None:
        for _ in range(3):
            with client.lock("b", ttl=TTL, wait=PATIENCE):
                pass

    async def main() -> None:
        async with client.lock("warm", ttl=TTL):
            pass
        asked = asyncio.ensure_future(client.lock("a", ttl=TTL).acquire_async())
        await asyncio.sleep(0)
        thread = threading.Thread(target=others)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert await (await asked).release_async() is Release.RELEASED

    asyncio.run(main())


def test_a_loop_that_ended_leaves_the_connection_to_the_next(
    redis: Redis, client: leasehold.Client
) -> None:
    async def main() -> None:
        for _ in range(2):
            async with client.lock("a", ttl=TTL):
                pass

    for run in (asyncio.run, uvloop.run, asyncio.run):
        run(main())
        with client.lock("a", ttl=TTL):
            pass


@BLOCKERS
def test_a_blocked_loop_keeps_its_lock(
    redis: Redis,
    client: leasehold.Client,
    other: leasehold.Client,
    run: Runner,
    block: Callable[[float], None],
) -> None:
    async def main() -> None:
        async with client.lock("a", ttl=TTL) as lease:
            block(3 * TTL)
            assert lease.is_held(), lease.lost_reason
            holder = (await other.inspect_async("a")).holder
            assert holder is not None and holder.fence == lease.fence
            # Nothing that was put off meanwhile says otherwise.
            await asyncio.sleep(0.05)
            assert lease.is_held(), lease.lost_reason

    run(main())


@BLOCKERS
def test_a_blocked_loop_is_told_as_soon_as_it_runs(
    redis: Redis, client: leasehold.Client, run: Runner, block: Callable[[float], None]
) -> None:
    async def main() -> None:
        with pytest.raises(LockLost) as caught:
            async with client.lock("a", ttl=TTL) as lease:
                redis.do("black-hole")
                block(3 * TTL)
                assert not lease.is_held(), "the first look"
                free = time.monotonic()
                await asyncio.sleep(PATIENCE)
        assert time.monotonic() <= free + SLACK
        assert caught.value.reason is LostReason.STORE_UNREACHABLE

    run(main())


def test_a_thread_keeps_its_lock_though_another_keeps_the_interpreter(
    redis: Redis, client: leasehold.Client, other: leasehold.Client
) -> None:
    with client.lock("a", ttl=TTL) as lease:
        keeper = threading.Thread(target=keep_the_interpreter, args=(3 * TTL,))
        keeper.start()
        keeper.join()
        assert lease.is_held(), lease.lost_reason
        holder = other.inspect("a").holder
        assert holder is not None and holder.fence == lease.fence


def test_a_thread_is_told_though_another_keeps_the_interpreter(
    redis: Redis, client: leasehold.Client
) -> None:
    lease = client.lock("a", ttl=TTL).acquire()
    told: list[float] = []
    lease.on_lost(lambda _: told.append(time.monotonic()))
    redis.do("black-hole")
    keep_the_interpreter(3 * TTL)
    free = time.monotonic()
    assert not lease.is_held(), "the first look"
    assert lease.lost.wait(PATIENCE)
    eventually(lambda: bool(told), "the callback")
    assert told[0] <= free + SLACK


def test_a_stopped_server(redis: Redis, client: leasehold.Client) -> None:
    """For less than a lease it costs nothing; for longer, the holder is told all the same."""
    with client.lock("long", ttl=60) as long:
        lease = client.lock("short", ttl=TTL).acquire()
        redis.do("pause")
        assert lease.lost.wait(PATIENCE)
        assert lease.lost_reason is LostReason.STORE_UNREACHABLE
        redis.do("wake")
        assert long.is_held()
        assert lease.release() is Release.LOST
        with client.lock("short", wait=PATIENCE) as newer:
            assert newer.fence > lease.fence


def test_a_restarted_server(redis: Redis, client: leasehold.Client) -> None:
    """Without its data: the holder learns of it, and everybody goes on."""
    lease = client.lock("a", ttl=TTL).acquire()
    redis.do("restart")
    assert lease.lost.wait(PATIENCE)
    assert lease.lost_reason in (LostReason.EXPIRED, LostReason.SUPERSEDED)
    with client.lock("a", wait=PATIENCE) as newer:
        assert newer.fence > lease.fence


def test_an_unreachable_server_is_named(redis: Redis) -> None:
    redis.do("unplug")
    client = leasehold.connect(redis.url.replace("://", "://locks:c4n4ry@"))
    with pytest.raises(leasehold.StoreUnavailable) as caught:
        client.lock("a").acquire()
    assert "127.0.0.1" in str(caught.value)
    assert "c4n4ry" not in f"{caught.value} {caught.value!r} {client!r} {client.url}"
