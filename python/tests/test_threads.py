"""Threads: the interpreter's lock is free while one waits, and a thread that ends holding a lock
does not keep it."""

from __future__ import annotations

import sys
import threading
from itertools import pairwise

import leasehold
import pytest
from conftest import collected, nothing_left, queued


def test_others_run_while_one_waits(client: leasehold.Client) -> None:
    """The waiter is in native code; the lock is released by Python code of another thread, which
    could not run if the waiter kept the interpreter to itself."""
    lease = client.lock("a").acquire()

    def release() -> None:
        queued(client, "a")
        lease.release()

    thread = threading.Thread(target=release)
    thread.start()
    with client.lock("a", wait=30):
        pass
    thread.join(60)


def test_many_threads_wait_at_once(client: leasehold.Client) -> None:
    count = 40
    lease = client.lock("a").acquire()
    fences: list[int] = []

    def wait() -> None:
        with client.lock("a", wait=60) as got:
            fences.append(got.fence)

    threads = [threading.Thread(target=wait) for _ in range(count)]
    for thread in threads:
        thread.start()
    queued(client, "a", count)
    lease.release()
    for thread in threads:
        thread.join(60)
    assert len(fences) == count
    assert fences == sorted(fences)


def test_threads_pass_a_hot_lock_on(client: leasehold.Client) -> None:
    """Each has a fence of its own, larger than the one before; most need no step of the store."""
    threads, turns = 8, 40
    inside: list[int] = []
    fences: list[int] = []

    def work() -> None:
        for _ in range(turns):
            with client.lock("hot", order="throughput", wait=60) as lease:
                inside.append(lease.fence)
                assert inside == [lease.fence], "not alone"
                fences.append(lease.fence)
                inside.pop()

    crowd = [threading.Thread(target=work) for _ in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join(120)
    assert len(fences) == threads * turns
    assert all(before < after for before, after in pairwise(fences))
    passed = sum(before + 1 == after for before, after in pairwise(fences))
    assert passed > 0, "none went from hand to hand"
    nothing_left(client, "hot")


def test_a_thread_that_ends_with_a_held_lease(client: leasehold.Client) -> None:
    def work() -> None:
        lease = client.lock("a").acquire()
        assert lease.is_held()

    with pytest.warns(ResourceWarning, match="never released"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60)
        collected()
    nothing_left(client, "a")


def test_a_thread_that_dies_in_the_body(
    client: leasehold.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: died.append(args.exc_type))

    def work() -> None:
        with client.lock("a"):
            raise SystemError("died")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert died == [SystemError]
    assert not client.is_locked("a")


def test_a_daemon_thread_that_exits_by_itself(
    client: leasehold.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: ended.append(args.exc_type))

    def work() -> None:
        with client.lock("a"):
            sys.exit()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(60)
    assert ended == [SystemExit]
    assert not client.is_locked("a")
