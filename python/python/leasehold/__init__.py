"""A distributed lock: at most one holder at a time, and a fence that says which.

    import leasehold

    client = leasehold.connect()                     # the embedded store of this user on this host
    with client.lock("invoice:42", ttl=30, wait=5) as lease:
        write(row, fence=lease.fence)

The same lock object works with ``async with``, ``acquire()`` and ``await acquire_async()``.
Durations are seconds (int or float) or a ``datetime.timedelta``.
"""

from leasehold.client import Client, connect
from leasehold.errors import (
    Cancelled,
    Deadlock,
    Forked,
    InternalError,
    InvalidInput,
    LockError,
    LockLost,
    LockTimeout,
    QueueFull,
    ShutDown,
    StoreFailed,
    StoreUnavailable,
    Unsupported,
)
from leasehold.kinds import RwLock, Semaphore
from leasehold.lease import Lease, Loss
from leasehold.lock import Lock, TryLock
from leasehold.multi import Leases, LockAll, TryLockAll
from leasehold.plain import (
    HolderInfo,
    Kind,
    LockInfo,
    LostReason,
    Owner,
    Release,
    WaiterInfo,
)

__all__ = [
    "Cancelled",
    "Client",
    "Deadlock",
    "Forked",
    "HolderInfo",
    "InternalError",
    "InvalidInput",
    "Kind",
    "Lease",
    "Leases",
    "Lock",
    "LockAll",
    "LockError",
    "LockInfo",
    "LockLost",
    "LockTimeout",
    "Loss",
    "LostReason",
    "Owner",
    "QueueFull",
    "Release",
    "RwLock",
    "Semaphore",
    "ShutDown",
    "StoreFailed",
    "StoreUnavailable",
    "TryLock",
    "TryLockAll",
    "Unsupported",
    "WaiterInfo",
    "connect",
]
