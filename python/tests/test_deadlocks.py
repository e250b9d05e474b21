"""What the searches for deadlocks came to, as Python is told."""

from __future__ import annotations

import threading
import uuid

import leasehold
import pytest
from conftest import PATIENCE, eventually, queued


def test_they_are_counted(each_client: leasehold.Client) -> None:
    client = each_client
    assert client.deadlocks() == leasehold.Deadlocks(0, 0, 0, 0, 0, 0, 0)
    one, other = client.owner(), client.owner()
    first = client.lock("a", owner=one).acquire()
    second = client.lock("b", owner=other).acquire()
    ended: list[leasehold.Lease | leasehold.LockError] = []

    def wait(name: str, owner: leasehold.Owner, mine: leasehold.Lease) -> None:
        try:
            ended.append(client.lock(name, owner=owner, wait=PATIENCE).acquire())
        except leasehold.Deadlock as error:
            ended.append(error)
            mine.release()

    threads = [
        threading.Thread(target=wait, args=arguments)
        for arguments in (("b", one, first), ("a", other, second))
    ]
    threads[0].start()
    queued(client, "b")
    threads[1].start()
    for thread in threads:
        thread.join(PATIENCE)
    (error,) = [it for it in ended if isinstance(it, leasehold.Deadlock)]
    assert len(error.cycle) == 2
    counts = client.deadlocks()
    assert (counts.victims, counts.longest, counts.cut) == (1, 2, 0)
    assert counts.looks >= counts.found >= 1
    assert counts.severest == 2
    assert counts.deepest >= 2
    for lease in (first, second, *(it for it in ended if isinstance(it, leasehold.Lease))):
        lease.release()
    eventually(lambda: client.list() == [], "all free")
    client.shutdown()
    with pytest.raises(leasehold.ShutDown):
        client.deadlocks()


def test_the_victim_is_the_wait_of_smallest_deadlock_priority(
    each_client: leasehold.Client,
) -> None:
    """Not that of smallest priority in the queue, and not the last that came."""
    client = each_client
    one, other = client.owner(), client.owner()
    first = client.lock("a", owner=one).acquire()
    second = client.lock("b", owner=other).acquire()
    found: dict[str, leasehold.Lease | leasehold.LockError] = {}

    def wait(name: str, owner: leasehold.Owner, priority: int, rank: int) -> None:
        lock = client.lock(
            name, owner=owner, wait=PATIENCE, priority=priority, deadlock_priority=rank
        )
        try:
            found[name] = lock.acquire()
        except leasehold.Deadlock as error:
            found[name] = error

    waits = [
        threading.Thread(target=wait, args=arguments)
        for arguments in (("b", one, 5, -1), ("a", other, -5, 1))
    ]
    waits[0].start()
    queued(client, "b")
    waits[1].start()
    waits[0].join(PATIENCE)
    assert isinstance(found["b"], leasehold.Deadlock)
    first.release()
    waits[1].join(PATIENCE)
    lease = found["a"]
    assert isinstance(lease, leasehold.Lease)
    for held in (lease, second):
        held.release()


def test_how_deep_a_search_goes() -> None:
    for wrong in (0, 10_001):
        with pytest.raises(leasehold.InvalidInput, match="deadlock_depth"):
            leasehold.connect("memory://", deadlock_depth=wrong)
    url = f"memory://{uuid.uuid4()}"
    shallow = leasehold.connect(url, deadlock_depth=1)
    deep = leasehold.connect(url)
    owners = [deep.owner() for _ in range(3)]
    held = [
        deep.lock(name, owner=owner).acquire() for name, owner in zip("abc", owners, strict=True)
    ]
    ended: list[str] = []

    def wait(client: leasehold.Client, name: str, owner: leasehold.Owner) -> None:
        try:
            client.lock(name, owner=owner, wait=1).acquire().release()
        except leasehold.LockError as error:
            ended.append(error.code)

    # No wait of the shallow client sees the circle of three: all run out.
    waits = [
        threading.Thread(target=wait, args=(shallow, name, owner))
        for name, owner in zip("bca", owners, strict=True)
    ]
    for thread in waits:
        thread.start()
    for thread in waits:
        thread.join(PATIENCE)
    assert ended == ["LOCK_TIMEOUT"] * 3
    assert shallow.deadlocks().cut > 0
    for lease in held:
        lease.release()
