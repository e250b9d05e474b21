"""The first Python program: take a lock, act under it, give it back."""

import leasehold

client = leasehold.connect()
with client.lock("invoice:42", ttl=30, wait=5) as lease:
    print(lease.name, "is ours, fence", lease.fence)
