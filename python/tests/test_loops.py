"""Event loops: many of them, in turn or at once, closed at a bad moment, or uvloop's."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import leasehold
import pytest
import uvloop
from conftest import collected, eventually, nothing_left
from leasehold import _loop

Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    """Runs a coroutine on each kind of loop."""
    return asyncio.run if request.param == "asyncio" else uvloop.run


async def contend(client: leasehold.Client) -> None:
    """Has a call come through the loop's courier."""
    async with client.lock("a"):
        task = asyncio.create_task(client.lock("a").acquire_async())
        while (await client.inspect_async("a")).waiting == 0:
            await asyncio.sleep(0)
    await (await task).release_async()


def test_many_loops_cost_no_descriptors(client: leasehold.Client, run: Runner) -> None:
    for _ in range(3):
        run(contend(client))
    collected()
    before = len(os.listdir("/dev/fd"))
    for _ in range(10):
        run(contend(client))
    collected()
    # One loop's courier is let go of when the next loop makes its own.
    assert len(os.listdir("/dev/fd")) <= before + 2
    assert len(_loop._couriers) <= 2


def test_loops_in_many_threads(client: leasehold.Client, run: Runner) -> None:
    inside = 0
    total = 0

    async def main() -> None:
        nonlocal inside, total
        for _ in range(10):
            async with client.lock("a", wait=60):
                assert inside == 0
                inside += 1
                await asyncio.sleep(0)
                total += 1
                inside -= 1

    threads = [threading.Thread(target=run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert total == 40


def test_hundreds_of_tasks_wait_and_each_is_served(client: leasehold.Client, run: Runner) -> None:
    count = 300
    order: list[int] = []

    async def work(number: int) -> None:
        async with client.lock("a", wait=60):
            order.append(number)

    async def main() -> None:
        async with client.lock("a"):
            tasks = [asyncio.create_task(work(number)) for number in range(count)]
            while (await client.inspect_async("a")).waiting < count:
                await asyncio.sleep(0.005)
        await asyncio.gather(*tasks)

    run(main())
    assert order == list(range(count)), "first come, first served"
    nothing_left(client, "a")


def test_completions_share_a_wake_up() -> None:
    """A thousand results that arrive together cost the loop a few callbacks, not a thousand."""
    client = leasehold.connect("memory://")
    count = 1000
    wakes = 0
    arrived = _loop.Courier._arrived

    class Counting(_loop.Courier):
        def _arrived(self) -> None:
            nonlocal wakes
            wakes += 1
            arrived(self)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        _loop._couriers[id(loop)] = Counting(loop)
        holds = [await client.lock(f"a{n}").acquire_async() for n in range(count)]
        tasks = [asyncio.create_task(client.lock(f"a{n}").acquire_async()) for n in range(count)]
        while sum(info.waiting for info in client.list(limit=count)) < count:
            await asyncio.sleep(0.005)
        for lease in holds:
            lease.release()
        # All have been granted before the loop runs again.
        eventually(lambda: client.list(limit=count)[-1].waiting == 0, "all grants")
        for lease in await asyncio.gather(*tasks):
            await lease.release_async()

    asyncio.run(main())
    assert 0 < wakes < count / 4


def test_a_loop_that_closes_while_a_call_is_under_way(client: leasehold.Client) -> None:
    loop = asyncio.new_event_loop()
    lease = client.lock("a").acquire()
    task = loop.create_task(client.lock("a").acquire_async())
    task._log_destroy_pending = False  # type: ignore[attr-defined]

    async def turn() -> None:
        while client.inspect("a").waiting == 0:
            await asyncio.sleep(0)

    loop.run_until_complete(turn())
    loop.close()
    # The grant has nowhere to go; nobody may fail over that.
    lease.release()
    eventually(lambda: client.inspect("a").waiting == 0, "the grant")
    task.get_coro().close()
    nothing_left(client, "a")
    asyncio.run(contend(client))


def test_an_async_fixture_leaves_in_another_task(client: leasehold.Client, run: Runner) -> None:
    lock = client.lock("a")

    async def enter() -> None:
        await lock.__aenter__()

    async def leave() -> None:
        await lock.__aexit__(None, None, None)

    async def main() -> None:
        await asyncio.create_task(enter())
        assert client.is_locked("a")
        await asyncio.create_task(leave())
        assert not client.is_locked("a")

    run(main())


def test_an_async_generator_that_is_dropped(client: leasehold.Client, run: Runner) -> None:
    """It is closed by GeneratorExit: nothing can be awaited, and the lock is given back."""

    async def rows() -> Any:
        async with client.lock("a"):
            yield 1
            yield 2

    async def main() -> None:
        generator = rows()
        assert await anext(generator) == 1
        await generator.aclose()
        nothing_left(client, "a")

        async def body() -> None:
            async with client.lock("a"):
                await asyncio.Event().wait()

        coroutine = body()
        coroutine.send(None)
        coroutine.close()
        nothing_left(client, "a")

    run(main())
