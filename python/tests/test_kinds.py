"""Readers, writers, permits and owners in the idioms of `threading` and `asyncio`. What each does
in every language is in scenarios/.
"""

from __future__ import annotations

import asyncio
import threading

import leasehold
import pytest
from conftest import PATIENCE, nothing_left, queued


@pytest.fixture(name="client")
def _client(each_client: leasehold.Client) -> leasehold.Client:
    return each_client


def test_readers_in_with(client: leasehold.Client) -> None:
    prices = client.rwlock("prices", ttl=5)
    with prices.read() as one, prices.read() as other:
        assert one.epoch == other.epoch == one.fence
        assert (one.kind, other.kind) == (leasehold.Kind.SHARED, leasehold.Kind.SHARED)
        with prices.try_write() as none:
            assert none is None
        with prices.try_read() as third:
            assert third is not None
    with prices.write() as writer:
        assert (writer.kind, writer.epoch) == (leasehold.Kind.EXCLUSIVE, None)
        assert writer.fence > one.fence
        with prices.try_read() as none:
            assert none is None
    nothing_left(client, "prices")
    assert repr(prices) == "<RwLock 'prices'>"


def test_a_writer_reads_on_and_writes_again(client: leasehold.Client) -> None:
    prices = client.rwlock("prices")
    with prices.write() as lease:
        fence = lease.fence
        lease.downgrade()
        assert (lease.fence, lease.epoch) == (fence, fence)
        with prices.read():
            with pytest.raises(leasehold.Deadlock):
                lease.upgrade()
            assert lease.is_held()
        lease.upgrade()
        assert lease.fence > fence
        assert lease.kind is leasehold.Kind.EXCLUSIVE


def test_a_writer_among_tasks(client: leasehold.Client) -> None:
    prices = client.rwlock("prices", wait=PATIENCE)
    reading = writing = 0

    async def reads() -> None:
        nonlocal reading
        async with prices.read():
            reading += 1
            assert not writing
            await asyncio.sleep(0)
            reading -= 1

    async def writes() -> None:
        nonlocal writing
        async with prices.write() as lease:
            writing += 1
            assert (reading, writing) == (0, 1)
            await asyncio.sleep(0)
            writing -= 1
            await lease.downgrade_async()
            assert not writing

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for turn in range(60):
                group.create_task(writes() if turn % 6 == 0 else reads())

    asyncio.run(all_of_them())
    nothing_left(client, "prices")


def test_a_cancelled_reader_leaves_nothing(client: leasehold.Client) -> None:
    prices = client.rwlock("prices")

    async def run() -> None:
        async with prices.write():
            waits = asyncio.create_task(prices.read().acquire_async())
            await asyncio.to_thread(queued, client, "prices", 1)
            waits.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits
            await asyncio.to_thread(queued, client, "prices", 0)

    asyncio.run(run())
    nothing_left(client, "prices")


def test_a_semaphore_is_entered_like_that_of_threading(client: leasehold.Client) -> None:
    slots = client.semaphore("slots", 3, wait=PATIENCE)
    inside = most = 0
    lock = threading.Lock()
    full = threading.Barrier(3)

    def work() -> None:
        nonlocal inside, most
        with slots as lease:
            assert lease.kind is leasehold.Kind.PERMITS
            with lock:
                inside += 1
                most = max(most, inside)
            # Three are inside at once, or this never ends.
            full.wait(PATIENCE)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (inside, most) == (0, 3)
    nothing_left(client, "slots")


def test_permits_by_weight(client: leasehold.Client) -> None:
    slots = client.semaphore("slots", 10)
    assert slots.capacity == 10
    with slots.permits(7), slots.try_permits(4) as none, slots.try_permits(3) as three:
        assert none is None
        assert three is not None
    with client.semaphore("slots", 10).permits(10):
        pass


@pytest.mark.parametrize(
    ("count", "capacity"), [(0, 3), (4, 3), (1, 0), (1 << 32, 3), (1, 1 << 32), (-1, 3)]
)
def test_wrong_numbers_of_permits(client: leasehold.Client, count: int, capacity: int) -> None:
    with pytest.raises(leasehold.InvalidInput, match=str(count) + "|" + str(capacity)):
        client.semaphore("slots", capacity).permits(count).acquire()


@pytest.mark.parametrize("count", [True, 1.0, "1", None])
def test_what_is_no_number_of_permits(client: leasehold.Client, count: object) -> None:
    with pytest.raises(TypeError):
        client.semaphore("slots", 3).permits(count)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        client.semaphore("slots", count)  # type: ignore[arg-type]


def test_options_are_checked_where_they_stand(client: leasehold.Client) -> None:
    with pytest.raises(TypeError):
        client.rwlock("prices", ttl="1")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        client.semaphore(7, 3)  # type: ignore[arg-type]
    with pytest.raises(leasehold.InvalidInput):
        client.rwlock("").read().acquire()


def test_an_owner_takes_its_lock_again(client: leasehold.Client) -> None:
    owner = client.owner()
    lock = client.lock("a", owner=owner)
    with lock as outer:
        with lock as inner:
            assert inner.fence == outer.fence
        assert client.is_locked("a")
        with client.try_lock("a") as none:
            assert none is None
    nothing_left(client, "a")


def test_a_tenure_ended_from_outside(client: leasehold.Client) -> None:
    with pytest.raises(leasehold.LockLost) as caught, client.lock("a", ttl=0.6) as lease:
        assert client.evict("a", why="a test", fence=lease.fence + 1) is None
        assert client.evict("a", why="a test") == lease.fence
        assert lease.lost.wait(PATIENCE)
    assert caught.value.reason == "revoked"
    assert asyncio.run(client.evict_async("a", why="a test")) is None
    with pytest.raises(TypeError):
        client.evict("a", why=None)  # type: ignore[arg-type]


def test_a_deadlock_names_its_cycle(client: leasehold.Client) -> None:
    one, two = client.owner(), client.owner()
    first, second = client.lock("a", owner=one).acquire(), client.lock("b", owner=two).acquire()
    granted = threading.Event()

    def wait() -> None:
        with client.lock("b", owner=one, note="the first"):
            granted.set()

    thread = threading.Thread(target=wait)
    thread.start()
    queued(client, "b")
    with pytest.raises(leasehold.Deadlock) as raised:
        client.lock("a", owner=two).acquire()
    own, other = raised.value.cycle
    assert 'waits for lock "a", held by python process' in own
    assert '(the first) waits for lock "b"' in other
    second.release()
    thread.join(PATIENCE)
    assert granted.is_set()
    first.release()


def test_the_number_of_permits_is_changed(client: leasehold.Client) -> None:
    slots = client.semaphore("slots", 2)
    both = slots.permits(2).acquire()
    waited: list[leasehold.Lease] = []
    waiter = threading.Thread(target=lambda: waited.append(slots.acquire()))
    waiter.start()
    queued(client, "slots")
    first = slots.resize(3)
    waiter.join(PATIENCE)
    assert waited[0].is_held()
    # Who says the former number means the present one; it is no longer the present one.
    assert slots.try_permits().acquire() is None
    assert client.semaphore("slots", 3).try_permits().acquire() is None
    with pytest.raises(leasehold.InvalidInput, match="3"):
        slots.resize(5)
    with pytest.raises(leasehold.InvalidInput, match="3"):
        client.semaphore("slots", 4).acquire()
    with pytest.raises(leasehold.InvalidInput):
        client.semaphore("slots", 3).resize(0)

    async def more() -> None:
        assert await client.semaphore("slots", 3).resize_async(4) > first
        async with slots as lease:
            assert lease.is_held()

    asyncio.run(more())
    both.release()
    waited[0].release()
    nothing_left(client, "slots")
