"""Asking for a lock back, and hearing that one is asked. Its rules are shown in core/tests/manager;
here it is what Python makes of them."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import leasehold
import pytest
from conftest import PATIENCE, Child, run
from leasehold import ReturnState

HOLDER = """
    import sys, leasehold
    client = leasehold.connect(sys.argv[1])
    with client.lock("a", note="the holder") as lease:
        print("held", flush=True)
        for asked in lease.asked_back():
            print(asked.by.pid, asked.why, flush=True)
            if asked.why == "please":
                break
"""


@pytest.fixture(name="client")
def _client(each_client: leasehold.Client) -> leasehold.Client:
    return each_client


def test_a_holder_hears_and_gives_back(client: leasehold.Client) -> None:
    lease = client.lock("a", note="mine").acquire()
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(client.ask_back, "a", why="a newer one", grace=PATIENCE)
        asked = next(lease.asked_back())
        assert (asked.why, asked.by.language) == ("a newer one", "python")
        assert 0 < asked.grace <= PATIENCE
        assert lease.is_held()
        lease.release()
        returned = asking.result(PATIENCE)
    assert (returned.state, returned.fence) == (ReturnState.GIVEN_BACK, lease.fence)
    assert returned.holder is not None
    assert returned.holder.note == "mine"
    assert list(lease.asked_back()) == []


def test_a_holder_that_holds_on(client: leasehold.Client) -> None:
    with client.lock("a") as lease:
        returned = client.ask_back("a", why="now", grace=0.05, fence=lease.fence)
        assert returned.state is ReturnState.STILL_HELD
        assert (returned.fence, returned.others) == (lease.fence, ())
        other = client.ask_back("a", why="now", grace=0.05, fence=lease.fence + 1)
        assert other == leasehold.Returned(ReturnState.NOT_HELD, None, None, ())
    assert client.ask_back("a", why="now", grace=0.05).state == "not_held"


def test_all_readers_are_asked(client: leasehold.Client) -> None:
    slots = client.semaphore("s", 3)
    one, other = slots.acquire(), slots.permits(2).acquire()
    returned = client.ask_back("s", why="now", grace=0.05)
    assert {returned.fence, *returned.others} == {one.fence, other.fence}
    for lease in (one, other):
        lease.release()


def test_with_asyncio(client: leasehold.Client) -> None:
    async def main() -> None:
        async with client.lock("a") as lease:
            told: asyncio.Queue[leasehold.AskedBack] = asyncio.Queue()
            lease.on_asked_back(told.put_nowait)
            given_up = asyncio.create_task(anext(lease.asked_back()))
            await asyncio.sleep(0.01)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            asking = asyncio.create_task(client.ask_back_async("a", why="now", grace=PATIENCE))
            assert (await asyncio.wait_for(told.get(), PATIENCE)).why == "now"
            await lease.release_async()
            assert (await asking).state is ReturnState.GIVEN_BACK
        async for _ in lease.asked_back():
            raise AssertionError("it is over")

    run_in_a_loop(main())


def test_what_a_cancelled_wait_was_told_is_told_again(client: leasehold.Client) -> None:
    """However many turns of the loop the waiting task had before it was cancelled."""

    async def main() -> None:
        async with client.lock("a") as lease:
            for turns in range(12):
                asking = asyncio.create_task(
                    client.ask_back_async("a", why=str(turns), grace=PATIENCE)
                )
                requests = lease.asked_back()
                waiting = asyncio.create_task(anext(requests))
                for _ in range(turns):
                    await asyncio.sleep(0.001)
                waiting.cancel()
                try:
                    asked = await waiting
                except asyncio.CancelledError:
                    # From an iterator of its own: the request is the lease's.
                    asked = await anext(lease.asked_back())
                assert asked.why == str(turns)
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking

    run_in_a_loop(main())


def test_callbacks_run_in_a_thread_of_ours(
    client: leasehold.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: queue.Queue[threading.ExceptHookArgs] = queue.Queue()
    monkeypatch.setattr(threading, "excepthook", failures.put)
    told: queue.Queue[tuple[str, bool]] = queue.Queue()

    def callback(asked: leasehold.AskedBack) -> None:
        told.put((asked.why, threading.current_thread() is threading.main_thread()))
        raise ValueError(asked.why)

    with client.lock("a") as lease:
        lease.on_asked_back(callback)
        for why in ("one", "other"):
            assert client.ask_back("a", why=why, grace=0.2).state is ReturnState.STILL_HELD
            assert told.get(timeout=PATIENCE) == (why, False)
            # That it failed is reported, and the next is told all the same.
            assert str(failures.get(timeout=PATIENCE).exc_value) == why
    assert told.empty()


def test_a_forgotten_lease_hears_nothing(client: leasehold.Client) -> None:
    lease = client.lock("a").acquire()
    lease.on_asked_back(lambda _: None)
    with pytest.warns(ResourceWarning):
        del lease
    assert client.ask_back("a", why="now", grace=PATIENCE).state != ReturnState.STILL_HELD


def test_between_processes(url: str) -> None:
    client = leasehold.connect(url)
    with Child(HOLDER, url) as holder:
        assert holder.line() == "held"
        assert client.ask_back("a", why="soon", grace=0.5).state is ReturnState.STILL_HELD
        assert holder.line() == f"{os.getpid()} soon"
        returned = client.ask_back("a", why="please", grace=PATIENCE)
        assert returned.state is ReturnState.GIVEN_BACK
        assert returned.holder is not None
        assert returned.holder.note == "the holder"
        assert holder.finish()[0] == 0


def test_wrong_requests_are_refused(client: leasehold.Client) -> None:
    for wrong in (0, -1, float("nan"), 1e12):
        with pytest.raises(leasehold.InvalidInput):
            client.ask_back("a", why="now", grace=wrong)
    with pytest.raises(leasehold.InvalidInput):
        client.ask_back("a", why="x" * 257, grace=1)
    with pytest.raises(TypeError):
        client.ask_back("a", why=None, grace=1)  # type: ignore[arg-type]
    with client.lock("a") as lease:
        requests = lease.asked_back()

        async def main() -> None:
            with pytest.raises(RuntimeError):
                next(requests)

        run_in_a_loop(main())


def test_nobody_hears_in_a_forked_child(url: str) -> None:
    code, out, err = run(
        """
        import os, sys, warnings, leasehold
        warnings.simplefilter("ignore", DeprecationWarning)
        client = leasehold.connect(sys.argv[1])
        lease = client.lock("a", ttl=60).acquire()
        lease.on_asked_back(lambda asked: print("told", flush=True))
        pid = os.fork()
        if pid == 0:
            assert list(lease.asked_back()) == []
            lease.on_asked_back(lambda asked: None)
            other = leasehold.connect(sys.argv[1])
            assert other.ask_back("a", why="now", grace=0.5).state == "still_held"
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0, status
        lease.release()
        """,
        url,
    )
    assert (code, out, err) == (0, "told\n", "")


def run_in_a_loop(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, PATIENCE))
