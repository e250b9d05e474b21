"""Ctrl-C: it comes through fast, and wherever it comes nothing stays locked."""

from __future__ import annotations

import dis
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import leasehold
import pytest
from conftest import Child, eventually, nothing_left, queued
from leasehold.lease import Tenure
from leasehold.lock import Takeable

PACKAGE = str(Path(leasehold.__file__).parent)

WAIT = """
    import sys, leasehold
    client = leasehold.connect(sys.argv[1])
    lock = client.lock("a", wait=60)
    for _ in range(int(sys.argv[2])):
        sys.stdin.readline()
        try:
            {wait}
        except KeyboardInterrupt:
            print("interrupted")
    print("done")
"""


@pytest.mark.parametrize(
    "wait",
    ["lock.acquire()", "lock.__enter__()", "import asyncio; asyncio.run(lock.acquire_async())"],
)
def test_it_ends_a_wait_at_once(url: str, wait: str) -> None:
    rounds = 8
    client = leasehold.connect(url)
    took = []
    with client.lock("a"), Child(WAIT.format(wait=wait), url, str(rounds)) as child:
        for _ in range(rounds):
            child.say("wait")
            queued(client, "a")
            started = time.monotonic()
            child.process.send_signal(signal.SIGINT)
            assert child.line() == "interrupted"
            took.append(time.monotonic() - started)
            eventually(lambda: client.inspect("a").waiting == 0, "an empty queue")
        assert child.line() == "done"
        code, _, err = child.finish()
    assert (code, err) == (0, "")
    # The best of them, for the machine may be busy. A wait that can't be cut off takes a minute.
    assert min(took) < 0.1


def test_it_leaves_nothing_between_grant_and_return(url: str) -> None:
    """Real signals at random moments of taking and giving back."""
    program = """
        import random, signal, sys, warnings, leasehold
        warnings.simplefilter("ignore", ResourceWarning)
        client = leasehold.connect(sys.argv[1])
        lock = client.lock("a", ttl=600, wait=30)
        # One that falls on the first instruction of a finalizer: Python itself ignores it.
        swallowed = []
        def unraisable(what):
            if what.exc_type is KeyboardInterrupt:
                swallowed.append(what.exc_type)
            else:
                sys.__unraisablehook__(what)
        sys.unraisablehook = unraisable
        def scoped():
            while not swallowed:
                with lock:
                    pass
        def unscoped():
            while not swallowed:
                lock.acquire().release()
        for number in range(int(sys.argv[2])):
            try:
                print("go")
                (scoped if number % 2 else unscoped)()
            except KeyboardInterrupt:
                pass
            swallowed.clear()
            # Far sooner than its ttl, or this raises.
            lock.acquire().release()
        print("done")
    """
    client = leasehold.connect(url)
    with Child(program, url, "60") as child:
        while (line := child.line()) == "go":
            child.process.send_signal(signal.SIGINT)
        assert line == "done"
        code, _, err = child.finish()
    assert (code, err) == (0, "")
    nothing_left(client, "a")


class Interrupted(BaseException):
    """Stands for a KeyboardInterrupt."""


def returns(frame: FrameType) -> bool:
    """Whether the frame's next instruction is a return."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith("RETURN")


def interrupt_at(step: int) -> Callable[[], bool]:
    """Has `Interrupted` raised at the given step of this thread inside the package, counting
    calls of functions and instructions: more places than those where Python looks for signals.
    Only a return itself is left out: the compiler puts it behind the end of its `try`, and Python
    doesn't look there. What this function returns ends it, and says whether the step was reached.
    """
    left = step

    def local(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode" and not returns(frame):
            left -= 1
            if left == 0:
                raise Interrupted
        return local

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.startswith(PACKAGE) or frame.f_code.co_name == "__del__":
            return None
        left -= 1
        if left == 0:
            raise Interrupted
        frame.f_trace_opcodes = True
        return local

    def end() -> bool:
        sys.settrace(None)
        return left <= 0

    sys.settrace(trace)
    return end


def scoped(lock: Takeable[Any], kept: list[Tenure]) -> None:
    with lock as lease:
        kept.append(lease)


def unscoped(lock: Takeable[Any], kept: list[Tenure]) -> None:
    lock.acquire().release()


KINDS: dict[str, Callable[[leasehold.Client], Takeable[Any]]] = {
    "lock": lambda client: client.lock("a", ttl=3600),
    "each": lambda client: client.try_each([client.lock("a", ttl=3600)]),
    "campaign": lambda client: client.election("a").campaign("x", ttl=3600),
    "barrier": lambda client: client.barrier("a", 1, ttl=3600),
    "adapted": lambda client: leasehold.AdaptiveTtl().adapt(client.lock("a")),
}


@pytest.mark.skipif(sys.gettrace() is not None, reason="needs the tracing for itself")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("take", [scoped, unscoped])
@pytest.mark.parametrize("kind", KINDS)
def test_at_every_instruction(
    take: Callable[[Takeable[Any], list[Tenure]], None], kind: str
) -> None:
    """The lock object lives on, and so does the scope's lease: nothing but our own care gives it
    back."""
    kept: list[Tenure] = []
    client = leasehold.connect("memory://")
    lock = KINDS[kind](client)
    step = 1
    while True:
        end = interrupt_at(step)
        try:
            take(lock, kept)
        except Interrupted:
            pass
        if not end():
            break
        nothing_left(client, "a")
        step += 1
    assert step > 50, "the steps were counted"
    # And every scope is forgotten, too.
    with pytest.raises(RuntimeError, match="not entered"):
        lock.__exit__(None, None, None)


def test_an_exception_sent_to_a_thread(client: leasehold.Client) -> None:
    """A thread that is killed while it waits leaves the queue."""
    import ctypes

    ended = threading.Event()

    def wait() -> None:
        try:
            client.lock("a", wait=60).acquire()
        except Interrupted:
            ended.set()

    with client.lock("a"):
        thread = threading.Thread(target=wait)
        thread.start()
        queued(client, "a")
        assert thread.ident is not None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupted)
        )
        assert ended.wait(60)
        thread.join(60)
        eventually(lambda: client.inspect("a").waiting == 0, "an empty queue")
    nothing_left(client, "a")


def test_a_handler_that_raises_nothing_stops_nothing(client: leasehold.Client) -> None:
    """A signal with a harmless handler: the handler runs, the wait goes on."""
    heard = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.set())
    try:
        lease = client.lock("a").acquire()

        def disturb() -> None:
            queued(client, "a")
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            heard.wait(60)
            lease.release()

        thread = threading.Thread(target=disturb)
        thread.start()
        client.lock("a", wait=60).acquire().release()
        thread.join(60)
        assert heard.is_set()
    finally:
        signal.signal(signal.SIGUSR1, before)
