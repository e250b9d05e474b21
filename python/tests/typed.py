"""What a type checker must see. Checked by test_types.py, never run."""

from datetime import timedelta
from typing import assert_type

import leasehold

client = leasehold.connect()


def sync() -> None:
    with client.lock("a", ttl=timedelta(seconds=30), wait=5) as lease:
        assert_type(lease, leasehold.Lease)
        assert_type(lease.fence, int)
        assert_type(lease.remaining, float)
        assert_type(lease.lost_reason, leasehold.LostReason | None)
    # Neither kind of scope swallows an error: what follows is reachable.
    assert_type(client.lock("a").acquire(), leasehold.Lease)
    assert_type(client.try_lock("a").acquire(), leasehold.Lease | None)
    with client.try_lock("a") as perhaps:
        assert_type(perhaps, leasehold.Lease | None)
    assert_type(client.lock("a").acquire().release(), leasehold.Release)
    assert_type(client.inspect("a").holder, leasehold.HolderInfo | None)
    assert_type(client.list("a"), list[leasehold.LockInfo])
    assert_type(client.shutdown(), bool)


def parties() -> None:
    with client.election("e").campaign("x") as lead:
        assert_type(lead, leasehold.Leadership)
        assert_type(lead.resign(), leasehold.Release)
    with client.election("e").try_campaign() as perhaps:
        assert_type(perhaps, leasehold.Leadership | None)
    for leader in client.election("e").observe():
        assert_type(leader, leasehold.Leader | None)
    with client.barrier("b", 2) as inside:
        assert_type(inside, leasehold.Inside)
    assert_type(client.latch("l", 2).count_down(), int)
    with client.try_each(["a"]) as each:
        assert_type(each[0], leasehold.Lease | leasehold.LockError | None)
    with leasehold.AdaptiveTtl().adapt(client.lock("a")) as lease:
        assert_type(lease, leasehold.Lease)


async def with_asyncio() -> None:
    async for leader in client.election("e").observe():
        assert_type(leader, leasehold.Leader | None)
    async with client.barrier("b", 2) as inside:
        assert_type(inside, leasehold.Inside)
    async with client.lock("a") as lease:
        assert_type(lease, leasehold.Lease)
    async with client.try_lock("a") as perhaps:
        assert_type(perhaps, leasehold.Lease | None)
    assert_type(await client.lock("a").acquire_async(), leasehold.Lease)
    assert_type(await client.is_locked_async("a"), bool)


def returns() -> int:
    with client.lock("a"):
        return 1


@client.locked("nightly")
def job(number: int, *, word: str = "") -> bytes:
    return word.encode() * number


@client.locked(lambda number: f"job:{number}", ttl=5)
async def later(number: int) -> str:
    return str(number)


async def calls() -> None:
    assert_type(job(1, word="x"), bytes)
    assert_type(await later(1), str)
    job("1")  # type: ignore[arg-type]
    client.lock("a", ttl="30")  # type: ignore[arg-type]
    client.lock(1)  # type: ignore[arg-type]
