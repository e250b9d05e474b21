"""Locks by name from one configuration. Its rules are shown in core/tests/manager; here it is what
Python makes of them."""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import threading
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import leasehold
import pytest
from conftest import PATIENCE, Redis, eventually
from leasehold import Manager, ReturnState

TOML = """
    [stores.main]
    url = "memory://{main}"
    [stores.local]
    url = "{local}"

    [defaults]
    store = "main"
    ttl = "20s"
    note = "by default"

    [prefix."report:"]
    store = "local"
    wait = "none"

    [name."workers"]
    kind = "semaphore"
    capacity = 3
    [name."prices"]
    kind = "rwlock"

    [permissions]
    evict = true
"""


@pytest.fixture(params=["sqlite", "redis"])
def local(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of the second store."""
    if request.param == "redis":
        redis: Redis = request.getfixturevalue("one_redis")
        return f"{redis.direct}?prefix={uuid.uuid4()}:"
    return f"sqlite://{tmp_path}/locks.db"


@pytest.fixture
def manager(local: str) -> Manager:
    return Manager.from_toml(TOML.format(main=uuid.uuid4(), local=local))


def test_the_configuration_says_what_a_name_is(manager: Manager, local: str) -> None:
    with manager.lock("a") as lease:
        assert 0 < lease.remaining <= 20
        assert manager.is_locked("a")
        holder = manager.holder("a")
        assert holder is not None
        assert (holder.fence, holder.who.note) == (lease.fence, "by default")
        assert (holder.who.pid, holder.who.language) == (os.getpid(), "python")
        assert holder.who.host == socket.gethostname()
    assert not manager.is_locked("a")
    assert manager.holder("a") is None
    with manager.lock("report:1", ttl=timedelta(seconds=5), note="said here") as lease:
        assert lease.remaining <= 5
        # The configuration says that it does not wait, and this asks for as little as it says.
        with pytest.raises(leasehold.LockTimeout):
            manager.lock("report:1").acquire()
        assert manager.try_lock("report:1").acquire() is None
        # In the other store, by its plain name.
        held = leasehold.connect(local).inspect("report:1").holder
        assert held is not None
        assert (held.fence, held.who.note) == (lease.fence, "said here")
    with manager.rwlock("prices").read() as one, manager.rwlock("prices").read() as other:
        assert one.epoch == other.epoch
        assert manager.rwlock("prices").try_write().acquire() is None
    slots = manager.semaphore("workers")
    assert slots.capacity == 3
    with slots, slots.permits(2):
        assert slots.try_permits(1).acquire() is None
        slots.resize(4)
        with slots:
            pass
    with leasehold.AdaptiveTtl().adapt(manager.lock("a")) as lease:
        assert lease.is_held()
    assert manager.shutdown(5)


def test_with_asyncio(manager: Manager) -> None:
    async def main() -> None:
        async with manager.lock("a") as lease, manager.semaphore("workers"):
            assert await manager.is_locked_async("a")
            holder = await manager.holder_async("a")
            assert holder is not None
            assert holder.fence == lease.fence
            assert (await manager.inspect_async("workers")).holder is not None
            placed = await manager.list_async()
            assert [(it.store, it.lock.name) for it in placed] == [
                ("main", "a"),
                ("main", "workers"),
            ]
            told: asyncio.Queue[leasehold.AskedBack] = asyncio.Queue()
            lease.on_asked_back(told.put_nowait)
            returned = await manager.ask_back_async("a", why="now", grace=0.2)
            assert returned.state is ReturnState.STILL_HELD
            assert (await asyncio.wait_for(told.get(), PATIENCE)).why == "now"
        health = await manager.health_async()
        assert [it.store for it in health] == ["local", "main"]
        assert await manager.evict_async("a", why="none") is None
        assert (await manager.revoke_async("a", why="none", grace=1)).state == "not_held"
        assert await manager.shutdown_async(5)

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_all_stores_are_listed(manager: Manager, local: str) -> None:
    # What lies under a name that belongs elsewhere is left out.
    foreign = leasehold.connect(local).lock("a").acquire()
    with manager.lock("a"), manager.lock("report:2"), manager.lock("report:1"):
        found = [(it.store, it.lock.name) for it in manager.list()]
        assert found == [("main", "a"), ("local", "report:1"), ("local", "report:2")]
        assert [it.lock.name for it in manager.list("report:", limit=1)] == ["report:1"]
        assert [it.lock.name for it in manager.list("report:", after="report:1")] == ["report:2"]
    foreign.release()


def test_a_lock_is_taken_away(manager: Manager) -> None:
    lease = manager.lock("a").acquire()
    revoked = manager.revoke("a", why="now", grace=0.05)
    assert (revoked.state, revoked.fence) == (ReturnState.EVICTED, lease.fence)
    with pytest.raises(leasehold.LockLost):
        lease.extend(20)
    assert lease.lost_reason == "revoked"
    other = manager.lock("a").acquire()
    assert manager.evict("a", why="now", fence=lease.fence) is None
    assert manager.evict("a", why="now", fence=other.fence) == other.fence
    other.release()


def test_what_is_not_permitted_is_refused_and_told() -> None:
    told: queue.Queue[leasehold.AuditEvent] = queue.Queue()
    manager = Manager({"stores": {"main": {"url": "memory://"}}}, audit=told.put)
    with manager.lock("a") as lease:
        for call in (
            lambda: manager.evict("a", why="now"),
            lambda: manager.revoke("a", why="now", grace=0.05),
        ):
            with pytest.raises(leasehold.Unsupported, match="does not permit"):
                call()
            event = told.get(timeout=PATIENCE)
            assert (event.outcome, event.lock, event.action) == ("refused", "a", "evict")
            assert event.error is not None
        # To ask is permitted.
        assert manager.ask_back("a", why="now", grace=0.05).state == "still_held"
        assert lease.is_held()
    assert [told.get(timeout=PATIENCE).outcome for _ in range(2)] == ["begun", "still_held"]


def test_a_mapping_says_the_same() -> None:
    config: dict[str, Any] = {
        "stores": {"main": {"url": "memory://"}, "other": {"url": "memory://"}},
        "defaults": {"store": "main", "ttl": timedelta(milliseconds=2500), "wait": "forever"},
        "prefix": {"x:": {"store": "other", "ttl": 7, "renew": False, "wait": 0.5}},
        "name": {"s": {"kind": "semaphore", "capacity": 2}},
    }
    manager = Manager(config)
    with manager.lock("a") as lease:
        assert lease.remaining <= 2.5
    with manager.lock("x:1") as lease:
        assert 2.5 < lease.remaining <= 7
        assert manager.list()[0].store == "other"
    assert manager.semaphore("s").capacity == 2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "no store"),
        ({"stores": {"m": {"url": "memory://"}}, "nmae": {}}, "nmae"),
        ({"stores": {"m": {"url": "nowhere://host"}}}, 'store "m"'),
        (
            {"stores": {"m": {"url": "memory://"}}, "prefix": {"r:": {"store": "n"}}},
            'prefix "r:".*no store "n"',
        ),
        ({"stores": {"m": {"url": "memory://"}}, "name": {"s": {"kind": "semaphore"}}}, 'name "s"'),
        ({"stores": {"m": {"url": "memory://"}}, "defaults": {"ttl": True}}, "number of seconds"),
        ({"stores": {"m": {"url": 7}}}, "expected a string"),
    ],
)
def test_what_is_wrong_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises((leasehold.InvalidInput, leasehold.Unsupported), match=message):
        Manager(config)


def test_no_error_shows_a_password() -> None:
    secret = "redis://u:canary@host"
    for config in (
        {"stores": {"m": secret}},
        {"stores": {"m": {"url": secret, "x": 1}}},
        {"stores": {"m": {"url": "redis://u:canary@host:port"}}},
        {"stores": {"m": {"url": "memory://"}}, "defaults": {"store": secret}},
        {"stores": {"m": {"url": "memory://"}}, "defaults": {"ttl": secret}},
    ):
        with pytest.raises(leasehold.InvalidInput) as error:
            Manager(config)
        assert "canary" not in str(error.value)
    with pytest.raises(TypeError):
        Manager("stores")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Manager({"stores": {"m": {"url": b"memory://"}}})


def test_a_name_has_one_kind(manager: Manager) -> None:
    for describe in (manager.lock, manager.rwlock, manager.try_lock):
        with pytest.raises(leasehold.InvalidInput, match="semaphore"):
            describe("workers")
    with pytest.raises(leasehold.InvalidInput):
        manager.semaphore("a")
    with pytest.raises(leasehold.InvalidInput):
        manager.lock("")
    with pytest.raises(leasehold.InvalidInput, match="another client"):
        leasehold.connect("memory://").lock_all([manager.lock("a")])


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "locks.toml"
    with pytest.raises(leasehold.StoreFailed, match=r"locks\.toml"):
        Manager.from_file(path)
    path.write_text(TOML.format(main="", local="memory://"))
    assert not Manager.from_file(path).is_locked("a")
    path.write_text("stores = 1\n")
    with pytest.raises(leasehold.InvalidInput, match="line 1"):
        Manager.from_file(path)


def test_usage_is_counted_by_name(manager: Manager) -> None:
    assert manager.usage("a") is None
    described = manager.lock("a")
    usage = manager.usage("a")
    assert usage is not None
    assert (usage.held, usage.waiting, usage.idle, usage.last_used) == (0, 0, 1, None)
    lease = described.acquire()
    released: list[leasehold.Lease] = []
    waiter = threading.Thread(target=lambda: released.append(manager.lock("a").acquire()))
    waiter.start()

    def waits() -> bool:
        usage = manager.usage("a")
        return usage is not None and (usage.held, usage.waiting) == (1, 1)

    eventually(waits, "one holds and one waits")
    assert [it.name for it in manager.usages()] == ["a"]
    assert repr(manager) == "<Manager of 1 names in use>"
    lease.release()
    waiter.join(PATIENCE)
    released[0].release()
    del described, lease, released[:]
    eventually(lambda: manager.usages() == [], "nothing is in use")


def test_health_says_what_each_store_does(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    stores = {"good": {"url": "memory://"}, "bad": {"url": f"sqlite://{nowhere}/locks.db"}}
    manager = Manager({"stores": stores, "defaults": {"store": "good"}})
    with manager.lock("a"):
        bad, good = manager.health()
    assert (bad.store, good.store) == ("bad", "good")
    assert not bad.is_reachable
    assert isinstance(bad.error, leasehold.LockError)
    assert good.is_reachable
    assert good.error is None
    assert (good.held, good.waiting) == (1, 0)
    assert good.url == "memory://"
