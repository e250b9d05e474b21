"""The demo's contender in Python: ``contender.py LOCK URL FOLDER WHO``. Orders come in on stdin and
what happens goes out on stdout, a line each; contender/main.rs and contender.sh do the same.

What it does under the lock is deliberately unsafe without it: it reads a number when it takes the
lock and writes the next one, and nothing but the lock keeps another from doing so meanwhile. When
it did so is logged for the judge of overlaps, in the form that testkit/src/oracle.rs describes.
"""

import os
import sys
import time
from pathlib import Path

import leasehold

TTL = 2
#: The clock that all contenders log by; macOS counts sleep in its monotonic clock.
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def main(lock: str, url: str, folder: Path, who: str) -> None:
    client = leasehold.connect(url)
    counter = folder / "counter"
    with (folder / f"{who}-{os.getpid()}.log").open("ab", buffering=0) as log:
        while sys.stdin.readline() == "take\n":
            print("waits", flush=True)
            lease = client.lock(lock, ttl=TTL).acquire()
            start = time.clock_gettime_ns(CLOCK)
            log.write(f"S {start} {os.getpid()} {lease.fence} {who}\n".encode())
            number = int(counter.read_text())
            print("held", lease.fence, flush=True)

            if sys.stdin.readline() != "write\n":
                lease.release()
                break
            # However long the order took, or this whole process was stopped: ask the lease first.
            if lease.is_held():
                counter.write_text(str(number + 1))
                end = time.clock_gettime_ns(CLOCK)
                log.write(f"E {start} {end} {os.getpid()} {lease.fence} {who}\n".encode())
                print("wrote", lease.fence, flush=True)
            else:
                print("refused", lease.fence, lease.lost_reason, flush=True)
            lease.release()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
