"""A distributed lock: at most one holder at a time, and a fence that says which.

    import leasehold

    client = leasehold.connect()                     # the embedded store of this user on this host
    with client.lock("invoice:42", ttl=30, wait=5) as lease:
        write(row, fence=lease.fence)

The same lock object works with ``async with``, ``acquire()`` and ``await acquire_async()``.
Durations are seconds (int or float) or a ``datetime.timedelta``.
"""

from leasehold import guard
from leasehold.adaptive import AdaptedLock, AdaptiveTtl, Choice
from leasehold.asked import Requests
from leasehold.audit import AuditSink
from leasehold.barrier import Barrier, Inside
from leasehold.client import Client, connect
from leasehold.election import Campaign, Election, Leadership, Observer, TryCampaign
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
from leasehold.latch import Latch
from leasehold.lease import Lease, Loss
from leasehold.lock import Lock, TryLock
from leasehold.manager import Manager
from leasehold.multi import Each, Leases, LockAll, TryEach, TryLockAll
from leasehold.plain import (
    AskedBack,
    AuditEvent,
    Deadlocks,
    HolderInfo,
    Kind,
    Leader,
    LockInfo,
    LostReason,
    Owner,
    Release,
    Returned,
    ReturnState,
    WaiterInfo,
)
from leasehold.state import Health, Placed, Usage

__all__ = [
    "AdaptedLock",
    "AdaptiveTtl",
    "AskedBack",
    "AuditEvent",
    "AuditSink",
    "Barrier",
    "Campaign",
    "Cancelled",
    "Choice",
    "Client",
    "Deadlock",
    "Deadlocks",
    "Each",
    "Election",
    "Forked",
    "Health",
    "HolderInfo",
    "Inside",
    "InternalError",
    "InvalidInput",
    "Kind",
    "Latch",
    "Leader",
    "Leadership",
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
    "Manager",
    "Observer",
    "Owner",
    "Placed",
    "QueueFull",
    "Release",
    "Requests",
    "ReturnState",
    "Returned",
    "RwLock",
    "Semaphore",
    "ShutDown",
    "StoreFailed",
    "StoreUnavailable",
    "TryCampaign",
    "TryEach",
    "TryLock",
    "TryLockAll",
    "Unsupported",
    "Usage",
    "WaiterInfo",
    "connect",
    "guard",
]
