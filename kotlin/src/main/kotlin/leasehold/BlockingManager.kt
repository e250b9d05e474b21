package leasehold

import java.time.Duration
import kotlin.time.toKotlinDuration

/** Locks by name, by calls that block; from [Manager.blocking]. */
public class BlockingManager internal constructor(
    /** The same manager, for coroutines. */
    public val manager: Manager,
) : AutoCloseable {
    /** A lock, with the settings of its name; what [options] say goes before them. See [Manager.lock]. */
    @JvmOverloads
    public fun lock(name: String, options: LockOptions = LockOptions()): Lock = manager.lock(name, options.asked)

    /** A lock that many may hold to read, or one to write. */
    @JvmOverloads
    public fun rwlock(name: String, options: LockOptions = LockOptions()): RwLock = manager.rwlock(name, options.asked)

    /** A semaphore of the capacity that the configuration says. */
    @JvmOverloads
    public fun semaphore(name: String, options: LockOptions = LockOptions()): Semaphore =
        manager.semaphore(name, options.asked)

    /** Takes [lock]; close or release the lease, best with try-with-resources. */
    @Throws(InterruptedException::class)
    public fun acquire(lock: Lock): BlockingLease = BlockingLease(checkNotNull(lock.takeBlocking(tryOnly = false)))

    /** Takes [lock] if it is free; null where another holds it. */
    @Throws(InterruptedException::class)
    public fun tryAcquire(lock: Lock): BlockingLease? = lock.takeBlocking(tryOnly = true)?.let(::BlockingLease)

    /** Runs [body] under [lock] and gives it back; see [BlockingClient.withLock]. */
    @Throws(Exception::class)
    public fun <T> withLock(lock: Lock, body: Body<BlockingLease, T>): T {
        val lease = acquire(lock)
        return underBlocking(lease.lease) { body.run(lease) }
    }

    /** Changes how many permits [semaphore] has; see [Semaphore.resize]. */
    @Throws(InterruptedException::class)
    public fun resize(semaphore: Semaphore, permits: Int): Long =
        changed(finishBlocking(semaphore.resizing(permits), semaphore.name))

    /** Whether anybody holds the lock in any way, now. */
    @Throws(InterruptedException::class)
    public fun isLocked(name: String): Boolean = holder(name) != null

    /** Who holds the lock; of several one. */
    @Throws(InterruptedException::class)
    public fun holder(name: String): HolderInfo? = inspect(name).holder

    /** The lock, as people see it. */
    @Throws(InterruptedException::class)
    public fun inspect(name: String): LockInfo = manager.inspected(finishBlocking(manager.inspecting(name), name))

    /** Locks that are held or waited for, of all stores; see [Manager.list]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun list(prefix: String = "", after: String? = null, limit: Int = 100): List<Placed> =
        manager.placed(finishBlocking(manager.listing(prefix, after, limit)))

    /** Asks whoever holds the lock to give it back; see [Client.askBack]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun askBack(name: String, why: String, grace: Duration, fence: Long? = null): Returned =
        returned(finishBlocking(manager.asking(name, why, grace.toKotlinDuration(), fence), name))

    /** Ends tenures from outside, where that is permitted; see [Manager.evict]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun evict(name: String, why: String, fence: Long? = null): Long? =
        manager.ended(finishBlocking(manager.evicting(name, why, fence), name))

    /** Takes a lock away; see [Manager.revoke]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun revoke(name: String, why: String, grace: Duration, fence: Long? = null): Returned =
        returned(finishBlocking(manager.revoking(name, why, grace.toKotlinDuration(), fence), name))

    /** How each store is; see [Manager.health]. */
    @Throws(InterruptedException::class)
    public fun health(): List<Health> = manager.health(finishBlocking(manager.healing()))

    /** How this process uses [name]; see [Manager.usage]. */
    public fun usage(name: String): Usage? = manager.usage(name)

    /** How this process uses each name that it uses. */
    public fun usages(): List<Usage> = manager.usages()

    /** Ends the clients of all stores; see [Manager.shutdown]. */
    @Throws(InterruptedException::class)
    public fun shutdown(grace: Duration): Boolean =
        (finishBlocking(manager.shuttingDown(grace.toKotlinDuration())) as leasehold.internal.Value.Enough).itWas

    /** The end of a try-with-resources: [shutdown] within a second. */
    override fun close() {
        try {
            shutdown(Duration.ofSeconds(1))
        } catch (_: InterruptedException) {
            Thread.currentThread().interrupt()
        }
    }

    override fun toString(): String = manager.toString()
}
