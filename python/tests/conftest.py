"""What the tests share: clients of each store, a real Redis behind a network that fails on command,
child processes, and the one bounded wait."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import leasehold
import pytest

#: Beyond it something hangs. Never a measure: the machine may be slow and busy.
PATIENCE = 60.0

#: What cargo has built.
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[2] / "target"))


class Redis:
    """A Redis of our own, and the testkit's fault proxy before it."""

    def __init__(self, program: Path) -> None:
        self._child = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ready, _, rest = self._line().partition(" ")
        self.absent = rest if ready == "absent" else None
        #: Through the proxy, and not.
        self.url, self.direct = ("", "") if self.absent is not None else rest.split()

    def do(self, command: str) -> str:
        """Tells it something (see testkit/src/bin/redis.rs) and waits until that is done."""
        assert self._child.stdin is not None
        self._child.stdin.write(command + "\n")
        self._child.stdin.flush()
        answer = self._line()
        assert not answer.startswith("error "), answer
        return answer

    def end(self) -> None:
        """Ends it."""
        self._child.communicate()

    def _line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().rstrip("\n")


class Database:
    """A PostgreSQL or a MariaDB of our own."""

    def __init__(self, program: Path, name: str) -> None:
        self.name = name
        self._child = subprocess.Popen(
            [program, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        ready, _, rest = self._child.stdout.readline().rstrip("\n").partition(" ")
        self.absent = rest if ready == "absent" else None
        self.url = rest
        self._count = 0

    def next(self) -> int:
        """A number for a table's name."""
        self._count += 1
        return self._count

    def end(self) -> None:
        """Ends it."""
        self._child.communicate()


def _absent(why: str, name: str = "redis") -> None:
    if name in os.environ.get("REQUIRE", "").replace(",", " ").split():
        pytest.fail(f"REQUIRE names {name}, which can't be had: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session", params=["postgresql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Each server in turn, where there is one; a failure where `REQUIRE` names it."""
    program = TARGET / "debug" / "database"
    if not program.exists():
        _absent(f"{program} is missing: cargo build -p leasehold-testkit --bins", request.param)
    database = Database(program, request.param)
    if database.absent is not None:
        _absent(database.absent, request.param)
    yield database
    database.end()


# The whole suite on Redis too takes minutes on a loaded machine: asked for with
# LEASEHOLD_PYTHON_ON_REDIS=1. test_redis.py runs always.
ON_REDIS = ["redis"] if os.environ.get("LEASEHOLD_PYTHON_ON_REDIS") else []


@pytest.fixture(scope="session")
def one_redis() -> Iterator[Redis]:
    """One server for all tests, where there is one; a failure where `REQUIRE` names it."""
    program = TARGET / "debug" / "redis"
    if not program.exists():
        _absent(f"{program} is missing: cargo build -p leasehold-testkit --bins")
    redis = Redis(program)
    if redis.absent is not None:
        _absent(redis.absent)
    yield redis
    redis.end()


@pytest.fixture
def redis(one_redis: Redis) -> Iterator[Redis]:
    """The server, on a network that is whole at the beginning."""
    yield one_redis
    one_redis.do("heal")
    one_redis.do("wake")
    one_redis.do("admin FLUSHALL")


@pytest.fixture(params=["memory", "sqlite", *ON_REDIS])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[leasehold.Client]:
    """A client of each store, on a store of its own."""
    if request.param == "memory":
        url = "memory://"
    elif request.param == "sqlite":
        url = f"sqlite://{tmp_path}/locks.db"
    else:
        url = f"{request.getfixturevalue('one_redis').direct}?prefix={uuid.uuid4()}:"
    client = leasehold.connect(url)
    yield client
    client.shutdown(5)


@pytest.fixture(params=["sqlite", *ON_REDIS])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that other processes can reach."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/locks.db"
    return f"{request.getfixturevalue('one_redis').direct}?prefix={uuid.uuid4()}:"


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Waits until ``condition`` holds. What a dropped attempt or lease leaves is cleared in the
    background, and nothing tells when: hence the polling."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, f"never came true: {what}"
        time.sleep(0.005)


def nothing_left(client: leasehold.Client, name: str) -> None:
    """Asserts that the lock becomes free and its queue empty, long before any ttl of the tests that
    call it could do that."""
    started = time.monotonic()

    def free() -> bool:
        info = client.inspect(name)
        return info.holder is None and info.waiting == 0

    eventually(free, f"lock {name} free and without waiters")
    assert time.monotonic() - started < PATIENCE


def queued(client: leasehold.Client, name: str, count: int = 1) -> None:
    """Waits until ``count`` attempts wait for the lock."""
    eventually(lambda: client.inspect(name).waiting == count, f"{count} waiters of {name}")


def collected() -> None:
    """Has everything collected that nobody refers to."""
    for _ in range(2):
        gc.collect()


class Child:
    """A Python program in a process of its own, which is never left behind."""

    def __init__(self, program: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-W", "default", "-c", textwrap.dedent(program), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.process.poll() is None:
            self.process.kill()
            # A stopped process dies of a kill as well.
        self.process.communicate()

    def line(self) -> str:
        """The next line of its output."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the child ended: {self.finish()}")
        return line.strip()

    def say(self, line: str) -> None:
        """Sends it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def finish(self) -> tuple[int, str, str]:
        """Its exit code, the rest of its output, and its errors. Fails if it hangs."""
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"the child hung\nstdout: {out}\nstderr: {err}") from None
        return self.process.returncode, out, err


def run(program: str, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Runs a program to its end: exit code, output, errors."""
    with Child(program, *arguments, env=env) as child:
        return child.finish()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def each_client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[leasehold.Client]:
    """A client of each store, also where the rest of the suite is not run on Redis."""
    if request.param == "redis":
        redis: Redis = request.getfixturevalue("one_redis")
        url = f"{redis.direct}?prefix={uuid.uuid4()}:"
    else:
        url = "memory://" if request.param == "memory" else f"sqlite://{tmp_path}/locks.db"
    client = leasehold.connect(url)
    yield client
    client.shutdown()
