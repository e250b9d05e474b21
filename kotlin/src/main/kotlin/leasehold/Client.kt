package leasehold

import kotlin.time.Duration
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import leasehold.internal.Client as NativeClient
import leasehold.internal.Value

/** Access to one store; see [Leasehold.connect]. Cheap, and safe to share between threads. */
public class Client internal constructor(internal val native: NativeClient) {
    internal val source: Source = OfClient(native)

    /** Where the locks live, without secrets. */
    public val url: String get() = native.url()

    /**
     * A lock of this store. Nothing is asked of the store before it is taken.
     *
     * @param name any Unicode text of 1 to 1,024 bytes of UTF-8, taken as it is.
     * @param ttl how long the lease lasts without a renewal: 10 ms to 365 days.
     * @param wait how long to wait; zero: not at all.
     * @param renew false for a fixed term, which ends after its ttl whatever happens.
     * @param maxHold the longest tenure, however often renewed; [Lease.touch] counts anew.
     * @param owner an identity for re-entry and deadlock detection, from [owner].
     * @param priority larger goes first in the queue.
     * @param note free text for people who look at the lock, at most 256 bytes.
     * @param order in what order those who wait get the lock.
     * @param deadlockPriority of the waits in a deadlock that with the smallest ends; null: as [priority].
     */
    public fun lock(
        name: String,
        ttl: Duration = DEFAULT_TTL,
        wait: Duration = Duration.INFINITE,
        renew: Boolean = true,
        maxHold: Duration? = null,
        owner: Owner? = null,
        priority: Int = 0,
        note: String = "",
        order: Order = Order.FIFO,
        deadlockPriority: Int? = null,
    ): Lock {
        val asked = Asked(
            ttl, wait, renew, maxHold, owner, priority, note, order = order, deadlockPriority = deadlockPriority,
        )
        return Lock(source, text("the lock name", name), asked)
    }

    /** A lock of this store that many may hold to read, or one to write. The options are those of [lock]. */
    public fun rwlock(
        name: String,
        ttl: Duration = DEFAULT_TTL,
        wait: Duration = Duration.INFINITE,
        renew: Boolean = true,
        maxHold: Duration? = null,
        owner: Owner? = null,
        priority: Int = 0,
        note: String = "",
        deadlockPriority: Int? = null,
    ): RwLock {
        val asked = Asked(ttl, wait, renew, maxHold, owner, priority, note, deadlockPriority = deadlockPriority)
        return RwLock(source, text("the lock name", name), asked)
    }

    /** A semaphore of [capacity] permits in this store. The options are those of [lock]. */
    public fun semaphore(
        name: String,
        capacity: Int,
        ttl: Duration = DEFAULT_TTL,
        wait: Duration = Duration.INFINITE,
        renew: Boolean = true,
        maxHold: Duration? = null,
        owner: Owner? = null,
        priority: Int = 0,
        note: String = "",
        deadlockPriority: Int? = null,
    ): Semaphore {
        val asked = Asked(ttl, wait, renew, maxHold, owner, priority, note, deadlockPriority = deadlockPriority)
        return Semaphore(source, text("the lock name", name), capacity, asked)
    }

    /** An election: one leader at a time, and all may know who it is. The options are those of [lock]. */
    public fun election(
        name: String,
        ttl: Duration = DEFAULT_TTL,
        wait: Duration = Duration.INFINITE,
        renew: Boolean = true,
        maxHold: Duration? = null,
        owner: Owner? = null,
        priority: Int = 0,
        note: String = "",
    ): Election = Election(native, text("the lock name", name), Asked(ttl, wait, renew, maxHold, owner, priority, note))

    /**
     * A latch that opens once it was counted down by [count].
     *
     * @param keep how long it is kept once it is open, at least a minute; one that never opens is kept.
     */
    public fun latch(name: String, count: Long, keep: Duration = 1.hours): Latch {
        val latch = native { native.latch(text("the latch name", name), many("count", count), seconds("keep", keep)) }
        return Latch(latch, name)
    }

    /**
     * A double barrier for [parties].
     *
     * @param ttl how long a member counts as there without a sign of life.
     * @param note free text for people who look at the members, at most 256 bytes.
     */
    public fun barrier(name: String, parties: Int, ttl: Duration = DEFAULT_TTL, note: String = ""): Barrier {
        val asked = Asked(ttl, Duration.INFINITE, true, null, null, 0, note)
        return Barrier(native, text("the barrier name", name), parties, asked)
    }

    /** Runs [block] under a lock: [lock] and [Lock.withLock] in one. */
    public suspend fun <T> withLock(
        name: String,
        ttl: Duration = DEFAULT_TTL,
        wait: Duration = Duration.INFINITE,
        renew: Boolean = true,
        maxHold: Duration? = null,
        owner: Owner? = null,
        priority: Int = 0,
        note: String = "",
        block: suspend CoroutineScope.(Lease) -> T,
    ): T = lock(name, ttl, wait, renew, maxHold, owner, priority, note).withLock(block)

    /**
     * Takes several locks of this client, all or none; release the leases yourself, or use [withAll].
     *
     * Those that are free are taken in one atomic step where the store can, and those that are not are waited
     * for in the order of their names: so no two of these wait for each other, however their lists overlap.
     * Waits at most [wait] for all of them together; what the single locks say of that does not count. At
     * most 1,000 locks, each name once. If the caller is cancelled meanwhile, nothing is left behind.
     *
     * @throws LockTimeoutException where the wait ran out; nothing is held then, nor after any other error.
     * @throws InvalidInputException for a wrong list, name or option, or a lock of another client.
     */
    public suspend fun acquireAll(locks: Iterable<Lock>, wait: Duration = Duration.INFINITE): Leases =
        // An attempt that waits has leases or an error.
        checkNotNull(Several(native, locks, wait).take(tryOnly = false))

    /** Takes several locks if all of them are free; null where one is held by another. */
    public suspend fun tryAcquireAll(locks: Iterable<Lock>): Leases? =
        Several(native, locks).take(tryOnly = true)

    /**
     * Takes each of several locks that is free now, in one request, and says of each what came of it, in the
     * order of their list: the lease, null where another holds it, or the [LockException]. Waits for none.
     *
     * @throws InvalidInputException for a wrong list, or a lock of another client.
     */
    public suspend fun tryEach(locks: Iterable<Lock>): List<Result<Lease?>> = Several(native, locks).each()

    /**
     * Runs [block] under several locks and gives them back: [acquireAll], and then as [Lock.withLock], of which
     * the loss of any is the loss of all.
     */
    public suspend fun <T> withAll(
        locks: Iterable<Lock>,
        wait: Duration = Duration.INFINITE,
        block: suspend CoroutineScope.(Leases) -> T,
    ): T {
        val leases = acquireAll(locks, wait)
        return under(leases.all) { block(leases) }
    }

    /** The same client for Java, and for Kotlin without coroutines: its calls block their thread. */
    public fun blocking(): BlockingClient = BlockingClient(this)

    /** A fresh identity for the locks of one unit of work. Asks nothing of the store. */
    public fun owner(): Owner = Owner(native { native.owner() }.toBigInteger())

    /** What the searches for deadlocks came to so far, of the waits of this client in this process. */
    public fun deadlocks(): Deadlocks = native { native.deadlocks() }.let {
        Deadlocks(it.looks.toLong(), it.found.toLong(), it.victims.toLong(), it.longest.toInt(), it.cut.toLong())
    }

    /** Proves that the store answers. */
    public suspend fun ping() {
        finish(native.ping())
    }

    /** One lock, as people see it: who holds it and who waits, now. */
    public suspend fun inspect(name: String): LockInfo = locks(finish(inspecting(name), name)).single()

    /** Whether anybody holds the lock, now. Take the lock rather than act on this. */
    public suspend fun isLocked(name: String): Boolean = inspect(name).holder != null

    /**
     * Ends the tenures of a lock from outside, or only that which has this [fence]. Returns the fence of the
     * first that was ended, or null where nobody held it so. A holder is told ([LostReason.REVOKED]) at its
     * next renewal; until then only the fence keeps it from harm; [askBack] asks it first. [why] is for the log.
     */
    public suspend fun evict(name: String, why: String, fence: Long? = null): Long? =
        ended(finish(evicting(name, why, fence), name))

    /**
     * Asks whoever holds a lock, or only who holds it with this [fence], to give it back, and waits at most
     * [grace] until it is given back. The holder is told [why] where it listens ([Lease.askedBack],
     * [Lease.onAskedBack]) and may hold on; then [evict] is what is left. Of many holders the first 100 are asked.
     *
     * Whoever wants the lock should wait for it meanwhile: the release hands it over. If the caller is cancelled,
     * the request stands until its grace is over.
     */
    public suspend fun askBack(name: String, why: String, grace: Duration, fence: Long? = null): Returned =
        returned(finish(asking(name, why, grace, fence), name))

    /**
     * Locks that are held or waited for and whose names start with [prefix], in order of name: at most
     * [limit], only those after [after] (the last of the previous page).
     */
    public suspend fun list(prefix: String = "", after: String? = null, limit: Int = 100): List<LockInfo> =
        locks(finish(listing(prefix, after, limit)))

    /**
     * Ends this client: its holders are told, its waiters refused, its leases given back. Waits for that
     * at most [grace]; says whether it was enough.
     */
    public suspend fun shutdown(grace: Duration = 1.seconds): Boolean = enough(finish(shuttingDown(grace)))

    override fun toString(): String = "<Client of $url>"

    internal fun inspecting(name: String) = native.inspect(text("the lock name", name))

    internal fun evicting(name: String, why: String, fence: Long?) = native.evict(
        text("the lock name", name),
        fence(fence),
        text("why", why),
    )

    internal fun asking(name: String, why: String, grace: Duration, fence: Long?) =
        native.askBack(text("the lock name", name), text("why", why), seconds("grace", grace), fence(fence))

    internal fun ended(value: Value): Long? = (value as Value.Ended).fence?.toLong()

    internal fun listing(prefix: String, after: String?, limit: Int) = native.list(
        text("prefix", prefix),
        after?.let { text("after", it) },
        if (limit < 0) throw invalid("limit is $limit: zero or more is needed") else limit.toUInt(),
    )

    internal fun shuttingDown(grace: Duration) = native.shutdown(seconds("grace", grace))

    internal fun locks(value: Value): List<LockInfo> = (value as Value.Locks).locks.map(::lockInfo)

    internal fun enough(value: Value): Boolean = (value as Value.Enough).itWas

    internal companion object {
        /** The ttl of a lock that names none. */
        internal val DEFAULT_TTL: Duration = 30.seconds
    }
}
