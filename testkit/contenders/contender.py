"""contender.py URL NAME COUNT DIR WHO: takes the lock COUNT times, with a section for the oracle
under each lease. The files are those of testkit/src/oracle.rs, written here a second time so that
the oracle depends on no language's library.

Prints `ready`, waits for a line on its input, and prints `done` at the end. Where DIR is
`-` there is no section, for a bench, which warms up on a lock of its own before it is ready.
"""

import os
import sys
import time

import leasehold

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def section(log, counter: str, fence: int, who: str) -> None:
    pid, start = os.getpid(), time.clock_gettime_ns(CLOCK)
    os.write(log, f"S {start} {pid} {fence} {who}\n".encode())
    try:
        with open(counter) as file:
            count = int(file.read() or 0)
    except FileNotFoundError:
        count = 0
    with open(counter, "w") as file:
        file.write(str(count + 1))
    end = time.clock_gettime_ns(CLOCK)
    os.write(log, f"E {start} {end} {pid} {fence} {who}\n".encode())


def turns(client: leasehold.Client, name: str, times: int) -> None:
    for _ in range(times):
        client.lock(name, ttl=30).acquire().release()


def main() -> None:
    url, name, times, folder, who = sys.argv[1:]
    client = leasehold.connect(url)
    if folder == "-":
        turns(client, f"{name}:{who}", 1000)
    print("ready", flush=True)
    sys.stdin.readline()
    if folder == "-":
        turns(client, name, int(times))
        print("done", flush=True)
        return
    path = os.path.join(folder, f"{who}-{os.getpid()}.log")
    log = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    counter = os.path.join(folder, "counter")
    for _ in range(int(times)):
        with client.lock(name, ttl=30) as lease:
            section(log, counter, lease.fence, who)
    print("done", flush=True)


main()
