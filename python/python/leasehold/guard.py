"""Fences enforced where a write takes effect.

A lease is a belief: between the moment at which a holder asks it and the moment at which its write
arrives, any time may pass. What a guard keeps is the largest fence that it has seen of each
resource; a write with a smaller one is refused, whatever its sender believes.

The trap is to compare first and write later: a holder that is paused between the two writes late
all the same. So each guard here does both in one step of what keeps the data: one SQL transaction,
one Redis script, one call in this process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from leasehold import _native
from leasehold._convert import text, whole
from leasehold.errors import LockLost, from_failure
from leasehold.lease import Single
from leasehold.plain import LostReason

__all__ = [
    "HTTP_HEADER",
    "HTTP_STALE",
    "REDIS_SCRIPT",
    "Column",
    "Cursor",
    "Gate",
    "Table",
    "http_read",
    "http_value",
    "redis_command",
    "redis_refused",
]

#: The header of a request that carries a fence, and the status to answer one with whose fence is
#: out of date: Precondition Failed. The script that ``redis_command`` runs.
HTTP_HEADER, HTTP_STALE, REDIS_SCRIPT, _STALE = _native.guard_texts()

_MAX_FENCE = (1 << 53) - 1
_Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]


class Cursor(Protocol):
    """What of a DB-API cursor a ``Table`` needs."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""

    def execute(self, statement: str, parameters: Any = ..., /) -> Any:
        """Runs a statement."""


class Table:
    """A table with the largest fence seen of each resource, in SQLite, PostgreSQL, MySQL or
    MariaDB, by any driver.

        fences = guard.Table("fences", "postgresql")
        with connection, connection.cursor() as cursor:           # one transaction
            fences.admit(cursor, "account:42", lease.fence)       # first of all
            cursor.execute("UPDATE account SET …")

    The trap is the transaction: ``admit`` must come first in it and the writes must be in it too.
    The row that it changed then keeps other holders out until the commit, so that a newer one can't
    come between the comparison and the writes. Where it raises, roll back. Any isolation level will
    do; where the database asks for a transaction to be repeated, nothing was admitted.

    ``paramstyle`` is the driver's, as PEP 249 names it, or ``dollar`` for ``$1``. Without it, that
    of most drivers of the database: ``qmark`` for SQLite, ``format`` for the others.
    """

    __slots__ = ("_named", "admit_sql", "create_sql", "forget_sql")

    #: Makes the table, if it isn't there.
    create_sql: str
    #: One statement, on MySQL two, to be run in this order, each with the resource and the fence.
    #: The last changes one row, or none where a larger fence was seen.
    admit_sql: tuple[str, ...]
    #: Forgets a resource that is gone.
    forget_sql: str

    def __init__(
        self,
        name: str,
        dialect: Literal["sqlite", "postgresql", "mysql", "mariadb"],
        paramstyle: str | None = None,
    ) -> None:
        if paramstyle is None:
            paramstyle = "qmark" if dialect == "sqlite" else "format"
        made = _native.fences(
            text("dialect", dialect), text("the table", name), text("paramstyle", paramstyle)
        )
        if isinstance(made, _native.Failure):
            raise from_failure(made)
        self.create_sql, admit, self.forget_sql = made
        self.admit_sql = tuple(admit)
        self._named = paramstyle in ("named", "pyformat")

    def create(self, cursor: Cursor) -> None:
        """Makes the table, if it isn't there. On MySQL that commits what is open."""
        cursor.execute(self.create_sql)

    def admit(self, cursor: Cursor, resource: str, fence: int) -> None:
        """Admits the writes of this transaction, or raises ``LockLost`` (``superseded``) where a
        larger fence of ``resource`` was seen: roll back then, and where it raises anything else."""
        text("resource", resource)
        whole("fence", fence, 0, _MAX_FENCE)
        for statement in self.admit_sql:
            self._execute(cursor, statement, resource=resource, fence=fence)
        if cursor.rowcount < 0:
            raise TypeError("the driver does not say how many rows were changed: roll back")
        if cursor.rowcount == 0:
            error = LockLost(f"a write to {resource} with fence {fence} comes after a newer one")
            error.reason = LostReason.SUPERSEDED
            raise error

    def forget(self, cursor: Cursor, resource: str) -> None:
        """Forgets a resource that is gone, no sooner than its last holder."""
        self._execute(cursor, self.forget_sql, resource=text("resource", resource))

    def _execute(self, cursor: Cursor, statement: str, **values: str | int) -> None:
        parameters: _Parameters = values if self._named else tuple(values.values())
        cursor.execute(statement, parameters)

    def __repr__(self) -> str:
        return f"<Table: {self.create_sql}>"


@dataclass(frozen=True, slots=True, init=False)
class Column:
    """The same without a table, for a row that has a column of its own for the fence: parts of the
    statements that change it, with ``marker`` for the fence.

        fence = guard.Column("fence", "postgresql", "%s")
        update = f"UPDATE account SET balance = %s, {fence.set} WHERE {fence.and_where} AND …"

    The fence is a parameter twice here. An update that finds no row was refused, or there is no
    such row.
    """

    #: For ``CREATE TABLE account (id …, {define})``. On MySQL that is two columns, of which the
    #: second counts writes: without it one that writes the same values twice could look refused.
    define: str
    #: For ``UPDATE account SET …, {set}``.
    set: str
    #: For ``… WHERE … AND {and_where}``.
    and_where: str

    def __init__(
        self,
        name: str,
        dialect: Literal["sqlite", "postgresql", "mysql", "mariadb"],
        marker: str = "?",
    ) -> None:
        parts = _native.fence_column(
            text("dialect", dialect), text("the column", name), text("marker", marker)
        )
        if isinstance(parts, _native.Failure):
            raise from_failure(parts)
        for field, part in zip(("define", "set", "and_where"), parts, strict=True):
            object.__setattr__(self, field, part)


def redis_command(
    fence_key: str, keys: Sequence[str], fence: int, *command: str | bytes | int | float
) -> tuple[str | bytes | int | float, ...]:
    """A Redis command that runs only if no larger fence was seen, for any client library:
    ``client.execute_command(*guard.redis_command("{stock}:fence", ["{stock}:left"], lease.fence,
    "DECRBY", "{stock}:left", 3))``. Its answer is the command's, or an error that
    ``redis_refused`` knows.

    ``fence_key`` holds the largest fence seen, ``keys`` are those that the command touches: on a
    cluster all of one slot. The fence's key has no end: what is deleted with the data lets an old
    holder write again.
    """
    whole("fence", fence, 0, _MAX_FENCE)
    return ("EVAL", REDIS_SCRIPT, 1 + len(keys), fence_key, *keys, fence, *command)


def redis_refused(error: BaseException) -> bool:
    """Whether a Redis client's ``error`` is the refusal of a fence that is out of date."""
    return str(error).startswith(_STALE)


def http_value(lease: Single) -> str:
    """The value of the header ``HTTP_HEADER`` for what is done under ``lease``:
    ``1795487746175228; lock=invoice:42``."""
    value = _native.header(lease.name, lease.fence)
    if isinstance(value, _native.Failure):
        raise from_failure(value)
    return value


def http_read(value: str) -> tuple[str, int]:
    """The lock's name and the fence of a header's value, for a ``Gate`` or a ``Table``. That the
    lock is the one that this resource is guarded by is the server's to check. Raises
    ``InvalidInput`` for what is no such value."""
    found = _native.read_header(text(HTTP_HEADER, value))
    if isinstance(found, _native.Failure):
        raise from_failure(found)
    return found


class Gate:
    """The largest fence seen of each of many resources, in this process, for a task that all writes
    to them go through one after the other: it asks, then writes, before it takes the next. What
    must outlive the process lies in a ``Table``."""

    __slots__ = ("_native",)

    def __init__(self) -> None:
        self._native = _native.Gate()

    def admit(self, resource: str, fence: int) -> None:
        """Returns unless a larger fence of ``resource`` was admitted before; raises ``LockLost``
        (``superseded``) then."""
        whole("fence", fence, 0, _MAX_FENCE)
        failure = self._native.admit(text("resource", resource), fence)
        if failure is not None:
            raise from_failure(failure)

    def forget(self, resource: str) -> None:
        """Forgets ``resource``, which is gone."""
        self._native.forget(text("resource", resource))
