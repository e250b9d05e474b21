"""Locks that are taken together. The rules are shown in core/tests/multi.rs; here it is what Python
makes of them.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import leasehold
import pytest
from conftest import PATIENCE, nothing_left, queued

NAMES = ["d", "b", "a", "c"]


@pytest.fixture(name="client")
def _client(each_client: leasehold.Client) -> leasehold.Client:
    return each_client


def held(client: leasehold.Client) -> list[str]:
    return [info.name for info in client.list()]


def test_all_are_held_in_with(client: leasehold.Client) -> None:
    locks = client.lock_all(NAMES)
    with locks as leases:
        assert [lease.name for lease in leases] == NAMES
        assert len(leases) == 4
        assert held(client) == sorted(NAMES)
        assert leases.is_held()
        assert 29 < leases.remaining <= 30
        for lease in leases:
            holder = client.inspect(lease.name).holder
            assert holder is not None
            assert holder.fence == lease.fence
        assert leases[1].name == "b"
        assert [lease.name for lease in leases[2:]] == ["a", "c"]
        leases.check(20)
        leases.extend(60)
        assert leases[3].remaining > 50
        with client.try_lock_all(["x", "a"]) as none:
            assert none is None
        assert held(client) == sorted(NAMES), "x was left alone"
        assert leases.lost_reason is None
    assert repr(leases) == "<Leases of 'd, b, a, c', released>"
    nothing_left(client, "a")
    assert held(client) == []
    assert repr(locks) == "<LockAll 'd, b, a, c'>"
    assert leases.release() is leasehold.Release.REPEATED


def test_kinds_are_mixed(client: leasehold.Client) -> None:
    mixed = [
        client.rwlock("prices").read(),
        client.semaphore("slots", 5).permits(2),
        client.lock("alone", ttl=60, note="mixed"),
    ]
    with client.lock_all(mixed, wait=5) as leases:
        assert [str(lease.kind) for lease in leases] == ["shared", "permits", "exclusive"]
        assert leases[2].remaining > 30
        with client.try_lock_all([client.rwlock("prices").read()]) as reads:
            assert reads is not None


def test_one_of_them_is_given_back_alone(client: leasehold.Client) -> None:
    leases = client.lock_all(NAMES).acquire()
    assert leases[1].release() is leasehold.Release.RELEASED
    assert held(client) == ["a", "c", "d"]
    assert not leases.is_held()
    assert leases.release() is leasehold.Release.RELEASED
    assert held(client) == []


def test_taken_apart_they_stay_held(client: leasehold.Client) -> None:
    one, other = client.lock_all(["a", "b"]).acquire()
    gc.collect()
    assert (one.is_held(), other.is_held()) == (True, True)
    assert one.release() is leasehold.Release.RELEASED
    assert other.is_held()
    other.release()


def test_forgotten_they_are_given_back(client: leasehold.Client) -> None:
    leases = client.lock_all(NAMES).acquire()
    gone = weakref.ref(leases)
    with pytest.warns(ResourceWarning, match="'d, b, a, c' was never released"):
        del leases
        gc.collect()
    assert gone() is None
    for name in NAMES:
        nothing_left(client, name)


def test_a_wait_for_all_ends(client: leasehold.Client) -> None:
    with client.lock("c"):
        with pytest.raises(leasehold.LockTimeout) as raised:
            client.lock_all(NAMES, wait=0.05).acquire()
        assert raised.value.name == "d, b, a, c"
        assert held(client) == ["c"]
        assert client.try_lock_all(NAMES).acquire() is None


def test_a_waiting_thread_gets_all(client: leasehold.Client) -> None:
    first = client.lock("b").acquire()
    got: list[leasehold.Leases] = []
    thread = threading.Thread(target=lambda: got.append(client.lock_all(NAMES).acquire()))
    thread.start()
    queued(client, "b")
    first.release()
    thread.join(PATIENCE)
    assert got[0].is_held()
    got[0].release()


def test_a_loss_of_one_is_the_loss_of_all(client: leasehold.Client) -> None:
    reasons: list[leasehold.LostReason] = []
    rung = threading.Event()

    def lost(reason: leasehold.LostReason) -> None:
        reasons.append(reason)
        rung.set()

    def work() -> None:
        short = client.lock("a", ttl=0.3, renew=False)
        with client.lock_all([short, "b"]) as leases:
            leases.on_lost(lost)
            assert leases.lost.wait(PATIENCE)
            assert not leases.is_held()
            assert leases[1].is_held()

    with pytest.raises(leasehold.LockLost) as raised:
        work()
    assert raised.value.reason is leasehold.LostReason.EXPIRED
    assert rung.wait(PATIENCE)
    assert reasons == [leasehold.LostReason.EXPIRED]
    nothing_left(client, "b")


def test_the_bodys_error_is_not_masked(client: leasehold.Client) -> None:
    with pytest.raises(KeyError), client.lock_all(NAMES):
        raise KeyError("own")
    assert held(client) == []


def test_async_with(client: leasehold.Client) -> None:
    async def work() -> None:
        async with client.lock_all(NAMES) as leases:
            assert leases.is_held()
            waiting = asyncio.create_task(client.lock_all(["a", "z"]).acquire_async())
            await asyncio.to_thread(queued, client, "a")
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        # A waiter that was cancelled just now may have been granted it on the way.
        await asyncio.to_thread(nothing_left, client, "a")
        # On the loss of one the body is cancelled.
        short = client.lock("a", ttl=0.3, renew=False)
        with pytest.raises(leasehold.LockLost):
            async with client.lock_all([short, "b"]):
                await asyncio.sleep(PATIENCE)

    asyncio.run(work())
    nothing_left(client, "b")


def test_what_is_wrong_is_said(client: leasehold.Client) -> None:
    wrong: object
    for wrong in ("abc", [7], [None], [client.try_lock("a")], [client.rwlock("a")]):
        with pytest.raises(TypeError, match="lock"):
            client.lock_all(wrong)  # type: ignore[arg-type]
    other = leasehold.connect("memory://")
    with pytest.raises(leasehold.InvalidInput, match="another client"):
        client.lock_all([other.lock("a")])
    for names, said in (
        (["a", "b", "a"], "in the list twice"),
        (["a", ""], "name"),
        ([str(number) for number in range(1001)], "1001 locks at once"),
    ):
        with pytest.raises(leasehold.InvalidInput, match=said):
            client.lock_all(names).acquire()
    with pytest.raises(leasehold.InvalidInput):
        client.lock_all(["a"], wait=-1).acquire()
    assert held(client) == []
    with client.lock_all([]) as none:
        assert len(none) == 0
        assert none.is_held()


def test_each_alone(client: leasehold.Client) -> None:
    other = client.lock("b").acquire()
    tries = client.try_each(["a", "b", client.lock("c", ttl=60)])
    with tries as each:
        assert len(each) == 3
        one, none, three = each
        assert none is None
        assert isinstance(one, leasehold.Lease)
        assert isinstance(three, leasehold.Lease)
        assert [lease.name for lease in each.leases] == ["a", "c"]
        assert three.remaining > 30
        assert each[1] is None
        assert [type(item) for item in each[:2]] == [leasehold.Lease, type(None)]
        # One is done with before the others.
        assert one.release() is leasehold.Release.RELEASED
        assert held(client) == ["b", "c"]
        assert three.is_held()
    assert held(client) == ["b"]
    assert (repr(tries), repr(each)) == ("<TryEach 'a, b, c'>", "<Each of 'a, c', released>")
    with client.try_each(["b"]) as nothing:
        assert nothing.leases == []
        assert nothing[0] is None
    other.release()


def test_what_is_wrong_with_one_is_its_own(client: leasehold.Client) -> None:
    with client.semaphore("slots", 2), client.try_each(["a", "slots"]) as each:
        one, wrong = each
        assert isinstance(one, leasehold.Lease)
        assert isinstance(wrong, leasehold.InvalidInput)
        assert wrong.name == "slots"
    for names in (["a", "b", "a"], ["a", ""]):
        with pytest.raises(leasehold.InvalidInput):
            client.try_each(names).acquire()
    assert held(client) == []


def test_each_with_asyncio(client: leasehold.Client) -> None:
    async def work() -> None:
        async with client.try_each(NAMES) as each:
            assert len(each.leases) == 4
        assert held(client) == []
        short = client.lock("a", ttl=0.3, renew=False)
        with pytest.raises(leasehold.LockLost):
            async with client.try_each([short, "b"]):
                await asyncio.sleep(PATIENCE)

    asyncio.run(work())
    nothing_left(client, "b")


def test_each_that_is_forgotten_is_given_back(client: leasehold.Client) -> None:
    each = client.try_each(NAMES).acquire()
    with pytest.warns(ResourceWarning, match="never released"):
        del each
        gc.collect()
    for name in NAMES:
        nothing_left(client, name)
