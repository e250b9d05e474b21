package leasehold

import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlin.time.toKotlinDuration
import kotlinx.coroutines.CoroutineScope
import leasehold.internal.AdaptiveTtl as NativeAdaptiveTtl

/** What was chosen, and from what; see [AdaptiveTtl.choose]. */
public data class Choice(
    /** The lease's length: 30 s until enough is known, from then on 1 to 30 s. */
    public val ttl: Duration,
    /** How long to wait: 1 to 30 s as well. */
    public val wait: Duration,
    /** How many of the latest holds it goes by, at most 50. */
    public val holds: Int,
    /** What 95 % of them were not longer than. */
    public val hold: Duration,
    /** What 95 % of the latest waits were not longer than. */
    public val waited: Duration,
    /** The part of the latest acquires that had to wait, 0 to 1. */
    public val load: Double,
    /** All of it in words. */
    public val words: String,
) {
    override fun toString(): String = words
}

/**
 * A ttl and a wait that follow how long a lock was held and waited for. Shared by all who take the lock in this process;
 * each lock, or each group of locks that are used alike, has its own.
 *
 *     val reports = AdaptiveTtl()
 *     reports.adapt(client.lock("report")).withLock { lease -> … }
 *     println(reports.choose())
 */
public class AdaptiveTtl {
    private val native: NativeAdaptiveTtl = native { NativeAdaptiveTtl() }

    /**
     * [lock] with the ttl and the wait that are chosen whenever it is taken, and its other options. How long it was waited
     * for is noted, and, when it is released, how long it was held.
     */
    public fun adapt(lock: Lock): AdaptedLock = AdaptedLock(lock, native)

    /** Notes how long the lock was held, where that was not through [adapt]. */
    public fun held(span: Duration) {
        native { native.held(seconds("span", span)) }
    }

    /** The same for Java. */
    public fun held(span: java.time.Duration) {
        held(span.toKotlinDuration())
    }

    /** Notes how long it was waited for, where that was not through [adapt]. */
    public fun waited(span: Duration) {
        native { native.waited(seconds("span", span)) }
    }

    /** The same for Java. */
    public fun waited(span: java.time.Duration) {
        waited(span.toKotlinDuration())
    }

    /** What to ask for now. */
    public fun choose(): Choice = native.choose().let {
        Choice(it.ttl.seconds, it.wait.seconds, it.holds.toInt(), it.hold.seconds, it.waited.seconds, it.load, it.words)
    }

    override fun toString(): String = "<AdaptiveTtl: ${choose()}>"
}

/** A lock whose ttl and wait follow its history, from [AdaptiveTtl.adapt]. */
public class AdaptedLock internal constructor(private val lock: Lock, private val adaptive: NativeAdaptiveTtl) {
    /** The lock's name. */
    public val name: String get() = lock.name

    /**
     * Takes the lock, as [Lock.acquire] does.
     *
     * @throws LockTimeoutException where the chosen wait ran out.
     */
    public suspend fun acquire(): Lease =
        // An attempt that waits has a lease or an error.
        Lease(name, checkNotNull(taken(name) { lock.beginWith(adaptive) }))

    /** Runs [block] under the lock and gives it back, as [Lock.withLock] does. */
    public suspend fun <T> withLock(block: suspend CoroutineScope.(Lease) -> T): T {
        val lease = acquire()
        return under(lease) { block(lease) }
    }

    /** The same for Java, and for Kotlin without coroutines: its calls block their thread. */
    public fun blocking(): BlockingAdaptedLock = BlockingAdaptedLock(this)

    override fun toString(): String = "<AdaptedLock ${shown(name)}>"

    internal fun acquireBlocking() = Lease(name, checkNotNull(takenBlocking(name) { lock.beginWith(adaptive) }))
}

/** A lock whose ttl and wait follow its history, by calls that block; from [AdaptedLock.blocking]. */
public class BlockingAdaptedLock internal constructor(private val lock: AdaptedLock) {
    /** The lock's name. */
    public val name: String get() = lock.name

    /** Takes the lock; close or release the lease, best with try-with-resources. */
    @Throws(InterruptedException::class)
    public fun acquire(): BlockingLease = BlockingLease(lock.acquireBlocking())

    /** Runs [body] under the lock and gives it back; see [BlockingClient.withLock]. */
    @Throws(Exception::class)
    public fun <T> withLock(body: Body<BlockingLease, T>): T {
        val lease = acquire()
        return underBlocking(lease.lease) { body.run(lease) }
    }

    override fun toString(): String = lock.toString()
}
