"""Who interfered with whose tenure, as Python is told."""

from __future__ import annotations

import asyncio
import json
import queue
from pathlib import Path

import leasehold
import pytest
from conftest import PATIENCE, eventually, run


class Log:
    """A function that keeps what it is told."""

    def __init__(self) -> None:
        self.events: queue.Queue[leasehold.AuditEvent] = queue.Queue()

    def next(self) -> leasehold.AuditEvent:
        return self.events.get(timeout=PATIENCE)


def test_a_function_is_told_before_and_after() -> None:
    log = Log()
    client = leasehold.connect("memory://", audit=log.events.put)
    lease = client.lock("a", note="mine").acquire()
    assert client.evict("a", why="a test") == lease.fence
    lease.release()
    begun, done = log.next(), log.next()
    assert (begun.action, begun.outcome, begun.lock, begun.why) == ("evict", "begun", "a", "a test")
    assert (begun.fence, begun.holder, begun.error) == (None, None, None)
    assert (done.outcome, done.fence) == ("evicted", lease.fence)
    assert done.holder is not None
    assert done.holder.note == "mine"
    assert done.by.language == "python"
    assert done.store == client.url
    assert begun.at <= done.at
    assert client.ask_back("a", why="now", grace=1).state == "not_held"
    assert [log.next().outcome for _ in range(2)] == ["begun", "not_held"]
    with pytest.raises(leasehold.InvalidInput):
        client.ask_back("a", why="now", grace=0)
    assert log.events.empty()


def test_from_a_loop_it_is_told_in_a_thread_of_ours() -> None:
    log = Log()

    async def main() -> None:
        client = leasehold.connect("memory://", audit=log.events.put)
        async with client.lock("a"):
            returned = await client.ask_back_async("a", why="now", grace=0.05)
            assert returned.state == "still_held"

    asyncio.run(main())
    assert [log.next().outcome for _ in range(2)] == ["begun", "still_held"]


def test_what_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    client = leasehold.connect("memory://", audit=log.events.put)
    client.shutdown()
    with pytest.raises(leasehold.ShutDown):
        client.evict("a", why="late")
    other = leasehold.connect("memory://", audit=log.events.put)
    assert other.evict("a", why="none") is None
    assert [log.next().outcome for _ in range(2)] == ["begun", "not_held"]


def test_a_file_gets_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    client = leasehold.connect("memory://", audit=path)
    with client.lock("a") as lease:
        assert client.ask_back("a", why="now", grace=0.05).state == "still_held"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["begun", "still_held"]
    assert lines[1]["fence"] == lease.fence
    with pytest.raises(leasehold.StoreFailed):
        leasehold.connect("memory://", audit=tmp_path / "none" / "audit.jsonl")
    with pytest.raises(TypeError):
        leasehold.connect("memory://", audit=1)  # type: ignore[arg-type]


def test_at_the_end_of_the_process_all_is_told() -> None:
    code, out, err = run(
        """
        import leasehold
        client = leasehold.connect(
            "memory://", audit=lambda event: print(event.outcome, flush=True)
        )
        with client.lock("a") as lease:
            for _ in range(50):
                client.evict("a", why="a test", fence=lease.fence + 1)
        """
    )
    assert (code, out.split(), err) == (0, ["begun", "not_held"] * 50, "")


def test_what_a_forgotten_client_did_is_told() -> None:
    log = Log()
    client = leasehold.connect("memory://", audit=log.events.put)
    client.evict("a", why="a test")
    del client
    assert [log.next().outcome for _ in range(2)] == ["begun", "not_held"]


def test_a_forked_child_tells_its_own(tmp_path: Path) -> None:
    code, out, err = run(
        """
        import os, sys, warnings, leasehold
        warnings.simplefilter("ignore", DeprecationWarning)
        told = []
        client = leasehold.connect("sqlite://" + sys.argv[1], audit=told.append)
        client.evict("a", why="parent")
        while len(told) < 2:
            pass
        pid = os.fork()
        if pid == 0:
            client.evict("a", why="child")
            while len(told) < 4:
                pass
            assert [event.why for event in told] == ["parent"] * 2 + ["child"] * 2
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        client.evict("a", why="again")
        while len(told) < 4:
            pass
        print([event.why for event in told])
        """,
        str(tmp_path / "locks.db"),
    )
    assert (code, out, err) == (0, "['parent', 'parent', 'again', 'again']\n", "")


def test_a_failing_function_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def fail(event: leasehold.AuditEvent) -> None:
        told.append(event.outcome)
        raise ValueError(event.outcome)

    failures: list[object] = []
    monkeypatch.setattr("threading.excepthook", failures.append)
    client = leasehold.connect("memory://", audit=fail)
    client.evict("a", why="a test")
    client.evict("a", why="a test")
    eventually(lambda: told == ["begun", "not_held"] * 2, "all are told")
    eventually(lambda: len(failures) == 4, "and each failure is reported")
