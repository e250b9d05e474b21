"""What every language must do alike: the scenarios of scenarios/*.json, on every store."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import leasehold
import pytest
from conftest import PATIENCE, TARGET, Redis, nothing_left, queued

FOLDER = Path(__file__).parents[2] / "scenarios"
SCHEMA = json.loads((FOLDER / "schema.json").read_text())["$defs"]["step"]["properties"]
ALL = ["memory", "sqlite", "redis"]
SCENARIOS: list[tuple[str, str, str, list[dict[str, Any]]]] = [
    (path.stem, scenario["name"], store, scenario["steps"])
    for path in sorted(FOLDER.glob("*.json"))
    if path.stem != "schema"
    for scenario in json.loads(path.read_text())["scenarios"]
    for store in scenario.get("stores", ALL)
]

Step = dict[str, Any]


@pytest.fixture(scope="module")
def played() -> Path:
    """The file for what this run plays, from which the table in FEATURES.md is made."""
    file = TARGET / "scenarios" / "python.tsv"
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    return file


def seconds(step: Step, key: str) -> float | None:
    """The scenarios count in milliseconds."""
    return step[key] / 1000 if key in step else None


def code(action: Callable[[], object]) -> str:
    """ "ok", or the code of the error that `action` raises."""
    try:
        action()
    except leasehold.LockError as error:
        return error.code
    return "ok"


class Runner:
    def __init__(self, url: str, network: Redis | None) -> None:
        #: What another process reaches the store by; the first client is behind the network.
        self.url = url
        self.network = network
        first = url if network is None else url.replace(network.direct, network.url)
        self.clients = [leasehold.connect(first), leasehold.connect(url)]
        self.others: dict[str, subprocess.Popen[str]] = {}
        self.leases: dict[str, leasehold.Lease] = {}
        self.started: dict[str, Future[str]] = {}
        # What is started goes on in a loop of its own, where it can also be cancelled.
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def lock(self, step: Step) -> leasehold.Lock | leasehold.TryLock:
        options: dict[str, Any] = {
            key: value
            for key in ("ttl", "wait", "max_hold")
            if (value := seconds(step, key)) is not None
        }
        options |= {key: step[key] for key in ("renew", "priority", "note") if key in step}
        if "owner" in step:
            options["owner"] = leasehold.Owner(step["owner"])
        client: leasehold.Client = self.clients[step.get("client", 1) - 1]
        name, tries = step["lock"], step["do"] == "try"
        if "permits" in step:
            slots = client.semaphore(name, step["capacity"], **options)
            return (slots.try_permits if tries else slots.permits)(step["permits"])
        if "read" in step:
            prices = client.rwlock(name, **options)
            return prices.try_read() if tries else prices.read()
        return client.try_lock(name, **options) if tries else client.lock(name, **options)

    def took(self, step: Step, lease: leasehold.Lease | None) -> str:
        if lease is None:
            return "busy"
        self.leases[step["who"]] = lease
        return "held"

    def take(self, step: Step) -> str:
        try:
            return self.took(step, self.lock(step).acquire())
        except leasehold.LockError as error:
            return error.code

    async def start(self, step: Step) -> str:
        try:
            return self.took(step, await self.lock(step).acquire_async())
        except leasehold.LockError as error:
            return error.code

    def outcome(self, who: str) -> str:
        try:
            return self.started[who].result(PATIENCE)
        except CancelledError:
            return "cancelled"

    def step(self, step: Step) -> None:
        observer = self.clients[1]
        who, lock, expect = (step.get(key, "") for key in ("who", "lock", "expect"))
        match step["do"]:
            case "acquire" | "try":
                assert self.take(step) == expect
            case "start":
                self.started[who] = asyncio.run_coroutine_threadsafe(self.start(step), self.loop)
            case "outcome":
                assert self.outcome(who) == expect
            case "cancel":
                self.started[who].cancel()
            case "release":
                assert self.leases[who].release() == expect
            case "extend":
                assert code(lambda: self.leases[who].extend(step["ttl"] / 1000)) == expect
            case "downgrade":
                assert code(self.leases[who].downgrade) == expect
            case "upgrade":
                assert code(self.leases[who].upgrade) == expect
            case "kind":
                assert self.leases[who].kind == expect
            case "epoch":
                of = step["holder"]
                assert self.leases[who].epoch == (None if of is None else self.leases[of].fence)
            case "evict":
                fence = self.leases[who].fence if who else None
                assert (observer.evict(lock, why="a test", fence=fence) is not None) is expect
            case "check":
                assert code(lambda: self.leases[who].check(step["min"] / 1000)) == expect
            case "held":
                assert self.leases[who].is_held() is expect
            case "lost":
                assert self.leases[who].lost.wait(PATIENCE)
                assert self.leases[who].lost_reason == expect
            case "queued":
                queued(observer, lock, step["count"])
            case "free":
                nothing_left(observer, lock)
            case "inspect":
                info = observer.inspect(lock)
                wanted = None if step["holder"] is None else self.leases[step["holder"]].fence
                holder = info.holder
                assert (holder and holder.fence, info.waiting) == (wanted, step["waiting"])
                if holder is not None:
                    assert holder.who.note == step.get("note", holder.who.note)
            case "fences":
                fences = [self.leases[name].fence for name in step["order"]]
                assert fences == sorted(set(fences))
            case "shutdown":
                self.clients[step["client"] - 1].shutdown(5)
            case "partition":
                assert self.network is not None
                self.network.do("black-hole")
            case "heal":
                assert self.network is not None
                self.network.do("heal")
            case "process":
                self.others[who] = self.process(step)
            case "kill":
                self.others[who].kill()
                self.others[who].wait()
            case "connect":
                assert code(lambda: leasehold.connect(step["url"])) == expect
            case other:
                pytest.fail(f"{other} is unknown")

    def process(self, step: Step) -> subprocess.Popen[str]:
        """Another process that takes the lock, or waits for it: testkit/src/bin/holder.rs."""
        words = [TARGET / "debug" / "holder", self.url, step["lock"], str(step.get("ttl", 30_000))]
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if step.get("expect") == "held":
            assert child.stdout is not None
            assert any(line.startswith("granted") for line in child.stdout)
        return child

    def end(self) -> None:
        if self.network is not None:
            self.network.do("heal")
        for child in self.others.values():
            child.kill()
            child.communicate()
        for client in self.clients:
            client.shutdown(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.mark.parametrize(
    ("group", "name", "store", "steps"),
    SCENARIOS,
    ids=[f"{group}: {name}-{store}" for group, name, store, _ in SCENARIOS],
)
def test_scenario(
    group: str,
    name: str,
    store: str,
    steps: list[Step],
    played: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    network: Redis | None = None
    if store == "memory":
        url = f"memory://{uuid.uuid4()}"
    elif store == "sqlite":
        url = f"sqlite://{tmp_path}/locks.db"
    else:
        network = request.getfixturevalue("one_redis")
        assert network is not None
        url = f"{network.direct}?prefix={uuid.uuid4()}:"
    runner = Runner(url, network)
    try:
        for number, step in enumerate(steps, 1):
            try:
                runner.step(step)
            except AssertionError as error:
                raise AssertionError(f"step {number}: {step}: {error}") from error
    finally:
        runner.end()
    with played.open("a") as file:
        file.write(f"{group}\t{name}\t{store}\n")


def test_every_step_is_of_the_schema() -> None:
    steps = [step for *_, steps in SCENARIOS for step in steps]
    assert len(SCENARIOS) >= 3 * 40
    for step in steps:
        assert step["do"] in SCHEMA["do"]["enum"]
        assert set(step) <= set(SCHEMA)
