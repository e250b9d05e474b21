"""What the searches for deadlocks came to, as Python is told."""

from __future__ import annotations

import threading

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
