"""Bad input: a typed error that names it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import leasehold
import pytest
from leasehold import InvalidInput, StoreFailed, Unsupported

Take = Callable[[leasehold.Client], Any]

BAD_VALUES: list[tuple[str, Take, type[Exception], str]] = [
    ("ttl 0", lambda c: c.lock("a", ttl=0).acquire(), InvalidInput, "ttl is 0"),
    ("ttl -1", lambda c: c.lock("a", ttl=-1).acquire(), InvalidInput, "ttl is -1"),
    ("ttl nan", lambda c: c.lock("a", ttl=math.nan).acquire(), InvalidInput, "ttl is NaN"),
    ("ttl inf", lambda c: c.lock("a", ttl=math.inf).acquire(), InvalidInput, "ttl is inf"),
    ("ttl 2^63", lambda c: c.lock("a", ttl=2**63).acquire(), InvalidInput, "ttl is 92233720"),
    ("ttl 2^64", lambda c: c.lock("a", ttl=2**64).acquire(), InvalidInput, "ttl is 184467440"),
    ("ttl huge", lambda c: c.lock("a", ttl=10**400), InvalidInput, "ttl is a number"),
    ("ttl tiny", lambda c: c.lock("a", ttl=1e-9).acquire(), InvalidInput, "ttl is 1ns"),
    (
        "ttl delta",
        lambda c: c.lock("a", ttl=timedelta(seconds=-1)).acquire(),
        InvalidInput,
        "ttl is -1",
    ),
    ("ttl bool", lambda c: c.lock("a", ttl=True), TypeError, "ttl is True"),
    ("ttl str", lambda c: c.lock("a", ttl="30"), TypeError, "ttl is '30'"),  # type: ignore[arg-type]
    ("ttl None", lambda c: c.lock("a", ttl=None), TypeError, "ttl is None"),  # type: ignore[arg-type]
    ("wait -1", lambda c: c.lock("a", wait=-1).acquire(), InvalidInput, "wait is -1"),
    ("wait nan", lambda c: c.lock("a", wait=math.nan).acquire(), InvalidInput, "wait is NaN"),
    ("wait inf", lambda c: c.lock("a", wait=math.inf).acquire(), InvalidInput, "wait is inf"),
    ("wait 2^63", lambda c: c.lock("a", wait=2**63).acquire(), InvalidInput, "wait is 9223372"),
    ("wait bool", lambda c: c.lock("a", wait=False), TypeError, "wait is False"),
    ("max_hold 0", lambda c: c.lock("a", max_hold=0).acquire(), InvalidInput, "max_hold is 0"),
    ("max_hold nan", lambda c: c.lock("a", max_hold=math.nan).acquire(), InvalidInput, "max_hold"),
    ("renew 1", lambda c: c.lock("a", renew=1), TypeError, "renew is 1"),  # type: ignore[arg-type]
    ("owner int", lambda c: c.lock("a", owner=7), TypeError, "owner is 7"),  # type: ignore[arg-type]
    ("owner big", lambda c: leasehold.Owner(1 << 128), InvalidInput, "128 bits"),
    ("owner neg", lambda c: leasehold.Owner(-1), InvalidInput, "128 bits"),
    ("owner bool", lambda c: leasehold.Owner(True), TypeError, "True"),
    ("prio big", lambda c: c.lock("a", priority=1 << 31), InvalidInput, "priority is 2147483648"),
    ("prio bool", lambda c: c.lock("a", priority=True), TypeError, "priority is True"),
    ("prio float", lambda c: c.lock("a", priority=1.5), TypeError, "priority is 1.5"),  # type: ignore[arg-type]
    ("order", lambda c: c.lock("a", order="fast").acquire(), InvalidInput, 'order is "fast"'),  # type: ignore[arg-type]
    ("order int", lambda c: c.lock("a", order=1), TypeError, "order is 1"),  # type: ignore[arg-type]
    (
        "order owner",
        lambda c: c.lock("a", order="throughput", owner=c.owner()).acquire(),
        Unsupported,
        'order throughput of lock "a"',
    ),
    ("note long", lambda c: c.lock("a", note="x" * 257).acquire(), InvalidInput, "257"),
    ("note surrogate", lambda c: c.lock("a", note="\ud800"), InvalidInput, "note"),
    ("note bytes", lambda c: c.lock("a", note=b"x"), TypeError, "note is b'x'"),  # type: ignore[arg-type]
    ("name empty", lambda c: c.lock("").acquire(), InvalidInput, "lock name is empty"),
    ("name 64K", lambda c: c.lock("n" * 65536).acquire(), InvalidInput, "65536 bytes"),
    ("name 1025", lambda c: c.lock("é" * 512 + "x").acquire(), InvalidInput, "1025 bytes"),
    ("name surrogate", lambda c: c.lock("a\ud800b"), InvalidInput, r"'a\\ud800b'.*index 1"),
    ("name low", lambda c: c.try_lock("\udfff"), InvalidInput, r"'\\udfff'"),
    ("name None", lambda c: c.lock(None), TypeError, "lock name is None"),  # type: ignore[arg-type]
    ("name bytes", lambda c: c.lock(b"a"), TypeError, "lock name is b'a'"),  # type: ignore[arg-type]
    ("name int", lambda c: c.try_lock(3), TypeError, "lock name is 3"),  # type: ignore[arg-type]
    ("inspect empty", lambda c: c.inspect(""), InvalidInput, "lock name is empty"),
    ("inspect surrogate", lambda c: c.is_locked("\udc80"), InvalidInput, "lone surrogate"),
    ("list after", lambda c: c.list(after="\udc80"), InvalidInput, "after"),
    ("list prefix", lambda c: c.list("\udc80"), InvalidInput, "prefix"),
    ("list limit", lambda c: c.list(limit=-1), InvalidInput, "limit is -1"),
    ("shutdown grace", lambda c: c.shutdown(-1), InvalidInput, "grace is -1"),
    ("locked ttl", lambda c: c.locked("a", ttl=True), TypeError, "ttl is True"),
    ("locked name", lambda c: c.locked("\udc80"), InvalidInput, "lone surrogate"),
]


@pytest.mark.parametrize(
    ("take", "kind", "match"), [row[1:] for row in BAD_VALUES], ids=[row[0] for row in BAD_VALUES]
)
def test_bad_values(
    client: leasehold.Client, take: Take, kind: type[Exception], match: str
) -> None:
    with pytest.raises(kind, match=match):
        take(client)
    assert client.list() == []


@pytest.mark.parametrize("value", [-1, math.nan, True, "1"])
def test_bad_values_of_a_lease(client: leasehold.Client, value: Any) -> None:
    with client.lock("a") as lease:
        for call in (lease.check, lease.extend):
            with pytest.raises((InvalidInput, TypeError)):
                call(value)
        with pytest.raises(TypeError):
            lease.lost.wait(True)
        assert lease.is_held()


@pytest.mark.parametrize(
    "name",
    ["\0", "a\nb\r\n", "é" * 512, "x" * 1024, "🔒", "e\u0301", "{a}:*?[]'\"\\%", " ", "/../.."],
)
def test_odd_names_are_names(client: leasehold.Client, name: str) -> None:
    with client.lock(name, note=name[:40]) as lease:
        assert lease.name == name
        assert client.inspect(name).name == name
        assert [info.name for info in client.list(name)] == [name]
        assert client.try_lock(name).acquire() is None
    assert client.list() == []


def test_names_that_look_alike_are_two_locks(client: leasehold.Client) -> None:
    with client.lock("é"), client.lock("e\u0301"), client.lock("a"), client.lock("a\0"):
        assert len(client.list()) == 4


@pytest.mark.parametrize(
    ("url", "kind", "match"),
    [
        ("", InvalidInput, "not a store URL"),
        ("locks.db", InvalidInput, "locks.db"),
        ("ftp://host", InvalidInput, 'unknown scheme "ftp"'),
        ("sqlite://", InvalidInput, "path is missing"),
        ("sqlite://host/x.db", InvalidInput, "host has no place"),
        ("sqlite:///x.db?mode=ro", InvalidInput, "no parameters"),
        ("sqlite:///a%00b", InvalidInput, "NUL"),
        ("memory://a/b", InvalidInput, "memory"),
        ("redis://", InvalidInput, "no host"),
        ("etcd://host", Unsupported, "etcd"),
        ("sqlite:///\udc80", InvalidInput, "lone surrogate"),
        (b"memory://", TypeError, "store URL is b'memory://'"),
        (7, TypeError, "store URL is 7"),
    ],
)
def test_bad_urls(url: Any, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        leasehold.connect(url)


def test_no_password_in_an_error() -> None:
    with pytest.raises(leasehold.LockError) as caught:
        leasehold.connect("redis://user:canary@/")
    error: BaseException | None = caught.value
    while error is not None:
        assert "canary" not in repr(error)
        error = error.__cause__


def test_databases_that_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    text = tmp_path / "text"
    text.write_text("this is not a database, and long enough to be read as one: " * 20)
    for path in (folder, text):
        with pytest.raises(StoreFailed) as caught:
            leasehold.connect(f"sqlite://{path}").lock("a").acquire()
        assert str(path) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_database_that_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "locks.db"
    client = leasehold.connect(f"sqlite://{path}")
    client.lock("a").acquire().release()
    client.shutdown()
    path.chmod(0o400)
    with pytest.raises(StoreFailed, match=r"locks\.db"):
        leasehold.connect(f"sqlite://{path}").lock("a").acquire()


def test_the_default_store_is_the_environments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LEASEHOLD_URL", f"sqlite://{tmp_path}/default.db")
    client = leasehold.connect()
    with client.lock("a"):
        assert (tmp_path / "default.db").exists()
    assert client.url == f"sqlite://{tmp_path}/default.db"
    assert "default.db" in repr(client)
    monkeypatch.setenv("LEASEHOLD_URL", "nonsense")
    with pytest.raises(InvalidInput, match="nonsense"):
        leasehold.connect()


def test_the_scope_of_the_default_store_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from leasehold import client

    monkeypatch.delenv("LEASEHOLD_URL", raising=False)
    client._scopes_said.clear()
    with caplog.at_level("INFO", logger="leasehold"):
        leasehold.connect()
        leasehold.connect()
        leasehold.connect("memory://")
    (record,) = caplog.records
    assert "this user on this host" in record.getMessage()
    assert "locks.db" in record.getMessage()
