package leasehold

import java.time.Duration
import java.util.function.Consumer
import kotlin.time.toJavaDuration
import kotlin.time.toKotlinDuration

/** What came of one of several locks that were tried each alone: a lease, an error, or neither where it is another's. */
public class Tried internal constructor(
    /** The lease, if it was taken. */
    public val lease: BlockingLease?,
    /** The error, if there was one. */
    public val error: LockException?,
)

/** The leases of locks that were taken together, in the order of their list; see [Leases]. */
public class BlockingLeases internal constructor(internal val leases: Leases) :
    AbstractList<BlockingLease>(),
    AutoCloseable {
    private val each = leases.map(::BlockingLease)

    override val size: Int get() = each.size

    override fun get(index: Int): BlockingLease = each[index]

    /** Whether all are held, computed here and now. */
    public val isHeld: Boolean get() = leases.isHeld

    /** How long [isHeld] stays true without a renewal. */
    public val remaining: Duration get() = leases.remaining.toJavaDuration()

    /** Why the first of them ended that did, if one ended before its release. */
    public val lostReason: LostReason? get() = leases.lostReason

    /** Calls [callback] once if one of them is lost, on another thread; see [Lease.onLost]. */
    public fun onLost(callback: Consumer<LostReason>) {
        leases.onLost(callback::accept)
    }

    /** Returns while anything is left of each; throws [LockLostException] otherwise. */
    public fun check() {
        leases.check()
    }

    /** Returns while at least [minRemaining] is left of each; throws [LockLostException] otherwise. */
    public fun check(minRemaining: Duration) {
        leases.check(minRemaining.toKotlinDuration())
    }

    /** Changes the length of each and renews it now; see [Lease.extend]. */
    @Throws(InterruptedException::class)
    public fun extend(ttl: Duration) {
        finishBlocking(leases.all.extending(ttl.toKotlinDuration()), leases.all.name)
    }

    /** A sign of life for each of them. */
    public fun touch() {
        leases.touch()
    }

    /** Gives all of them back, in one request, and says what became of them; see [Leases.release]. */
    @Throws(InterruptedException::class)
    public fun release(): ReleaseState = leases.all.releaseBlocking()

    /** The end of a try-with-resources: a release, of which an interrupt only ends the waiting. */
    override fun close() {
        leases.all.close()
    }

    override fun toString(): String = leases.toString()
}
