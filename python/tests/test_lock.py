"""Taking and giving back: the ways to take one lock object, and what a lease says."""

from __future__ import annotations

import asyncio
import gc
import threading
from datetime import timedelta

import leasehold
import pytest
from conftest import collected, eventually, nothing_left, queued
from leasehold import Lease, LockTimeout, LostReason, Release


def test_with_takes_and_gives_back(client: leasehold.Client) -> None:
    with client.lock("a") as lease:
        assert lease.is_held()
        assert client.is_locked("a")
        assert lease.name == "a"
        assert lease.fence > 0
        assert lease.owner is None
        assert lease.lost_reason is None
        lease.check()
    assert not lease.is_held()
    assert not client.is_locked("a")


def test_one_lock_object_serves_all_ways(client: leasehold.Client) -> None:
    lock = client.lock("a")
    fences = []
    with lock as lease:
        fences.append(lease.fence)

    async def main() -> None:
        async with lock as lease:
            fences.append(lease.fence)
        lease = await lock.acquire_async()
        fences.append(lease.fence)
        assert await lease.release_async() is Release.RELEASED

    asyncio.run(main())
    lease = lock.acquire()
    fences.append(lease.fence)
    assert lease.release() is Release.RELEASED
    assert fences == sorted(set(fences)), "fences must grow"


def test_release_tells_what_happened(client: leasehold.Client) -> None:
    lease = client.lock("a").acquire()
    assert lease.release() is Release.RELEASED
    assert lease.release() is Release.REPEATED
    assert repr(lease).endswith("released>")
    lost = client.lock("a", ttl=0.05, renew=False).acquire()
    assert lost.lost.wait(30)
    assert lost.release() is Release.LOST
    assert lost.lost_reason is LostReason.EXPIRED


def test_released_inside_the_scope_is_no_loss(client: leasehold.Client) -> None:
    with client.lock("a") as lease:
        assert lease.release() is Release.RELEASED

    async def main() -> None:
        async with client.lock("a") as lease:
            assert await lease.release_async() is Release.RELEASED

    asyncio.run(main())


def test_try_lock_is_none_where_another_holds(client: leasehold.Client) -> None:
    with client.try_lock("a") as first:
        assert first is not None
        with client.try_lock("a") as second:
            assert second is None
        assert client.try_lock("a").acquire() is None
        assert first.is_held()

    async def main() -> None:
        async with client.try_lock("a") as first:
            assert first is not None
            async with client.try_lock("a") as second:
                assert second is None
            assert await client.try_lock("a").acquire_async() is None

    asyncio.run(main())
    assert client.inspect("a").waiting == 0
    assert not client.is_locked("a")


def test_wait_runs_out(client: leasehold.Client) -> None:
    with client.lock("a"):
        with pytest.raises(LockTimeout) as caught:
            client.lock("a", wait=0.05).acquire()
        with pytest.raises(TimeoutError):
            client.lock("a", wait=0).acquire()
    assert caught.value.name == "a"
    assert caught.value.retryable
    nothing_left(client, "a")


def test_wait_ends_with_the_grant(client: leasehold.Client) -> None:
    lease = client.lock("a").acquire()
    got: list[int] = []

    def wait() -> None:
        with client.lock("a", wait=30) as next_lease:
            got.append(next_lease.fence)

    waiter = threading.Thread(target=wait)
    waiter.start()
    queued(client, "a")
    lease.release()
    waiter.join(60)
    assert got and got[0] > lease.fence


def test_durations_may_be_timedeltas(client: leasehold.Client) -> None:
    lock = client.lock(
        "a", ttl=timedelta(minutes=1), wait=timedelta(0), max_hold=timedelta(hours=1)
    )
    with lock as lease:
        assert 30 < lease.remaining <= 60
        lease.check(timedelta(seconds=30))
        lease.extend(timedelta(minutes=5))
        assert 60 < lease.remaining <= 300
        with pytest.raises(leasehold.LockLost):
            lease.check(timedelta(hours=1))
        assert lease.is_held()
    assert lease.remaining == 0.0


def test_the_default_ttl_is_thirty_seconds(client: leasehold.Client) -> None:
    with client.lock("a"):
        holder = client.inspect("a").holder
        assert holder is not None
        assert 25 < holder.told <= 30


def test_extend_async(client: leasehold.Client) -> None:
    async def main() -> None:
        async with client.lock("a", ttl=10) as lease:
            await lease.extend_async(100)
            assert lease.remaining > 50

    asyncio.run(main())


def test_people_see_who_holds_and_waits(client: leasehold.Client) -> None:
    with client.lock("job:1", note="nightly run"), client.lock("job:2"), client.lock("other"):
        stop = threading.Thread(target=lambda: client.lock("job:1", wait=30).acquire().release())
        stop.start()
        queued(client, "job:1")
        info = client.inspect("job:1")
        assert info.holder is not None
        assert info.holder.who.language == "python"
        assert info.holder.who.note == "nightly run"
        assert info.holder.who.pid > 0
        assert info.queue[0].pid == info.holder.who.pid
        assert info.holder.stored > info.holder.told
        assert [lock.name for lock in client.list("job:")] == ["job:1", "job:2"]
        assert [lock.name for lock in client.list("job:", after="job:1")] == ["job:2"]
        assert len(client.list(limit=1)) == 1
    stop.join(60)

    async def main() -> None:
        async with client.lock("job:1"):
            assert (await client.inspect_async("job:1")).holder is not None
            assert await client.is_locked_async("job:1")
            assert [lock.name for lock in await client.list_async()] == ["job:1"]
        await client.ping_async()

    asyncio.run(main())
    client.ping()


def test_owner_is_an_identity(client: leasehold.Client) -> None:
    owner = client.owner()
    assert owner == leasehold.Owner(owner.number)
    assert owner != client.owner()
    with client.lock("a", owner=owner) as lease:
        assert lease.owner == owner


def test_one_lock_object_in_many_threads(client: leasehold.Client) -> None:
    lock = client.lock("a", wait=60)
    inside = 0
    most = 0
    fences: list[int] = []

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with lock as lease:
                inside += 1
                most = max(most, inside)
                fences.append(lease.fence)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == 1
    assert len(fences) == 30
    assert fences == sorted(set(fences))


def test_each_thread_leaves_its_own_scope(client: leasehold.Client) -> None:
    """A's lease is lost, B is granted through the same object, A leaves: B must keep its lease."""
    lock = client.lock("a", ttl=0.1, renew=False, wait=30)
    entered, leave = threading.Event(), threading.Event()
    kept: list[Lease] = []

    def second() -> None:
        with lock as lease:
            lease.extend(60)
            kept.append(lease)
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=second)
    with pytest.raises(leasehold.LockLost):
        with lock:
            thread.start()
            assert entered.wait(60)
    assert kept[0].is_held()
    leave.set()
    thread.join(60)


def test_left_on_another_thread(client: leasehold.Client) -> None:
    """Web frameworks enter and leave a context manager on different threads of a pool."""
    lock = client.lock("a")
    lock.__enter__()
    thread = threading.Thread(target=lambda: lock.__exit__(None, None, None))
    thread.start()
    thread.join(60)
    assert not client.is_locked("a")


def test_leaving_what_was_not_entered(client: leasehold.Client) -> None:
    with pytest.raises(RuntimeError, match="not entered"):
        client.lock("a").__exit__(None, None, None)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="not entered"):
            await client.lock("a").__aexit__(None, None, None)

    asyncio.run(main())


def test_the_bodys_error_passes(client: leasehold.Client) -> None:
    with pytest.raises(ZeroDivisionError):
        with client.lock("a"):
            _ = 1 // 0
    assert not client.is_locked("a")

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with client.lock("a"):
                _ = 1 // 0

    asyncio.run(main())
    assert not client.is_locked("a")


def test_with_on_a_running_loop_is_refused(client: leasehold.Client) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="`async with`"):
            with client.lock("a"):
                pass
        with pytest.raises(RuntimeError, match="acquire_async"):
            client.lock("a").acquire()
        with pytest.raises(RuntimeError, match="`async with`"):
            with client.try_lock("a"):
                pass

    asyncio.run(main())
    assert not client.is_locked("a")


def test_a_forgotten_lease_is_given_back_with_a_warning(client: leasehold.Client) -> None:
    lease = client.lock("a").acquire()
    with pytest.warns(ResourceWarning, match="'a' was never released"):
        del lease
        collected()
    nothing_left(client, "a")


def test_a_callback_does_not_keep_a_forgotten_lease(client: leasehold.Client) -> None:
    """A callback that mentions its own lease must not keep it, or it is renewed for ever."""
    lease = client.lock("a").acquire()

    def callback(reason: LostReason, lease: Lease = lease) -> None:
        print(lease.name, reason)

    lease.on_lost(callback)
    with pytest.warns(ResourceWarning):
        del lease, callback
        collected()
    nothing_left(client, "a")


def test_a_released_lease_goes_quietly(client: leasehold.Client) -> None:
    lease = client.lock("a").acquire()
    lease.release()
    del lease
    gc.collect()


def test_shutdown_ends_everything(client: leasehold.Client) -> None:
    lease = client.lock("a").acquire()
    refused: list[BaseException] = []

    def wait() -> None:
        try:
            client.lock("a", wait=60).acquire()
        except leasehold.ShutDown as error:
            refused.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    queued(client, "a")
    assert client.shutdown(10)
    waiter.join(60)
    assert refused
    assert lease.lost_reason is LostReason.SHUTDOWN
    assert not lease.is_held()
    with pytest.raises(leasehold.ShutDown):
        client.ping()


def test_a_held_lock_is_renewed(client: leasehold.Client) -> None:
    """Long past its ttl, with nothing of Python's running: another has to wait in vain."""
    with client.lock("a", ttl=0.3) as lease:
        with pytest.raises(LockTimeout):
            client.lock("a", wait=1.5).acquire()
        assert lease.is_held()


def test_a_busy_interpreter_costs_no_lease(client: leasehold.Client) -> None:
    """Renewal needs nothing of the interpreter: here it never yields for several ttls."""
    import sys
    import time

    with client.lock("a", ttl=0.5) as lease:
        interval = sys.getswitchinterval()
        sys.setswitchinterval(100)
        try:
            end = time.monotonic() + 1.6
            while time.monotonic() < end:
                pass
        finally:
            sys.setswitchinterval(interval)
        assert lease.is_held()


def test_a_loss_is_seen_without_waiting(client: leasehold.Client) -> None:
    lease = client.lock("a", ttl=0.05, renew=False).acquire()
    assert not lease.lost.is_set()
    eventually(lease.lost.is_set, "the fixed term ended")
    assert not lease.is_held()
    with pytest.raises(leasehold.LockLost) as caught:
        lease.check()
    assert caught.value.reason is LostReason.EXPIRED
    assert caught.value.name == "a"
