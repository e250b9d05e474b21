"""Fork: an inherited lease is inert in the child, which may take locks of its own; the parent
notices nothing.

Every case runs in a program of its own, which fails if it hangs.
"""

from __future__ import annotations

import leasehold
import pytest
from conftest import nothing_left, run

FORK = """
    import os, sys, warnings, leasehold
    warnings.simplefilter("ignore", DeprecationWarning)
    url = sys.argv[1]
    client = leasehold.connect(url)

    def in_child(work):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work()
                code = 0
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
"""


def ok(program: str, *arguments: str) -> None:
    code, out, err = run(FORK + program, *arguments)
    assert (code, out, err) == (0, "done\n", "")


def test_an_inherited_lease_is_inert(url: str) -> None:
    ok(
        """
    lease = client.lock("a", ttl=60).acquire()
    told = []
    lease.on_lost(told.append)

    def child():
        assert not lease.is_held()
        assert lease.remaining == 0.0
        assert lease.lost_reason == "forked"
        assert lease.lost.is_set() and lease.lost.wait(60)
        for call in (lease.check, lambda: lease.extend(100)):
            try:
                call()
            except leasehold.Forked as error:
                assert error.reason is leasehold.LostReason.FORKED
            else:
                raise AssertionError("no error")
        lease.touch()
        assert lease.release() is leasehold.Release.LOST
        assert (lease.name, lease.fence) == ("a", fence)

    fence = lease.fence
    in_child(child)
    assert lease.is_held() and not told
    lease.extend(100)
    assert client.inspect("a").holder.fence == fence
    assert lease.release() is leasehold.Release.RELEASED
    print("done")
    """,
        url,
    )


def test_the_child_takes_its_own(url: str) -> None:
    """With the inherited client and with a new one; the parent's lock excludes it."""
    ok(
        """
    lease = client.lock("a", ttl=60).acquire()

    def child():
        for mine in (client, leasehold.connect(url)):
            assert mine.try_lock("a").acquire() is None
            with mine.lock("b", wait=30) as own:
                assert own.is_held()
        # And a child of the child.
        in_child(lambda: client.lock("b").acquire().release())

    in_child(child)
    assert lease.is_held()
    lease.release()
    in_child(lambda: client.lock("a", wait=30).acquire().release())
    print("done")
    """,
        url,
    )


def test_forked_in_the_body(url: str) -> None:
    """The child that leaves the parent's scope is told, and releases nothing of the parent's."""
    ok(
        """
    lock = client.lock("a", ttl=60)
    def child():
        try:
            lock.__exit__(None, None, None)
        except leasehold.Forked:
            return
        raise AssertionError("not told")
    with lock as lease:
        in_child(child)
        assert lease.is_held()
        assert client.is_locked("a")
    assert not client.is_locked("a")
    print("done")
    """,
        url,
    )


def test_forked_while_others_wait(url: str) -> None:
    """Threads wait and callbacks run while the process forks again and again."""
    ok(
        """
    import threading
    lease = client.lock("a", ttl=60).acquire()
    ended = threading.Event()
    other = client.lock("gone", max_hold=0.1).acquire()
    other.on_lost(lambda _: ended.set())
    assert ended.wait(60)

    def wait():
        with client.lock("a", wait=60):
            pass

    waiters = [threading.Thread(target=wait) for _ in range(3)]
    for waiter in waiters:
        waiter.start()

    def child():
        # The parent's waiters are not ours; the thread for callbacks is a new one.
        heard = threading.Event()
        mine = client.lock("mine", max_hold=0.1, wait=30).acquire()
        mine.on_lost(lambda _: heard.set())
        assert heard.wait(60)
        import asyncio
        async def main():
            async with client.lock("async", wait=30):
                await asyncio.sleep(0)
        asyncio.run(main())

    for _ in range(3):
        in_child(child)
    assert lease.release() is leasehold.Release.RELEASED
    for waiter in waiters:
        waiter.join(60)
        assert not waiter.is_alive()
    print("done")
    """,
        url,
    )


def test_forked_in_a_running_loop(url: str) -> None:
    ok(
        """
    import asyncio
    async def main():
        async with client.lock("a") as lease:
            waiting = asyncio.create_task(client.lock("a", wait=60).acquire_async())
            while client.inspect("a").waiting == 0:
                await asyncio.sleep(0.005)
            def child():
                assert not lease.is_held()
                async def own():
                    assert await client.try_lock("a").acquire_async() is None
                    async with client.lock("b"):
                        await asyncio.sleep(0)
                asyncio.run(own())
            in_child(child)
            assert lease.is_held()
        await (await waiting).release_async()
    asyncio.run(main())
    print("done")
    """,
        url,
    )


def test_the_child_exits_normally(url: str) -> None:
    """Not by os._exit: its exit hooks run, and must touch nothing of the parent's."""
    ok(
        """
    lease = client.lock("a", ttl=60).acquire()
    pid = os.fork()
    if pid == 0:
        kept = client.lock("b", ttl=3600).acquire()
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert lease.is_held() and client.is_locked("a")
    client.lock("b", wait=30).acquire().release()   # given back at the child's exit
    lease.release()
    print("done")
    """,
        url,
    )


WORKERS = """
import multiprocessing, sys, leasehold

def count(url, path, rounds):
    client = leasehold.connect(url)
    for _ in range(rounds):
        with client.lock("count", wait=60):
            with open(path) as file:
                seen = int(file.read())
            with open(path, "w") as file:
                file.write(str(seen + 1))

def keep(url):
    global kept
    kept = leasehold.connect(url).lock("kept", ttl=3600).acquire()

if __name__ == "__main__":
    method, url, path = sys.argv[1:]
    context = multiprocessing.get_context(method)
    if method == "fork":
        # The parent has a runtime, and holds a lock, when it forks.
        mine = leasehold.connect(url).lock("mine").acquire()
    with open(path, "w") as file:
        file.write("0")
    workers = [context.Process(target=count, args=(url, path, 25)) for _ in range(4)]
    workers.append(context.Process(target=keep, args=(url,)))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0, worker.exitcode
    if method == "fork":
        assert mine.is_held()
        mine.release()
    with open(path) as file:
        print(file.read())
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(url: str, method: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An unlocked read-modify-write loses nothing under the lock; a worker that ends holding one
    gives it back, though Python runs no atexit hooks there."""
    folder = tmp_path_factory.mktemp("work")
    script = folder / "workers.py"
    script.write_text(WORKERS)
    code, out, err = run(
        f"""
        import runpy, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        sys.argv = [{str(script)!r}, *sys.argv[1:]]
        runpy.run_path({str(script)!r}, run_name="__main__")
        """
        if method == "fork"
        else f"""
        import subprocess, sys
        sys.exit(subprocess.run([sys.executable, {str(script)!r}, *sys.argv[1:]]).returncode)
        """,
        method,
        url,
        str(folder / "count"),
    )
    assert (code, out, err) == (0, "100\n", "")
    nothing_left(leasehold.connect(url), "kept")
