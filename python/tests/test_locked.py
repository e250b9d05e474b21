"""The decorator."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import leasehold
import pytest


def test_def(client: leasehold.Client) -> None:
    @client.locked("a", wait=0)
    def double(number: int, *, plus: int = 0) -> int:
        """Doubles."""
        assert client.is_locked("a")
        return 2 * number + plus

    assert double(4, plus=1) == 9
    assert double(2) == 4, "each call takes the lock anew"
    assert (double.__name__, double.__doc__) == ("double", "Doubles.")
    assert not client.is_locked("a")
    with client.lock("a"), pytest.raises(leasehold.LockTimeout):
        double(1)


def test_async_def(client: leasehold.Client) -> None:
    @client.locked("a", wait=30)
    async def double(number: int) -> int:
        assert client.is_locked("a")
        await asyncio.sleep(0)
        return 2 * number

    assert inspect.iscoroutinefunction(double)

    async def main() -> None:
        assert await asyncio.gather(*(double(number) for number in range(5))) == [0, 2, 4, 6, 8]

    asyncio.run(main())
    assert not client.is_locked("a")


def test_the_name_may_come_from_the_arguments(client: leasehold.Client) -> None:
    @client.locked(lambda number, **_: f"invoice:{number}")
    def pay(number: int, *, twice: bool = False) -> list[str]:
        return [info.name for info in client.list("invoice:")]

    assert pay(42, twice=True) == ["invoice:42"]
    assert pay(7) == ["invoice:7"]


def test_methods_and_errors(client: leasehold.Client) -> None:
    class Worker:
        @client.locked("a")
        def fail(self) -> None:
            raise KeyError(type(self).__name__)

    with pytest.raises(KeyError, match="Worker"):
        Worker().fail()
    assert not client.is_locked("a")


def test_a_loss_cancels_the_async_function(client: leasehold.Client) -> None:
    @client.locked("a", ttl=0.05, renew=False)
    async def work() -> None:
        await asyncio.sleep(60)

    with pytest.raises(leasehold.LockLost):
        asyncio.run(work())


def test_callables_with_an_async_call(client: leasehold.Client) -> None:
    class Job:
        async def __call__(self) -> bool:
            await asyncio.sleep(0)
            return client.is_locked("a")

    async def job(answer: bool) -> bool:
        return client.is_locked("a") is answer

    decorate = client.locked("a")
    assert asyncio.run(functools.wraps(job)(client.locked("b")(Job()))()) is False
    assert asyncio.run(decorate(functools.partial(job, True))())


def test_what_would_run_without_the_lock_is_refused(client: leasehold.Client) -> None:
    def rows() -> Iterator[int]:
        yield 1

    async def stream() -> AsyncIterator[int]:
        yield 1

    async def work() -> None: ...

    def disguised() -> Any:
        return work()

    for generator in (rows, stream):
        with pytest.raises(TypeError, match="generator"):
            client.locked("a")(generator)
    with pytest.raises(TypeError, match="awaitable"):
        client.locked("a")(disguised)()
    for nothing in (leasehold.Client, None, "a"):
        with pytest.raises(TypeError, match="no function"):
            client.locked("a")(nothing)  # type: ignore[arg-type]
    assert not client.is_locked("a")
