"""An attempt that is given up at any point leaves neither a held lock nor a place in the queue.

The ttl of every lock here is far longer than the tests wait: what is free at the end was given
back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import leasehold
import pytest
import uvloop
from conftest import collected, eventually, nothing_left
from leasehold.lock import Takeable
from test_interrupt import KINDS

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    """Runs a coroutine on each kind of loop."""
    return asyncio.run if request.param == "asyncio" else uvloop.run


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def scoped(lock: Takeable[Any]) -> None:
    async with lock:
        await asyncio.sleep(0)


async def unscoped(lock: Takeable[Any]) -> None:
    lease = await lock.acquire_async()
    await asyncio.sleep(0)
    await lease.release_async()


Taker = Callable[[Takeable[Any]], Coroutine[Any, Any, None]]
both = pytest.mark.parametrize("take", [scoped, unscoped])


@both
@pytest.mark.parametrize("kind", KINDS)
def test_cancelled_after_n_turns_free(
    client: leasehold.Client, run: Runner, take: Taker, kind: str
) -> None:
    async def main() -> None:
        for count in range(8):
            task = asyncio.create_task(take(KINDS[kind](client)))
            await turns(count)
            task.cancel()
            await asyncio.wait([task])
            del task
            collected()
            nothing_left(client, "a")

    run(main())


@both
def test_cancelled_after_n_turns_contended(
    client: leasehold.Client, run: Runner, take: Taker
) -> None:
    async def main() -> None:
        async with client.lock("a"):
            for count in range(6):
                task = asyncio.create_task(take(client.lock("a")))
                await turns(count)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            eventually(lambda: client.inspect("a").waiting == 0, "an empty queue")
        nothing_left(client, "a")

    run(main())


@both
def test_cancelled_after_the_grant_before_its_delivery(
    client: leasehold.Client, run: Runner, take: Taker
) -> None:
    """The lock is granted, the loop has not run since, and then the task is cancelled: nobody ever
    sees the lease."""

    async def main() -> None:
        lease = client.lock("a")
        async with lease as held:
            task = asyncio.create_task(take(client.lock("a")))
            while client.inspect("a").waiting == 0:
                await asyncio.sleep(0)
            fence = held.fence
        # Polled without a turn of the loop, so that the task can't run.
        eventually(lambda: _holder(client) not in (None, fence), "the waiter's grant")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        nothing_left(client, "a")

    def _holder(client: leasehold.Client) -> int | None:
        holder = client.inspect("a").holder
        return None if holder is None else holder.fence

    run(main())


@both
def test_closed_at_every_await_free_and_contended(
    client: leasehold.Client, run: Runner, take: Taker
) -> None:
    """The coroutine itself is polled n times and then dropped, as a framework does that ends."""

    async def drop_after(polls: int) -> bool:
        """Whether it was still under way."""
        coroutine = take(client.lock("a"))
        try:
            for _ in range(polls):
                waited_for = coroutine.send(None)
                if waited_for is not None:
                    # Ours to wait for, in the coroutine's place.
                    waited_for._asyncio_future_blocking = False
                    await asyncio.wait([waited_for], timeout=0.2)
        except StopIteration:
            return False
        coroutine.close()
        return True

    async def main() -> None:
        polls = 0
        while await drop_after(polls):
            collected()
            nothing_left(client, "a")
            polls += 1
        assert polls > 1, "the body has an await of its own"
        async with client.lock("a"):
            for polls in range(3):
                assert await drop_after(polls)
                eventually(lambda: client.inspect("a").waiting == 0, "an empty queue")
        nothing_left(client, "a")

    run(main())


def test_a_timeout_around_an_acquire(client: leasehold.Client, run: Runner) -> None:
    async def main() -> None:
        async with client.lock("a"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.lock("a").acquire_async()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.lock("a").acquire_async(), 0.05)
            eventually(lambda: client.inspect("a").waiting == 0, "an empty queue")
        nothing_left(client, "a")

    run(main())


def test_cancelled_amid_a_storm_of_grants(client: leasehold.Client, run: Runner) -> None:
    """Waiters are cancelled while the lock goes from hand to hand between them."""

    async def hold(lock: leasehold.Lock) -> None:
        async with lock:
            await asyncio.sleep(0)

    async def main() -> None:
        lock = client.lock("a")
        for start in range(10):
            tasks = [asyncio.create_task(hold(lock)) for _ in range(20)]
            await turns(start)
            for task in tasks[start % 3 :: 3]:
                task.cancel()
                await asyncio.sleep(0)
            done, pending = await asyncio.wait(tasks, timeout=60)
            assert not pending
            assert sum(task.cancelled() for task in done) <= 7
            assert all(task.cancelled() or task.exception() is None for task in done)
        nothing_left(client, "a")

    run(main())


def test_cancelled_while_the_body_runs(client: leasehold.Client, run: Runner) -> None:
    """A cancellation of the body is the caller's own: it passes, and the lock is given back."""

    async def main() -> None:
        entered = asyncio.Event()

        async def body() -> None:
            async with client.lock("a"):
                entered.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(body())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not await client.is_locked_async("a")

    run(main())


def test_cancelled_while_it_releases(client: leasehold.Client, run: Runner) -> None:
    async def main() -> None:
        for count in range(4):
            lease = await client.lock("a").acquire_async()
            task = asyncio.create_task(lease.release_async())
            await turns(count)
            task.cancel()
            await asyncio.wait([task])
            if count == 0:
                # Cancelled before it began: the lease is still the caller's.
                await lease.release_async()
            nothing_left(client, "a")

    run(main())


def test_a_free_lock_costs_no_turn_of_the_loop() -> None:
    """What is known at once is returned at once, also where no loop runs at all."""
    client = leasehold.connect("memory://")
    coroutine = client.lock("a").acquire_async()
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    lease = done.value.value
    assert lease.is_held()
    release = lease.release_async()
    with pytest.raises(StopIteration):
        release.send(None)
    assert not client.is_locked("a")
