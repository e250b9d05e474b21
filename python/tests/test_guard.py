"""Guards refuse what a holder writes after its time, on a real database and a real Redis. Their
rules are shown in core/tests/guards.rs; here it is what Python makes of them."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import leasehold
import pytest
from conftest import PATIENCE, Database, Redis
from leasehold import guard


def test_a_holder_that_slept_too_long_is_refused(tmp_path: Path) -> None:
    """The lease of one ends while it is about to write; another takes the lock and writes."""
    client = leasehold.connect(f"sqlite://{tmp_path}/locks.db")
    fences, gate = guard.Table("fences", "sqlite", sqlite3.paramstyle), guard.Gate()
    with closing(sqlite3.connect(tmp_path / "data.db")) as database:
        database.execute("CREATE TABLE log (fence INTEGER)")
        for _ in range(2):
            fences.create(database.cursor())

        def append(fence: int) -> None:
            with database:
                cursor = database.cursor()
                fences.admit(cursor, "the log", fence)
                cursor.execute("INSERT INTO log VALUES (?)", (fence,))

        late = client.lock("log", ttl=0.05, renew=False).acquire()
        append(late.fence)
        gate.admit("log", late.fence)
        with client.lock("log") as lease:
            append(lease.fence)
            append(lease.fence)
            gate.admit("log", lease.fence)
            with pytest.raises(leasehold.LockLost, match=str(late.fence)) as raised:
                append(late.fence)
            assert raised.value.reason is leasehold.LostReason.SUPERSEDED
            with pytest.raises(leasehold.LockLost) as raised:
                gate.admit("log", late.fence)
            assert raised.value.reason is leasehold.LostReason.SUPERSEDED
            written = [fence for (fence,) in database.execute("SELECT fence FROM log")]
            assert written == [late.fence, lease.fence, lease.fence]
            assert guard.http_read(guard.http_value(lease)) == ("log", lease.fence)
        late.release()
        with database:
            fences.forget(database.cursor(), "the log")
        append(1)
        gate.forget("log")
        gate.admit("log", 1)


def test_concurrent_writers_write_in_the_order_of_their_fences(tmp_path: Path) -> None:
    threads, writes = 4, 40
    fences = guard.Table("fences", "sqlite", "named")
    path = tmp_path / "data.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE log (at INTEGER PRIMARY KEY, fence INTEGER)")
        fences.create(made.cursor())
    refused: list[int] = []

    def work(step: int) -> None:
        with closing(sqlite3.connect(path, timeout=60)) as database:
            for fence in range(0, writes * step, step):
                try:
                    with database:
                        cursor = database.cursor()
                        fences.admit(cursor, "the log", fence)
                        cursor.execute("INSERT INTO log (fence) VALUES (?)", (fence,))
                except leasehold.LockLost:
                    refused.append(fence)

    workers = [threading.Thread(target=work, args=(step + 1,)) for step in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with closing(sqlite3.connect(path)) as database:
        written = [fence for (fence,) in database.execute("SELECT fence FROM log ORDER BY at")]
    assert written == sorted(written)
    assert len(written) + len(refused) == threads * writes


def test_a_row_with_a_column_of_its_own(tmp_path: Path) -> None:
    fence = guard.Column("fence", "sqlite", ":fence")
    update = f"UPDATE account SET balance = balance - 30, {fence.set} WHERE {fence.and_where}"
    with closing(sqlite3.connect(tmp_path / "data.db")) as database:
        database.execute(f"CREATE TABLE account (balance INTEGER, {fence.define})")
        database.execute("INSERT INTO account (balance) VALUES (100)")
        changed = [database.execute(update, {"fence": fence}).rowcount for fence in (7, 7, 6, 8)]
        assert changed == [1, 1, 0, 1]
        assert database.execute("SELECT balance FROM account").fetchone() == (10,)
    assert fence == guard.Column("fence", "sqlite", ":fence")
    assert guard.Column("fence", "mysql").define.count("fence_writes") == 1


def connections(database: Database) -> Callable[[], Any]:
    """Connections to it by a driver of its own, which have no types."""
    where = urlsplit(database.url)
    options: dict[str, Any] = {
        "host": where.hostname,
        "port": where.port,
        "user": where.username,
        "database": where.path[1:],
    }
    if database.name == "postgresql":
        return partial(import_module("pg8000.dbapi").connect, **options)
    return partial(import_module("pymysql").connect, **options)


def test_on_a_server(database: Database) -> None:
    """A holder that slept while another took the lock, and two that write at once."""
    connect = connections(database)
    dialect: Literal["postgresql", "mariadb"]
    dialect = "postgresql" if database.name == "postgresql" else "mariadb"
    fences = guard.Table(f"fences_{database.next()}", dialect)
    log = f"log_{database.next()}"
    with closing(connect()) as made:
        made.cursor().execute(f"CREATE TABLE {log} (fence BIGINT)")
        fences.create(made.cursor())
        made.commit()

    def append(connection: Any, fence: int) -> None:
        try:
            cursor = connection.cursor()
            fences.admit(cursor, "the log", fence)
            cursor.execute(f"INSERT INTO {log} VALUES (%s)", (fence,))
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    with closing(connect()) as first, closing(connect()) as second:
        for connection, fence in ((first, 7), (first, 7), (second, 9), (second, 9)):
            append(connection, fence)
        with pytest.raises(leasehold.LockLost, match="fence 8") as raised:
            append(first, 8)
        assert raised.value.reason is leasehold.LostReason.SUPERSEDED
        # The newer one has the row; the older one asks while it does.
        fences.admit(second.cursor(), "the log", 11)
        with ThreadPoolExecutor() as pool:
            late = pool.submit(append, first, 10)
            second.cursor().execute(f"INSERT INTO {log} VALUES (11)")
            second.commit()
            with pytest.raises(leasehold.LockLost, match="fence 10"):
                late.result(PATIENCE)
        cursor = second.cursor()
        cursor.execute(f"SELECT fence FROM {log} ORDER BY fence")
        assert [fence for (fence,) in cursor.fetchall()] == [7, 7, 9, 9, 11]
        fences.forget(cursor, "the log")
        second.commit()
        append(first, 1)
        column = guard.Column("fence", dialect, "%s")
        account = f"account_{database.next()}"
        cursor.execute(f"CREATE TABLE {account} (balance INT, {column.define})")
        cursor.execute(f"INSERT INTO {account} (balance) VALUES (0)")
        update = f"UPDATE {account} SET balance = 5, {column.set} WHERE {column.and_where}"
        changed = []
        for fence in (7, 7, 6, 8):
            cursor.execute(update, (fence, fence))
            changed.append(cursor.rowcount)
        assert changed == [1, 1, 0, 1]
        second.commit()


@pytest.mark.parametrize(
    ("style", "resource", "fence"),
    [
        ("qmark", "?", "?"),
        ("format", "%s", "%s"),
        ("numeric", ":1", ":2"),
        ("dollar", "$1", "$2"),
        ("named", ":resource", ":fence"),
        ("pyformat", "%(resource)s", "%(fence)s"),
    ],
)
def test_each_drivers_parameters(style: str, resource: str, fence: str) -> None:
    table = guard.Table("fences", "sqlite", style)
    assert f"VALUES ({resource}, {fence})" in table.admit_sql[0]
    assert table.forget_sql.endswith(f"resource = {resource}")
    for statement in guard.Table("fences", "mysql", style).admit_sql:
        assert statement.index(resource) < statement.rindex(fence)


def test_a_driver_that_does_not_count_is_not_believed() -> None:
    class Uncounted:
        rowcount = -1

        def execute(self, statement: str, parameters: object = ()) -> None: ...

    with pytest.raises(TypeError, match="how many rows"):
        guard.Table("fences", "sqlite", "qmark").admit(Uncounted(), "the log", 7)


def test_what_is_wrong_is_said() -> None:
    for call in (
        lambda: guard.Table("a; DROP TABLE b", "sqlite"),
        lambda: guard.Table("fences", "sqlite", "QMARK"),
        lambda: guard.Table("fences", "oracle"),  # type: ignore[arg-type]
        lambda: guard.Column("a b", "mysql"),
        lambda: guard.Column("a", "db2"),  # type: ignore[arg-type]
        lambda: guard.http_read("7"),
        lambda: guard.http_read("7; lock="),
        lambda: guard.Gate().admit("a", -1),
        lambda: guard.Gate().admit("a", 1 << 53),
        lambda: guard.redis_command("f", [], -1, "PING"),
    ):
        with pytest.raises(leasehold.InvalidInput):
            call()
    with pytest.raises(TypeError):
        guard.Gate().admit("a", "7")  # type: ignore[arg-type]


def test_the_header() -> None:
    assert (guard.HTTP_HEADER, guard.HTTP_STALE) == ("Leasehold-Fence", 412)
    with leasehold.connect("memory://").lock("größe 1;2") as lease:
        value = guard.http_value(lease)
        assert value.isascii()
        assert ";" not in value.removeprefix(f"{lease.fence};")
        assert guard.http_read(value) == ("größe 1;2", lease.fence)


class Resp:
    """As much of a Redis client as it takes to send a command and read its answer."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._socket = socket.create_connection((where.hostname, where.port), 60)
        self._file = self._socket.makefile("rb")

    def execute_command(self, *words: str | bytes | int | float) -> bytes:
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        sent = b"*%d\r\n" % len(parts)
        sent += b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(sent)
        line = self._file.readline().rstrip()
        if line[:1] == b"-":
            raise RuntimeError(line[1:].decode())
        if line[:1] == b"$":
            return self._file.read(int(line[1:]) + 2)[:-2]
        return line[1:]

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def resp(redis: Redis) -> Iterator[Resp]:
    resp = Resp(redis.direct)
    yield resp
    resp.close()


def test_a_redis_command_with_a_fence(resp: Resp) -> None:
    def take(fence: int, count: int) -> bytes:
        command = ("DECRBY", "{stock}:left", count)
        return resp.execute_command(
            *guard.redis_command("{stock}:fence", ["{stock}:left"], fence, *command)
        )

    resp.execute_command("SET", "{stock}:left", 10)
    newest = (1 << 53) - 1
    assert [take(7, 1), take(7, 1), take(newest, 1)] == [b"9", b"8", b"7"]
    with pytest.raises(RuntimeError, match="comes after") as raised:
        take(newest - 1, 1)
    assert guard.redis_refused(raised.value)
    assert resp.execute_command("GET", "{stock}:left") == b"7"
    assert resp.execute_command("GET", "{stock}:fence") == str(newest).encode()
    # Another error is none of the fence's.
    with pytest.raises(RuntimeError) as raised:
        resp.execute_command(*guard.redis_command("{stock}:fence", [], newest, "NOSUCH"))
    assert not guard.redis_refused(raised.value)
