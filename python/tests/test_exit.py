"""The end of a process: whatever is held or under way, it ends soon, quietly, and leaves nothing
locked for longer than it must.

The ttls are an hour: what is free afterwards was given back.
"""

from __future__ import annotations

import signal
import time

import leasehold
import pytest
from conftest import Child, eventually, nothing_left, run

START = """
    import asyncio, sys, threading, time, leasehold
    client = leasehold.connect(sys.argv[1])
    lock = client.lock("a", ttl=3600)
"""

# Name, program, exit code.
ENDS = [
    ("a lease in a global", "lease = lock.acquire()", 0),
    ("sys.exit in the body", "with lock: sys.exit(3)", 3),
    ("an entered scope", "lock.__enter__()", 0),
    (
        "a daemon thread holds",
        """
    threading.Thread(target=lock.__enter__, daemon=True).start()
    while not client.is_locked("a"): time.sleep(0.005)
    """,
        0,
    ),
    (
        "a daemon thread waits",
        """
    lease = lock.acquire()
    threading.Thread(target=client.lock("a", wait=3600).acquire, daemon=True).start()
    while client.inspect("a").waiting == 0: time.sleep(0.005)
    """,
        0,
    ),
    (
        "many daemon threads wait and hold",
        """
    leases = [client.lock(f"a{n}", ttl=3600).acquire() for n in range(50)]
    lease = lock.acquire()
    for n in range(20):
        threading.Thread(target=client.lock("a", wait=3600).acquire, daemon=True).start()
    while client.inspect("a").waiting < 20: time.sleep(0.005)
    """,
        0,
    ),
    (
        "sys.exit in an async body",
        """
    async def main():
        async with lock:
            sys.exit(4)
    asyncio.run(main())
    """,
        4,
    ),
    (
        "tasks wait when the loop ends",
        """
    async def main():
        global lease
        lease = await lock.acquire_async()
        tasks = [asyncio.create_task(client.lock("a").acquire_async()) for _ in range(10)]
        while client.inspect("a").waiting < 10: await asyncio.sleep(0.005)
    asyncio.run(main())
    """,
        0,
    ),
    (
        "a loop that is never closed",
        """
    import warnings
    warnings.simplefilter("ignore", ResourceWarning)
    loop = asyncio.new_event_loop()
    lease = loop.run_until_complete(lock.acquire_async())
    waiting = loop.create_task(client.lock("a").acquire_async())
    waiting._log_destroy_pending = False
    while client.inspect("a").waiting == 0: loop.run_until_complete(asyncio.sleep(0.005))
    """,
        0,
    ),
    (
        "callbacks are registered",
        """
    lease = lock.acquire()
    lease.on_lost(lambda reason: None)
    """,
        0,
    ),
    (
        "the user's own exit hook releases",
        """
    import atexit
    lease = lock.acquire()
    atexit.register(lambda: print(lease.is_held(), lease.release()))
    """,
        0,
    ),
]


@pytest.mark.parametrize(("program", "code"), [e[1:] for e in ENDS], ids=[e[0] for e in ENDS])
def test_ends_soon_and_leaves_nothing(url: str, program: str, code: int) -> None:
    started = time.monotonic()
    ended, out, err = run(START + "    " + program, url)
    assert (ended, err) == (code, "")
    assert out == ("True released\n" if "atexit" in program else "")
    client = leasehold.connect(url)
    nothing_left(client, "a")
    assert client.list() == []
    assert time.monotonic() - started < 60


def test_an_uncaught_error_in_the_body(url: str) -> None:
    code, _, err = run(START + "    with lock: 1 // 0", url)
    assert code == 1
    assert "ZeroDivisionError" in err
    nothing_left(leasehold.connect(url), "a")


def test_a_kill_costs_the_ttl_and_no_more(url: str) -> None:
    """Nothing can be given back by a process that is killed: that is what the ttl is for."""
    program = """
        import sys, time, leasehold
        lease = leasehold.connect(sys.argv[1]).lock("a", ttl=1).acquire()
        print("held")
        time.sleep(3600)
    """
    client = leasehold.connect(url)
    with Child(program, url) as child:
        assert child.line() == "held"
        child.process.send_signal(signal.SIGKILL)
        child.process.wait(60)
        with client.lock("a", wait=60) as lease:
            assert lease.is_held()


def test_many_exits_with_work_pending(url: str) -> None:
    """What goes wrong at the end of an interpreter does so once in many times."""
    program = """
        import asyncio, sys, threading, leasehold
        client = leasehold.connect(sys.argv[1])
        client.lock("a", wait=0.01)
        async def main():
            tasks = [asyncio.create_task(client.lock("a").acquire_async()) for _ in range(5)]
            await asyncio.sleep(0)
        threading.Thread(target=client.lock("a").acquire, daemon=True).start()
        asyncio.run(main())
    """
    client = leasehold.connect(url)
    with client.lock("a", ttl=3600):
        for _ in range(10):
            code, out, err = run(program, url)
            assert (code, out, err) == (0, "", "")
        eventually(lambda: client.inspect("a").waiting == 0, "an empty queue")
