"""A lease that is lost says so: to the body of an `async with`, at the end of every scope, to
whoever asks, waits, or left a callback.

Losses are made without a server: a fixed term ends, or a longest tenure.
"""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import leasehold
import pytest
import uvloop
from conftest import Child
from leasehold import LockLost, LostReason, Release

Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    """Runs a coroutine on each kind of loop."""
    return asyncio.run if request.param == "asyncio" else uvloop.run


def test_the_async_body_is_cancelled(client: leasehold.Client, run: Runner) -> None:
    async def main() -> None:
        reached = False
        with pytest.raises(LockLost) as caught:
            async with client.lock("a", ttl=0.1, renew=False):
                await asyncio.sleep(60)
                reached = True
        assert not reached
        assert caught.value.reason is LostReason.EXPIRED
        assert caught.value.name == "a"
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0, "the cancellation was taken back"
        await asyncio.sleep(0)

    run(main())


def test_the_longest_tenure_ends_a_body(client: leasehold.Client, run: Runner) -> None:
    async def main() -> None:
        with pytest.raises(LockLost) as caught:
            async with client.lock("a", ttl=30, max_hold=0.1):
                await asyncio.sleep(60)
        assert caught.value.reason is LostReason.MAX_HOLD

    run(main())


def test_a_body_that_swallows_the_cancellation(client: leasehold.Client, run: Runner) -> None:
    async def main() -> None:
        with pytest.raises(LockLost):
            async with client.lock("a", ttl=0.1, renew=False):
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0

    run(main())


def test_the_bodys_own_error_is_not_masked(client: leasehold.Client, run: Runner) -> None:
    async def main() -> None:
        with pytest.raises(KeyError, match="mine"):
            async with client.lock("a", ttl=0.1, renew=False):
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    raise KeyError("mine") from None
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0
        with pytest.raises(KeyError, match="mine"):
            async with client.lock("b", ttl=0.05, renew=False) as lease:
                while lease.is_held():
                    pass
                raise KeyError("mine")

    run(main())


def test_another_cancellation_wins(client: leasehold.Client, run: Runner) -> None:
    """Both come: the caller's own is not turned into a LockLost."""

    async def body(lost: asyncio.Event) -> None:
        async with client.lock("a", ttl=0.1, renew=False):
            try:
                await asyncio.sleep(60)
            finally:
                lost.set()
                await asyncio.sleep(60)

    async def main() -> None:
        lost = asyncio.Event()
        task = asyncio.create_task(body(lost))
        await lost.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_nested_in_timeouts(client: leasehold.Client, run: Runner) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                async with client.lock("a", ttl=30):
                    await asyncio.sleep(60)
        assert not isinstance(caught.value, leasehold.LockError)
        with pytest.raises(LockLost):
            async with asyncio.timeout(60):
                async with client.lock("a", ttl=0.05, renew=False):
                    async with asyncio.timeout(60):
                        await asyncio.sleep(60)
        with pytest.raises(LockLost):
            async with client.lock("b", ttl=0.05, renew=False):
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(60))

    run(main())


def test_nested_locks_lose_their_own(client: leasehold.Client, run: Runner) -> None:
    async def main() -> None:
        async with client.lock("outer") as outer:
            with pytest.raises(LockLost) as caught:
                async with client.lock("inner", ttl=0.05, renew=False):
                    await asyncio.sleep(60)
            assert caught.value.name == "inner"
            assert outer.is_held()
            await asyncio.sleep(0)
        with pytest.raises(LockLost) as caught:
            async with client.lock("outer", ttl=0.05, renew=False):
                async with client.lock("innermost"):
                    await asyncio.sleep(60)
        assert caught.value.name == "outer"
        assert not client.is_locked("innermost")

    run(main())


def test_the_loss_is_raised_at_the_end_of_with(client: leasehold.Client) -> None:
    with pytest.raises(LockLost) as caught:
        with client.lock("a", ttl=0.05, renew=False) as lease:
            assert lease.lost.wait(60)
    assert caught.value.reason is LostReason.EXPIRED
    with pytest.raises(KeyError, match="mine"):
        with client.lock("b", ttl=0.05, renew=False) as lease:
            assert lease.lost.wait(60)
            raise KeyError("mine")


def test_the_loss_ends_the_wait_for_it(client: leasehold.Client) -> None:
    lease = client.lock("a", max_hold=0.2).acquire()
    assert not lease.lost.wait(0)
    assert not lease.lost.is_set()
    assert lease.lost.wait(60)
    assert lease.lost.wait()
    assert lease.lost.is_set()
    assert lease.lost_reason is LostReason.MAX_HOLD
    assert lease.release() is Release.LOST


def test_the_release_ends_the_wait_for_the_loss(client: leasehold.Client) -> None:
    lease = client.lock("a").acquire()
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(lease.lost.wait()))
    waiter.start()
    lease.release()
    waiter.join(60)
    assert answers == [False]
    assert not lease.lost.wait(), "nor does a wait that begins later"


def test_touch_starts_the_longest_tenure_anew(client: leasehold.Client) -> None:
    with client.lock("a", ttl=60, max_hold=30) as lease:
        lease.extend(100)
        before = lease.remaining
        assert before <= 30
        while lease.remaining >= before:
            pass
        now = lease.remaining
        lease.touch()
        assert lease.remaining > now


def test_callbacks_run_in_a_thread_of_ours(client: leasehold.Client) -> None:
    told: list[tuple[LostReason, str, str]] = []
    done = threading.Event()
    context: contextvars.ContextVar[str] = contextvars.ContextVar("context", default="none")
    context.set("mine")

    def callback(reason: LostReason) -> None:
        told.append((reason, threading.current_thread().name, context.get()))
        done.set()

    lease = client.lock("a", max_hold=0.1).acquire()
    lease.on_lost(callback)
    assert done.wait(60)
    assert told == [(LostReason.MAX_HOLD, "leasehold-notices", "mine")]
    done.clear()
    lease.on_lost(callback)
    assert done.wait(60), "one that comes after the loss is called as well"
    assert len(told) == 2


def test_callbacks_run_in_the_loop(client: leasehold.Client, run: Runner) -> None:
    async def main() -> None:
        here = threading.current_thread()
        told: list[LostReason] = []
        done = asyncio.Event()

        def callback(reason: LostReason) -> None:
            assert threading.current_thread() is here
            asyncio.get_running_loop()
            told.append(reason)
            done.set()

        lease = await client.lock("a", max_hold=0.1).acquire_async()
        lease.on_lost(callback)
        assert told == []
        async with asyncio.timeout(60):
            await done.wait()
        assert told == [LostReason.MAX_HOLD]

    run(main())


def test_no_callback_for_a_release(client: leasehold.Client) -> None:
    told: list[LostReason] = []
    lease = client.lock("a", max_hold=0.1).acquire()
    lease.on_lost(told.append)
    lease.release()
    # A later loss passes through the same thread: what was to come before it has come.
    other = client.lock("b", max_hold=0.3).acquire()
    assert other.lost.wait(60)
    assert told == []


def test_a_failing_callback_stops_nothing(
    client: leasehold.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: failed.append(args.exc_value))
    lease = client.lock("a", max_hold=0.1).acquire()

    def callback(reason: LostReason) -> None:
        raise KeyError(reason)

    lease.on_lost(callback)
    other = client.lock("b", max_hold=0.3).acquire()
    assert other.lost.wait(60)
    assert [type(error) for error in failed] == [KeyError]

    async def main() -> None:
        unheard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, info: unheard.append(info))
        lease = await client.lock("c", max_hold=0.1).acquire_async()
        lease.on_lost(callback)
        async with asyncio.timeout(60):
            while not unheard:
                await asyncio.sleep(0.005)
        assert isinstance(unheard[0]["exception"], KeyError)

    asyncio.run(main())


def test_a_lost_lease_releases_nobody_else(client: leasehold.Client) -> None:
    old = client.lock("a", ttl=0.05, renew=False).acquire()
    new = client.lock("a", wait=30).acquire()
    assert new.fence > old.fence
    assert old.release() is Release.LOST
    assert new.is_held()
    assert client.is_locked("a")
    new.release()


def test_a_paused_process_knows_at_once(url: str) -> None:
    """SIGSTOP beyond the ttl; the first look after SIGCONT says that the lease is gone, though no
    thread has had a turn to notice."""
    client = leasehold.connect(url)
    program = """
        import sys, leasehold
        lease = leasehold.connect(sys.argv[1]).lock("a", ttl=0.5).acquire()
        print("held", lease.fence)
        sys.stdin.readline()
        print(lease.is_held(), lease.remaining)
        lease.release()
    """
    with Child(program, url) as child:
        _, fence = child.line().split()
        child.process.send_signal(signal.SIGSTOP)
        try:
            # Granted only when the paused holder's lease is over, in the store's eyes.
            with client.lock("a", wait=30) as lease:
                assert lease.fence > int(fence)
                child.say("look")
                child.process.send_signal(signal.SIGCONT)
                assert child.line() == "False 0.0"
                assert lease.is_held()
                code, _, err = child.finish()
                assert lease.is_held(), "the late release touched nobody else's tenure"
        finally:
            child.process.send_signal(signal.SIGCONT)
    assert (code, err) == (0, "")
