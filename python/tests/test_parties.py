"""Latches and barriers. Their rules are shown in core/tests/parties; here it is what Python makes
of them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import leasehold
import pytest
from conftest import PATIENCE, Child, eventually, nothing_left


@pytest.fixture(name="client")
def _client(each_client: leasehold.Client) -> leasehold.Client:
    return each_client


def test_a_latch_opens_once(client: leasehold.Client) -> None:
    latch = client.latch("l", 3)
    opened = threading.Event()

    def wait() -> None:
        client.latch("l", 3).wait(PATIENCE)
        opened.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert latch.left() == 3
    assert latch.count_down() == 2
    with pytest.raises(TimeoutError):
        latch.wait(0.05)
    assert not latch.is_open()
    assert not opened.is_set()
    assert latch.count_down(2) == 0
    assert opened.wait(PATIENCE)
    thread.join()
    latch.wait(0)
    assert latch.is_open()
    assert latch.count_down() == 0
    assert repr(latch) == "<Latch 'l' of 3>"


def test_a_latch_with_asyncio(client: leasehold.Client) -> None:
    async def main() -> None:
        latch = client.latch("l", 2, keep=60)
        waiting = asyncio.create_task(latch.wait_async())
        given_up = asyncio.create_task(latch.wait_async())
        await asyncio.sleep(0.01)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        with pytest.raises(leasehold.LockTimeout):
            await latch.wait_async(0.05)
        assert await latch.count_down_async() == 1
        assert await latch.left_async() == 1
        assert not waiting.done()
        assert await latch.count_down_async() == 0
        await asyncio.wait_for(waiting, PATIENCE)
        assert await latch.is_open_async()
        with pytest.raises(RuntimeError, match="wait_async"):
            latch.wait()

    asyncio.run(main())


def test_what_is_wrong_with_a_latch_is_said(client: leasehold.Client) -> None:
    client.latch("l", 2).count_down()
    for call in (
        client.latch("l", 3).count_down,
        client.latch("l", 3).wait,
        lambda: client.latch("l", 2).count_down(0),
        client.latch("m", 0).left,
        client.latch("", 1).left,
        client.latch("l", 2, keep=1).left,
        client.latch("l", 2, keep=-1).left,
        lambda: client.latch("l", 2).wait(-1),
        lambda: client.latch("l", -1),
    ):
        with pytest.raises(leasehold.InvalidInput):
            call()
    with pytest.raises(TypeError):
        client.latch("l", "2")  # type: ignore[arg-type]
    assert client.latch("l", 2).left() == 1


def test_none_goes_in_before_all_and_none_out_before_all(client: leasehold.Client) -> None:
    """Judged by counting, round after round."""
    parties, rounds = 4, 5
    barrier = client.barrier("b", parties, ttl=60, wait=PATIENCE)
    assert barrier.parties == parties
    lock = threading.Lock()
    came, left = 0, 0
    wrong: list[str] = []

    def member() -> None:
        nonlocal came, left
        for number in range(1, rounds + 1):
            with lock:
                came += 1
            with barrier as inside:
                if came < number * parties or not inside.is_held():
                    wrong.append(f"in with {came} in round {number}")
                with lock:
                    left += 1
            if left < number * parties:
                wrong.append(f"out with {left} in round {number}")

    threads = [threading.Thread(target=member) for _ in range(parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert wrong == []
    assert (came, left) == (parties * rounds, parties * rounds)
    nothing_left(client, "b")


def test_who_raises_does_not_wait_for_the_others(client: leasehold.Client) -> None:
    async def main() -> None:
        barrier = client.barrier("b", 2, ttl=3600)
        other = asyncio.create_task(barrier.enter_async())
        with pytest.raises(KeyError):
            async with barrier:
                raise KeyError("own")
        inside = await other
        # Told at once, not at the end of the other's lease.
        await asyncio.wait_for(inside.leave_async(), PATIENCE)
        assert not inside.is_held()

    asyncio.run(main())
    nothing_left(client, "b")


def test_who_is_cancelled_while_it_leaves_has_left(client: leasehold.Client) -> None:
    async def main() -> None:
        barrier = client.barrier("b", 2, ttl=3600)
        leaving = asyncio.Event()

        async def member() -> None:
            async with barrier:
                leaving.set()

        task = asyncio.create_task(member())
        other = await barrier.enter_async()
        await leaving.wait()
        await asyncio.sleep(0.02)
        assert not task.done(), "the other is in"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(other.leave_async(), PATIENCE)

    asyncio.run(main())
    nothing_left(client, "b")


def test_outside_a_scope(client: leasehold.Client) -> None:
    barrier = client.barrier("b", 2, wait=0.05)
    with pytest.raises(leasehold.LockTimeout):
        barrier.enter()
    nothing_left(client, "b")
    both = client.barrier("b", 2, ttl=3600, wait=PATIENCE)
    places: list[leasehold.Inside] = []
    thread = threading.Thread(target=lambda: places.append(both.enter()))
    thread.start()
    first = both.enter()
    thread.join(PATIENCE)
    assert repr(first) == "<Inside of 'b', in>"
    with pytest.raises(leasehold.LockTimeout):
        first.leave(0.05)
    # It has left all the same; it may wait once more.
    assert repr(first) == "<Inside of 'b', out>"
    assert places[0].release() is leasehold.Release.RELEASED
    first.leave(PATIENCE)
    nothing_left(client, "b")


def test_a_place_that_was_lost_is_told(client: leasehold.Client) -> None:
    with pytest.raises(leasehold.LockLost), client.barrier("b", 1, ttl=0.3) as inside:
        client.evict("b", why="a test")
        assert inside.lost.wait(PATIENCE)
    with pytest.raises(leasehold.InvalidInput):
        client.barrier("b", 0).enter()


def holder_of(client: leasehold.Client, name: str) -> int | None:
    """The process of the one holder that is shown."""
    holder = client.inspect(name).holder
    return None if holder is None else holder.who.pid


LEAVE = """
    import sys, threading, leasehold
    client = leasehold.connect(sys.argv[1])
    barrier = client.barrier("b", 2, ttl=3600)
    try:
        with barrier as inside:
            print("in")
    except KeyboardInterrupt:
        print("interrupted")
    sys.stdin.readline()
"""


def test_ctrl_c_while_the_others_are_in(url: str) -> None:
    """The scope ends at once, and the member is out, although its handle lives on."""
    client = leasehold.connect(url)
    with Child(LEAVE, url) as child:
        inside = client.barrier("b", 2, ttl=3600, wait=PATIENCE).enter()
        assert child.line() == "in"
        # Its place is free while it waits for us to leave.
        eventually(lambda: holder_of(client, "b") == os.getpid(), "one place that is taken")
        child.process.send_signal(signal.SIGINT)
        assert child.line() == "interrupted"
        inside.leave(PATIENCE)
        child.say("end")
        assert child.finish() == (0, "", "")
    nothing_left(client, "b")


ENTER = """
    import sys, leasehold
    client = leasehold.connect(sys.argv[1])
    for wait in (client.barrier("b", 2, ttl=3600).enter, client.latch("l", 1).wait):
        sys.stdin.readline()
        try:
            print("waiting")
            wait()
        except KeyboardInterrupt:
            print("interrupted")
    sys.stdin.readline()
"""


def test_ctrl_c_while_one_waits(url: str) -> None:
    client = leasehold.connect(url)
    with Child(ENTER, url) as child:
        for _ in range(2):
            child.say("wait")
            assert child.line() == "waiting"
            child.process.send_signal(signal.SIGINT)
            assert child.line() == "interrupted"
        nothing_left(client, "b")
        child.say("end")
        assert child.finish() == (0, "", "")


def test_in_a_forked_child(url: str) -> None:
    from test_fork import ok

    ok(
        """
    latch = client.latch("l", 2)
    latch.count_down()
    inside = client.barrier("b", 1, ttl=60).enter()
    lead = client.election("e").campaign("parent", ttl=60).acquire()
    observer = client.election("e").observe()
    next(observer)

    def child():
        for call in (inside.leave, lambda: lead.proclaim("child"), lambda: next(observer)):
            try:
                call()
            except leasehold.LockError as error:
                assert error.code == "FORKED", error.code
            else:
                raise AssertionError("no error")
        assert not lead.is_held() and not inside.is_held()
        assert lead.resign() is leasehold.Release.LOST
        # What is no tenure is the child's to use, in its own name.
        assert client.election("e").leader().value == b"parent"
        assert latch.count_down() == 0
        latch.wait(30)

    in_child(child)
    assert lead.is_held() and inside.is_held()
    assert client.election("e").leader().value == b"parent"
    latch.wait(30)
    inside.leave(30)
    lead.resign()
    print("done")
    """,
        url,
    )
