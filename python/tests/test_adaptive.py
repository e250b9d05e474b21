"""A ttl from a lock's history. Its numbers are shown in core/src/recipes; here it is what Python
makes of them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import leasehold
import pytest
from conftest import nothing_left


def test_it_follows_what_is_taken(client: leasehold.Client) -> None:
    reports = leasehold.AdaptiveTtl()
    assert (reports.choose().ttl, reports.choose().holds) == (30, 0)
    assert "says nothing yet" in str(reports.choose())
    report = reports.adapt(client.lock("report", ttl=3600, note="a report"))
    for _ in range(5):
        with report as lease:
            assert 29 < lease.remaining <= 30
            holder = client.inspect("report").holder
            assert holder is not None
            assert holder.who.note == "a report"
    choice = reports.choose()
    assert (choice.ttl, choice.wait, choice.holds) == (1, 1, 5)
    assert 0 <= choice.hold <= 1
    assert str(choice) == choice.words
    with report as lease:
        assert 0 < lease.remaining <= 1
    assert reports.choose().holds == 6
    assert repr(report) == "<AdaptedLock 'report'>"
    assert repr(reports) == f"<AdaptiveTtl: {reports.choose()}>"
    nothing_left(client, "report")


def test_with_asyncio_and_without_a_scope(client: leasehold.Client) -> None:
    reports = leasehold.AdaptiveTtl()
    report = reports.adapt(client.lock("report"))

    async def work() -> None:
        async with report as lease:
            assert lease.is_held()

    asyncio.run(work())
    lease = report.acquire()
    assert reports.choose().holds == 1
    lease.release()
    assert lease.release() is leasehold.Release.REPEATED
    assert reports.choose().holds == 2


def test_the_chosen_wait_runs_out(client: leasehold.Client) -> None:
    reports = leasehold.AdaptiveTtl()
    for _ in range(10):
        reports.waited(0)
        reports.held(timedelta(seconds=4))
    assert reports.choose().ttl == pytest.approx(6)
    assert reports.choose().load == 0
    with client.lock("report"), pytest.raises(leasehold.LockTimeout):
        reports.adapt(client.lock("report")).acquire()
    assert reports.choose().load > 0


def test_what_is_wrong_is_said(client: leasehold.Client) -> None:
    reports = leasehold.AdaptiveTtl()
    for call in (reports.held, reports.waited):
        with pytest.raises(leasehold.InvalidInput):
            call(-1)
        with pytest.raises(TypeError):
            call("1")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        reports.adapt(client.try_lock("a"))  # type: ignore[arg-type]
    assert reports.choose().holds == 0
