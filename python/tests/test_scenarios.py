"""What every language must do alike: the scenarios of scenarios/*.json, on every store."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import leasehold
import pytest
from conftest import PATIENCE, TARGET, Redis, nothing_left, queued
from leasehold.lease import Single, Tenure
from leasehold.lock import Takeable

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
OPTIONS = ("renew", "priority", "deadlock_priority", "note")
_T = TypeVar("_T")


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


def number(action: Callable[[], int]) -> int | str:
    """What `action` gives, or the code of the error that it raises."""
    try:
        return action()
    except leasehold.LockError as error:
        return error.code


class Runner:
    def __init__(self, url: str, network: Redis | None) -> None:
        #: What another process reaches the store by; the first client is behind the network.
        self.url = url
        self.network = network
        first = url if network is None else url.replace(network.direct, network.url)
        self.clients = [leasehold.connect(first), leasehold.connect(url)]
        self.others: dict[str, subprocess.Popen[str]] = {}
        self.leases: dict[str, Tenure] = {}
        self.observers: dict[str, leasehold.Observer] = {}
        self.started: dict[str, asyncio.Task[str]] = {}
        self.asks: dict[str, asyncio.Task[str]] = {}
        # What is started goes on in a loop of its own, where it can also be cancelled.
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def client(self, step: Step) -> leasehold.Client:
        client: leasehold.Client = self.clients[step.get("client", 1) - 1]
        return client

    def lock(self, step: Step) -> Takeable[Any]:
        options: dict[str, Any] = {
            key: value
            for key in ("ttl", "wait", "max_hold")
            if (value := seconds(step, key)) is not None
        }
        options |= {key: step[key] for key in OPTIONS if key in step}
        if "owner" in step:
            options["owner"] = leasehold.Owner(step["owner"])
        client, name, tries = self.client(step), step.get("lock", ""), step["do"] == "try"
        if "value" in step:
            election = client.election(name)
            campaign = election.try_campaign if tries else election.campaign
            return campaign(step["value"], **options)
        if "parties" in step:
            return client.barrier(name, step["parties"], **options)
        if "locks" in step:
            wait = options.pop("wait", None)
            locks = [client.lock(one, **options) for one in step["locks"]]
            return client.try_lock_all(locks) if tries else client.lock_all(locks, wait=wait)
        if "permits" in step:
            slots = client.semaphore(name, step["capacity"], **options)
            return (slots.try_permits if tries else slots.permits)(step["permits"])
        if "read" in step:
            prices = client.rwlock(name, **options)
            return prices.try_read() if tries else prices.read()
        return client.try_lock(name, **options) if tries else client.lock(name, **options)

    def latch(self, step: Step) -> leasehold.Latch:
        return self.client(step).latch(step["lock"], step["latch"])

    def took(self, step: Step, tenure: Tenure | None) -> str:
        if tenure is None:
            return "busy"
        self.leases[step["who"]] = tenure
        return "held"

    def take(self, step: Step) -> str:
        if "latch" in step:
            return code(lambda: self.latch(step).wait(seconds(step, "wait")))
        try:
            return self.took(step, self.lock(step).acquire())
        except leasehold.LockError as error:
            return error.code

    async def start(self, step: Step) -> str:
        try:
            if "latch" in step:
                await self.latch(step).wait_async(seconds(step, "wait"))
                return "ok"
            return self.took(step, await self.lock(step).acquire_async())
        except leasehold.LockError as error:
            return error.code

    def each(self, step: Step) -> list[str] | str:
        """Takes each alone; the leases of those that it got are `who.lock`."""
        try:
            each = self.client(step).try_each(step["locks"]).acquire()
        except leasehold.LockError as error:
            return error.code
        found = []
        for lock, one in zip(step["locks"], each, strict=True):
            if isinstance(one, leasehold.LockError):
                found.append(one.code)
            else:
                found.append(self.took({"who": f"{step['who']}.{lock}"}, one))
        return found

    def told(self, step: Step, leader: leasehold.Leader | None) -> bool:
        """Whether this leader is what the step says."""
        if step["holder"] is None:
            return leader is None
        wanted = (self.single(step["holder"]).fence, step["value"].encode())
        return leader is not None and (leader.fence, leader.value) == wanted

    def single(self, who: str) -> Single:
        tenure = self.leases[who]
        assert isinstance(tenure, Single)
        return tenure

    def lease(self, who: str) -> leasehold.Lease:
        tenure = self.leases[who]
        assert isinstance(tenure, leasehold.Lease)
        return tenure

    def on_loop(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    async def begin(self, step: Step) -> None:
        self.started[step["who"]] = asyncio.create_task(self.start(step))

    async def ask(self, step: Step) -> str:
        try:
            returned = await self.client(step).ask_back_async(
                step["lock"], why=step["note"], grace=step["wait"] / 1000
            )
        except leasehold.LockError as error:
            return error.code
        return returned.state

    async def begin_ask(self, step: Step) -> None:
        self.asks[step["who"]] = asyncio.create_task(self.ask(step))

    async def returned(self, who: str) -> str:
        return await self.asks[who]

    async def outcome(self, who: str) -> str:
        """Not before the task is over: one that is cancelled goes on until it looks up."""
        try:
            return await self.started[who]
        except asyncio.CancelledError:
            return "cancelled"

    def step(self, step: Step) -> None:
        observer = self.clients[1]
        who, lock, expect = (step.get(key, "") for key in ("who", "lock", "expect"))
        match step["do"]:
            case "acquire" | "try":
                assert self.take(step) == expect
            case "start":
                self.on_loop(self.begin(step))
            case "outcome":
                assert self.on_loop(self.outcome(who)) == expect
            case "cancel":
                self.loop.call_soon_threadsafe(self.started[who].cancel)
            case "release":
                assert self.leases[who].release() == expect
            case "extend":
                assert code(lambda: self.leases[who].extend(step["ttl"] / 1000)) == expect
            case "downgrade":
                assert code(self.lease(who).downgrade) == expect
            case "upgrade":
                assert code(self.lease(who).upgrade) == expect
            case "kind":
                assert self.single(who)._held.kind == expect
            case "epoch":
                of = step["holder"]
                assert self.lease(who).epoch == (None if of is None else self.lease(of).fence)
            case "proclaim":
                lead = self.leases[who]
                assert isinstance(lead, leasehold.Leadership)
                assert code(lambda: lead.proclaim(step["value"])) == expect
            case "leave":
                inside = self.leases[who]
                assert isinstance(inside, leasehold.Inside)
                assert code(lambda: inside.leave(seconds(step, "wait"))) == expect
            case "each":
                assert self.each(step) == expect
            case "observe":
                self.observers[who] = self.client(step).election(lock).observe()
            case "change":
                # Of several changes in a row the last may be all that is told.
                assert any(self.told(step, leader) for leader in self.observers[who])
            case "leader":
                assert self.told(step, self.client(step).election(lock).leader())
            case "count_down":
                assert number(lambda: self.latch(step).count_down(step["count"])) == expect
            case "left":
                assert number(self.latch(step).left) == expect
            case "resize":
                slots = self.client(step).semaphore(lock, step["capacity"])
                assert code(lambda: slots.resize(step["permits"])) == expect
            case "ask_back":
                self.on_loop(self.begin_ask(step))
            case "asked":
                assert next(self.single(who).asked_back()).why == step["note"]
            case "returned":
                assert self.on_loop(self.returned(who)) == expect
            case "evict":
                fence = self.single(who).fence if who else None
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
                wanted = None if step["holder"] is None else self.single(step["holder"]).fence
                holder = info.holder
                assert (holder and holder.fence, info.waiting) == (wanted, step["waiting"])
                if holder is not None:
                    assert holder.who.note == step.get("note", holder.who.note)
            case "fences":
                fences = [self.single(name).fence for name in step["order"]]
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
