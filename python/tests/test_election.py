"""Elections. Their rules are shown in core/tests/parties; here it is what Python makes of them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import leasehold
import pytest
from conftest import PATIENCE, Child, nothing_left, queued


@pytest.fixture(name="client")
def _client(each_client: leasehold.Client) -> leasehold.Client:
    return each_client


def test_a_campaign_is_a_scope(client: leasehold.Client) -> None:
    election = client.election("e")
    observer = election.observe()
    assert next(observer) is None
    assert election.leader() is None
    campaign = election.campaign("10.0.0.7:5432", ttl=3600, note="first")
    with campaign as lead:
        leader = next(observer)
        assert leader is not None
        assert (leader.fence, leader.value) == (lead.fence, b"10.0.0.7:5432")
        assert (leader.who.note, leader.who.pid) == ("first", os.getpid())
        assert election.leader() == leader
        assert (lead.is_held(), lead.name, lead.lost_reason) == (True, "e", None)
        with election.try_campaign() as none:
            assert none is None
        lead.proclaim(b"\xff")
        told = next(observer)
        assert told is not None
        assert told.value == b"\xff"
        assert repr(lead) == f"<Leadership of 'e', fence {lead.fence}, leads>"
    # Far before the lease's end.
    assert next(observer) is None
    assert lead.resign() is leasehold.Release.REPEATED
    with pytest.raises(leasehold.LockLost):
        lead.proclaim("late")
    # The description may be used again.
    with campaign as again:
        assert again.fence > lead.fence
    nothing_left(client, "e")


def test_one_waits_for_the_lead(client: leasehold.Client) -> None:
    election = client.election("e")
    lead = election.campaign().acquire()
    won: list[leasehold.Leadership] = []
    thread = threading.Thread(target=lambda: won.append(election.campaign("two").acquire()))
    thread.start()
    queued(client, "e")
    with pytest.raises(leasehold.LockTimeout):
        election.campaign(wait=0.05).acquire()
    assert lead.resign() is leasehold.Release.RELEASED
    thread.join(PATIENCE)
    assert won[0].is_held()
    won[0].resign()


def test_with_asyncio(client: leasehold.Client) -> None:
    async def main() -> None:
        election = client.election("e")
        observer = election.observe()
        assert await anext(observer) is None
        async with election.campaign("one", ttl=3600) as lead:
            leader = await anext(observer)
            assert leader is not None
            assert leader.fence == lead.fence
            await lead.proclaim_async("two")
            async for leader in observer:
                assert leader is not None
                if leader.value == b"two":
                    break
            waiting = asyncio.create_task(election.campaign().acquire_async())
            await asyncio.to_thread(queued, client, "e")
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert await anext(observer) is None
        assert await election.leader_async() is None
        lost = await election.campaign().acquire_async()
        assert await lost.resign_async() is leasehold.Release.RELEASED

    asyncio.run(main())
    nothing_left(client, "e")


def test_the_loss_of_the_lead_cancels_the_body(client: leasehold.Client) -> None:
    async def main() -> None:
        with pytest.raises(leasehold.LockLost) as raised:
            async with client.election("e").campaign(ttl=0.3, renew=False):
                await asyncio.sleep(PATIENCE)
        assert raised.value.reason is leasehold.LostReason.EXPIRED

    asyncio.run(main())
    # In a thread the scope says it at its end.
    with pytest.raises(leasehold.LockLost), client.election("e").campaign(ttl=0.3) as lead:
        client.evict("e", why="a test")
        assert lead.lost.wait(PATIENCE)
        assert not lead.is_held()


def test_a_cancelled_step_of_an_observer_loses_nothing(client: leasehold.Client) -> None:
    async def main() -> None:
        observer = client.election("e").observe()
        assert await anext(observer) is None
        for number in range(5):
            step = asyncio.ensure_future(anext(observer))
            await asyncio.sleep(0)
            leadership = await client.election("e").campaign(str(number)).acquire_async()
            # Before, while and after the change is told.
            await asyncio.sleep(0.002 * number)
            step.cancel()
            try:
                seen = await step
            except asyncio.CancelledError:
                seen = await anext(observer)
            assert seen is not None
            assert seen.value == str(number).encode()
            await leadership.resign_async()
            assert await anext(observer) is None

    asyncio.run(main())


def test_ctrl_c_ends_an_observer(url: str) -> None:
    program = """
        import sys, leasehold
        observer = leasehold.connect(sys.argv[1]).election("e").observe()
        print(next(observer))
        for _ in range(3):
            try:
                sys.stdin.readline()
                print("waiting")
                next(observer)
            except KeyboardInterrupt:
                print("interrupted")
        sys.stdin.readline()
        print(next(observer).value)
    """
    with Child(program, url) as child:
        assert child.line() == "None"
        for _ in range(3):
            child.say("wait")
            assert child.line() == "waiting"
            child.process.send_signal(signal.SIGINT)
            assert child.line() == "interrupted"
        with leasehold.connect(url).election("e").campaign("one"):
            child.say("look")
            assert child.line() == "b'one'"
        assert child.finish() == (0, "", "")


def test_what_is_wrong_is_said(client: leasehold.Client) -> None:
    election = client.election("e")
    assert repr(election) == "<Election 'e'>"
    with pytest.raises(TypeError, match="value"):
        election.campaign(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="name"):
        client.election(7)  # type: ignore[arg-type]
    for call in (
        election.campaign("x" * (60 * 1024 + 1)).acquire,
        client.election("").campaign().acquire,
        client.election("").leader,
        client.election("").observe().__next__,
        election.campaign(ttl=-1).acquire,
    ):
        with pytest.raises(leasehold.InvalidInput):
            call()
    with election.campaign():
        with pytest.raises(leasehold.InvalidInput, match="latch"):
            client.latch("e", 1).count_down()

    async def main() -> None:
        with pytest.raises(RuntimeError, match="async for"):
            next(election.observe())

    asyncio.run(main())
    nothing_left(client, "e")


def test_an_observer_ends_with_its_client() -> None:
    client = leasehold.connect("memory://")
    observer = client.election("e").observe()
    assert next(observer) is None
    ended = threading.Event()

    def watch() -> None:
        with pytest.raises(leasehold.ShutDown):
            next(observer)
        ended.set()

    thread = threading.Thread(target=watch)
    thread.start()
    client.shutdown()
    assert ended.wait(PATIENCE)
    thread.join()
