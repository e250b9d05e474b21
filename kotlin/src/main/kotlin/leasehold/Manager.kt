/** Locks by name, of the stores and kinds that one configuration says. */
package leasehold

import java.nio.file.Path
import java.time.Instant
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import leasehold.internal.AdaptiveTtl as NativeAdaptiveTtl
import leasehold.internal.Managed
import leasehold.internal.Manager as NativeManager
import leasehold.internal.Request
import leasehold.internal.Value

/** A lock in one of a manager's stores. */
public data class Placed(
    /** The store's name in the configuration. */
    public val store: String,
    public val lock: LockInfo,
)

/** One store of a manager at one moment. */
public data class Health(
    /** Its name in the configuration. */
    public val store: String,
    /** Its URL, without secrets. */
    public val url: String,
    /** How long it took to answer; null where it did not. */
    public val roundTrip: Duration?,
    /** Why it did not. */
    public val error: LockException?,
    /** Leases in it that this process holds through the manager. */
    public val held: Long,
    /** Attempts of this process that ask or wait for locks in it. */
    public val waiting: Long,
) {
    /** Whether it answered. */
    public val isReachable: Boolean get() = roundTrip != null
}

/** How this process uses one name at this moment. */
public data class Usage(
    public val name: String,
    /** Leases that are held. */
    public val held: Long,
    /** Calls that ask or wait for it. */
    public val waiting: Long,
    /** Locks that are described, and leases that are over and not collected yet. */
    public val idle: Long,
    /** When it was last asked for, granted, given back or lost; null where it is only described so far. */
    public val lastUsed: Instant?,
)

/**
 * Locks by name. What a name is, in which store it lives and how it is taken, one configuration says for all
 * parts of a program; all its keys are in docs/manager.md. Safe to share between threads; a store is opened with
 * the first lock in it.
 *
 *     val manager = Manager.fromFile(Path.of("locks.toml"))
 *     manager.lock("report:2031").withLock { lease -> }
 *
 * From Java, and from Kotlin without coroutines: [blocking].
 */
public class Manager private constructor(private val native: NativeManager) {
    /**
     * A lock, with the settings of its name; what is said here goes before them.
     *
     * @throws InvalidInputException for a name that the configuration sends nowhere or says to be of another kind.
     */
    public fun lock(
        name: String,
        ttl: Duration? = null,
        wait: Duration? = null,
        owner: Owner? = null,
        priority: Int = 0,
        note: String = "",
    ): Lock = lock(name, asked(ttl, wait, owner, priority, note))

    /** A lock that many may hold to read, or one to write; see [lock]. */
    public fun rwlock(
        name: String,
        ttl: Duration? = null,
        wait: Duration? = null,
        owner: Owner? = null,
        priority: Int = 0,
        note: String = "",
    ): RwLock = rwlock(name, asked(ttl, wait, owner, priority, note))

    /** A semaphore of the capacity that the configuration says; see [lock]. */
    public fun semaphore(
        name: String,
        ttl: Duration? = null,
        wait: Duration? = null,
        owner: Owner? = null,
        priority: Int = 0,
        note: String = "",
    ): Semaphore = semaphore(name, asked(ttl, wait, owner, priority, note))

    /** Whether anybody holds the lock in any way, now. Take the lock rather than act on this. */
    public suspend fun isLocked(name: String): Boolean = holder(name) != null

    /** Who holds the lock: host, process, language, since when, with which note. Of several one. */
    public suspend fun holder(name: String): HolderInfo? = inspect(name).holder

    /** The lock, as people see it: who holds it and who waits, now. */
    public suspend fun inspect(name: String): LockInfo = inspected(finish(inspecting(name), name))

    /**
     * Locks that are held or waited for and whose names start with [prefix], in order of name, of each store that
     * the configuration may send such a name to: at most [limit], only those after [after]. What a store has
     * besides, under a name that belongs elsewhere, is left out.
     */
    public suspend fun list(prefix: String = "", after: String? = null, limit: Int = 100): List<Placed> =
        placed(finish(listing(prefix, after, limit)))

    /** Asks whoever holds the lock to give it back; see [Client.askBack]. */
    public suspend fun askBack(name: String, why: String, grace: Duration, fence: Long? = null): Returned =
        returned(finish(asking(name, why, grace, fence), name))

    /**
     * Ends the tenures of a lock from outside; see [Client.evict].
     *
     * @throws UnsupportedException where the configuration does not permit it.
     */
    public suspend fun evict(name: String, why: String, fence: Long? = null): Long? =
        ended(finish(evicting(name, why, fence), name))

    /**
     * Takes a lock away: asks for it back first, and ends those tenures that are not given back within [grace],
     * one for each fence. If the caller is cancelled, it ends nothing any more.
     *
     * @throws UnsupportedException where the configuration does not permit the rest; then nobody is asked.
     */
    public suspend fun revoke(name: String, why: String, grace: Duration, fence: Long? = null): Returned =
        returned(finish(revoking(name, why, grace, fence), name))

    /**
     * How each store is, in order of name, asked all at once: within the 5 s that a request may take, whatever
     * they do. What fails is in the answer.
     */
    public suspend fun health(): List<Health> = health(finish(native.health()))

    /** How this process uses [name] through this manager; null where it doesn't now. */
    public fun usage(name: String): Usage? = native.usage(text("the lock name", name))?.let(::usageOf)

    /** How this process uses each name that it uses, in order of name. */
    public fun usages(): List<Usage> = native.usages().map(::usageOf)

    /**
     * Ends the clients of all stores: holders are told, waiters refused, leases given back. Waits for that at most
     * [grace]; says whether it was enough.
     */
    public suspend fun shutdown(grace: Duration = 1.seconds): Boolean =
        (finish(shuttingDown(grace)) as Value.Enough).itWas

    /** The same manager for Java, and for Kotlin without coroutines: its calls block their thread. */
    public fun blocking(): BlockingManager = BlockingManager(this)

    override fun toString(): String = "<Manager of ${native.usages().size} names in use>"

    internal fun lock(name: String, asked: Asked) = Lock(describe(name, "exclusive"), name, asked)

    internal fun rwlock(name: String, asked: Asked) = RwLock(describe(name, "rwlock"), name, asked)

    internal fun semaphore(name: String, asked: Asked): Semaphore {
        val source = describe(name, "semaphore")
        return Semaphore(source, name, source.managed.capacity().toInt(), asked)
    }

    internal fun inspecting(name: String) = native.inspect(text("the lock name", name))

    internal fun inspected(value: Value): LockInfo = lockInfo((value as Value.Locks).locks.single())

    internal fun listing(prefix: String, after: String?, limit: Int) =
        native.list(text("prefix", prefix), after?.let { text("after", it) }, count("limit", limit))

    internal fun placed(value: Value): List<Placed> =
        (value as Value.Placed).placed.map { Placed(it.store, lockInfo(it.lock)) }

    internal fun asking(name: String, why: String, grace: Duration, fence: Long?) =
        native.askBack(text("the lock name", name), text("why", why), seconds("grace", grace), fence(fence))

    internal fun evicting(name: String, why: String, fence: Long?) =
        native.evict(text("the lock name", name), fence(fence), text("why", why))

    internal fun ended(value: Value): Long? = (value as Value.Ended).fence?.toLong()

    internal fun revoking(name: String, why: String, grace: Duration, fence: Long?) =
        native.revoke(text("the lock name", name), text("why", why), seconds("grace", grace), fence(fence))

    internal fun healing() = native.health()

    internal fun health(value: Value): List<Health> = (value as Value.Health).health.map {
        val (store, url, roundTrip) = it
        Health(store, url, roundTrip?.seconds, it.error?.let(::fromFailure), it.held.toLong(), it.waiting.toLong())
    }

    internal fun shuttingDown(grace: Duration) = native.shutdown(seconds("grace", grace))

    private fun asked(ttl: Duration?, wait: Duration?, owner: Owner?, priority: Int, note: String) =
        Asked(ttl, wait ?: Duration.INFINITE, true, null, owner, priority, note)

    private fun describe(name: String, kind: String) =
        OfManager(native(name) { native.describe(text("the lock name", name), kind) })

    private fun usageOf(plain: leasehold.internal.Usage) = Usage(
        plain.name,
        plain.held.toLong(),
        plain.waiting.toLong(),
        plain.idle.toLong(),
        plain.lastUsed?.let { Instant.EPOCH.plusNanos((it * 1e9).toLong()) },
    )

    public companion object {
        /**
         * A manager of what the TOML text [config] says.
         *
         * @param deadlockDepth as for [Leasehold.connect].
         * @param audit a file that is told of each eviction and each request to give a lock back; as there.
         * @throws InvalidInputException with the place, for what is no configuration.
         */
        @JvmStatic
        @JvmOverloads
        public fun fromToml(config: String, deadlockDepth: Int? = null, audit: Path? = null): Manager =
            open(text("the configuration", config), false, deadlockDepth, audit)

        /**
         * A manager of what a TOML file says; see [fromToml].
         *
         * @throws StoreFailedException for one that can't be read.
         */
        @JvmStatic
        @JvmOverloads
        public fun fromFile(path: Path, deadlockDepth: Int? = null, audit: Path? = null): Manager =
            open(text("the path", "$path"), true, deadlockDepth, audit)

        private fun open(config: String, isPath: Boolean, deadlockDepth: Int?, audit: Path?): Manager =
            Manager(native { NativeManager.open(config, isPath, depth(deadlockDepth), path(audit)) })
    }
}

/** Where a manager's configuration says. */
internal class OfManager(val managed: Managed) : Source {
    override fun attempt(request: Request) = managed.attempt(request)

    override fun attemptAdaptive(request: Request, adaptive: NativeAdaptiveTtl) = managed.attemptAdaptive(request, adaptive)

    override fun resize(name: String, capacity: UInt, permits: UInt) = managed.resize(permits)
}
