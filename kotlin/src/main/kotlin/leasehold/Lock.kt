package leasehold

import kotlin.time.Duration
import kotlinx.coroutines.CoroutineScope
import leasehold.internal.AdaptiveTtl
import leasehold.internal.Attempt
import leasehold.internal.Call
import leasehold.internal.Client as NativeClient
import leasehold.internal.Request

/** How a lock is to be held; the default is: alone. */
internal data class How(val shared: Boolean = false, val permits: Int? = null, val capacity: Int = 0)

/** What a lock is asked for with; see [Client.lock]. */
internal data class Asked(
    /** Null: the default, or what the configuration says. */
    val ttl: Duration?,
    val wait: Duration,
    val renew: Boolean,
    val maxHold: Duration?,
    val owner: Owner?,
    val priority: Int,
    val note: String,
    val how: How = How(),
    val order: Order? = null,
    val deadlockPriority: Int? = null,
) {
    fun request(name: String, tryOnly: Boolean) = Request(
        name = name,
        shared = how.shared,
        permits = how.permits?.let { count("permits", it) },
        capacity = count("capacity", how.capacity),
        tryOnly = tryOnly,
        ttl = ttl?.let { seconds("ttl", it) },
        wait = waiting(wait),
        fixedTerm = !renew,
        maxHold = maxHold?.let { seconds("maxHold", it) },
        owner = owner?.number?.toString(),
        priority = priority,
        note = text("note", note),
        order = order?.word,
        deadlockPriority = deadlockPriority,
    )
}

/** Where a lock is taken: in the store of a client, or where a manager's configuration says. */
internal interface Source {
    fun attempt(request: Request): Attempt

    fun attemptAdaptive(request: Request, adaptive: AdaptiveTtl): Attempt

    fun resize(name: String, capacity: UInt, permits: UInt): Call
}

/** The store of [native]. */
internal class OfClient(val native: NativeClient) : Source {
    override fun attempt(request: Request) = native.attempt(request)

    override fun attemptAdaptive(request: Request, adaptive: AdaptiveTtl) = native.attemptAdaptive(request, adaptive)

    override fun resize(name: String, capacity: UInt, permits: UInt) = native.resize(name, capacity, permits)
}

/** In what order those who wait for a lock get it. */
public enum class Order(internal val word: String) {
    /** By priority and arrival, whatever process they are in. */
    FIFO("fifo"),

    /**
     * For a lock that many of this process contend for: it goes from one to the next with no step of the
     * store in between, to at most 512 of them and for at most 50 ms, then to whoever waits elsewhere.
     * Each has a lease and a fence of its own. Without an owner, and for exclusive locks.
     */
    THROUGHPUT("throughput"),
}

/** A lock to be taken, from [Client.lock]. Plain data: it may be used often, and by many at a time. */
public class Lock internal constructor(
    private val source: Source,
    /** Its name. */
    public val name: String,
    private val asked: Asked,
) {
    /**
     * Takes the lock; release the lease yourself, in `finally`, or use [withLock].
     *
     * If the caller is cancelled meanwhile, nothing is left behind: neither a place in the queue nor a
     * lock that was granted too late to be told. A lease that this returned and that the caller then
     * drops (`withTimeout { acquire() }` may, at the last moment; use `wait` instead) is given back
     * when it is collected.
     *
     * @throws LockTimeoutException where the wait ran out.
     * @throws InvalidInputException for a wrong name or option.
     */
    public suspend fun acquire(): Lease =
        // An attempt that waits has a lease or an error.
        checkNotNull(take(tryOnly = false))

    /** Takes the lock if it is free; null where another holds it. Never waits for it. */
    public suspend fun tryAcquire(): Lease? = take(tryOnly = true)

    /**
     * Runs [block] under the lock and gives it back, waiting for that at most one second.
     *
     * If the lease is lost meanwhile, the block's scope is cancelled, with the [LockLostException] as
     * the cause, and this throws that exception. An error of the block's own is never masked, neither
     * by the loss nor by the release.
     */
    public suspend fun <T> withLock(block: suspend CoroutineScope.(Lease) -> T): T {
        val lease = acquire()
        return under(lease) { block(lease) }
    }

    override fun toString(): String = "<Lock ${shown(name)}>"

    private suspend fun take(tryOnly: Boolean): Lease? =
        taken(name) { source.attempt(request(tryOnly)) }?.let { Lease(name, it) }

    /** Takes the lock in this thread; null where another holds it and it does not wait. */
    internal fun takeBlocking(tryOnly: Boolean): Lease? =
        takenBlocking(name) { source.attempt(request(tryOnly)) }?.let { Lease(name, it) }

    /** What is asked for, where it is one of several locks of [client]. */
    internal fun requestOf(client: NativeClient): Request {
        if (client !== (source as? OfClient)?.native) {
            throw invalid("lock ${shown(name)} is of another client")
        }
        return request(tryOnly = false)
    }

    /** Starts a try with the ttl and the wait that [adaptive] chooses now. */
    internal fun beginWith(adaptive: AdaptiveTtl): Attempt =
        source.attemptAdaptive(request(tryOnly = false), adaptive)

    private fun request(tryOnly: Boolean) = asked.request(name, tryOnly)
}
