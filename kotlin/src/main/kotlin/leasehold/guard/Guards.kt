package leasehold.guard

import leasehold.BlockingLease
import leasehold.InvalidInputException
import leasehold.Lease
import leasehold.LockLostException
import leasehold.LostReason
import leasehold.native
import leasehold.text
import leasehold.internal.Gate as NativeGate

/**
 * A Redis command that runs only if no larger fence was seen, for any client's `eval`:
 *
 *     jedis.eval(
 *         RedisGuard.script,
 *         RedisGuard.keys("{stock}:fence", "{stock}:left"),
 *         RedisGuard.arguments(lease.fence, "DECRBY", "{stock}:left", "3"),
 *     )
 *
 * Its answer is the command's, or an error that [refused] knows.
 */
public object RedisGuard {
    /** `EVAL script keys fenceKey key… fence command argument…`. */
    @JvmStatic
    public val script: String by lazy { GUARDS.script() }

    private val stale by lazy { GUARDS.stale() }

    /**
     * The script's keys: [fenceKey], which holds the largest fence seen, and those that the command touches; on a cluster
     * all of one slot. The fence's key has no end: what is deleted with the data lets an old holder write again.
     */
    @JvmStatic
    public fun keys(fenceKey: String, vararg keys: String): List<String> =
        (listOf(fenceKey) + keys).map { text("key", it) }

    /** The script's arguments: the fence and the command. */
    @JvmStatic
    public fun arguments(fence: Long, vararg command: String): List<String> = listOf("${checked(fence)}") + command

    /** Whether a Redis client's [error] is the refusal of a fence that is out of date. */
    @JvmStatic
    public fun refused(error: Throwable): Boolean =
        generateSequence(error) { it.cause }.take(10).any { it.message.orEmpty().substringAfter("ERR ").startsWith(stale) }
}

/** A fence in an HTTP request: one header, read by a server that keeps a guard. */
public object HttpGuard {
    /** The header's name. */
    @JvmStatic
    public val header: String by lazy { GUARDS.headerName() }

    /** The status to answer a request with whose fence is out of date: Precondition Failed. */
    @JvmStatic
    public val staleStatus: Int by lazy { GUARDS.staleStatus().toInt() }

    /** The header's value for what is done under [lease]: `1795487746175228; lock=invoice:42`. */
    @JvmStatic
    public fun value(lease: Lease): String = value(lease.name, lease.fence)

    /** The header's value for what is done under [lease]. */
    @JvmStatic
    public fun value(lease: BlockingLease): String = value(lease.name, lease.fence)

    private fun value(name: String, fence: Long) = native { GUARDS.header(name, checked(fence).toULong()) }

    /**
     * The lock and the fence of a header's value, for a [Gate] or a [Table]. That the lock is the one that this resource is
     * guarded by is the server's to check.
     *
     * @throws InvalidInputException for what is no such value.
     */
    @JvmStatic
    public fun read(value: String): Fence =
        native { GUARDS.readHeader(text(header, value)) }.let { Fence(it.lock, it.fence.toLong()) }
}

/** Under which lock a request was made, and with which fence. */
public data class Fence(
    public val lock: String,
    public val fence: Long,
)

/**
 * The largest fence seen of each of many resources, in this process, for a task that all writes to them go through one
 * after the other: it asks, then writes, before it takes the next. What must outlive the process lies in a [Table].
 */
public class Gate {
    private val native: NativeGate = native { NativeGate() }

    /**
     * Returns unless a larger fence of [resource] was admitted before.
     *
     * @throws LockLostException ([LostReason.SUPERSEDED]) then.
     */
    public fun admit(resource: String, fence: Long) {
        native { native.admit(text("resource", resource), checked(fence).toULong()) }
    }

    /** Forgets [resource], which is gone. */
    public fun forget(resource: String) {
        native.forget(text("resource", resource))
    }
}
