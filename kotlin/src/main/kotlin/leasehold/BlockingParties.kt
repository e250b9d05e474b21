/** Election, latch and barrier for Java, and for Kotlin without coroutines; see [BlockingClient]. */
package leasehold

import java.time.Duration
import kotlin.time.toKotlinDuration

private val FOR_EVER = kotlin.time.Duration.INFINITE

/** An election; see [Election]. */
public class BlockingElection internal constructor(private val election: Election) {
    /** Its name. */
    public val name: String get() = election.name

    /** Waits until nobody else leads and takes the lead; resign or close it, best with try-with-resources. */
    @Throws(InterruptedException::class)
    public fun campaign(value: ByteArray): BlockingLeadership =
        BlockingLeadership(checkNotNull(election.takeBlocking(value, tryOnly = false)))

    /** The same with text as the value. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun campaign(value: String = ""): BlockingLeadership = campaign(bytes(value))

    /** Takes the lead if nobody has it; null where another leads. */
    @Throws(InterruptedException::class)
    public fun tryCampaign(value: ByteArray): BlockingLeadership? =
        election.takeBlocking(value, tryOnly = true)?.let(::BlockingLeadership)

    /** The same with text as the value. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun tryCampaign(value: String = ""): BlockingLeadership? = tryCampaign(bytes(value))

    /** Runs [body] while it leads, and resigns; as [BlockingClient.withLock]. */
    @Throws(Exception::class)
    public fun <T> lead(value: String, body: Body<BlockingLeadership, T>): T {
        val leadership = campaign(value)
        return underBlocking(leadership.leadership) { body.run(leadership) }
    }

    /** Who leads now, or null. */
    @Throws(InterruptedException::class)
    public fun leader(): Leader? = observe().next()

    /** Watches who leads. It has nothing to close. */
    public fun observe(): BlockingObserver = election.observer()

    override fun toString(): String = election.toString()
}

/** The lead; see [Leadership]. The end of a try-with-resources resigns. */
public class BlockingLeadership internal constructor(internal val leadership: Leadership) : BlockingLease(leadership) {
    /** Whether it leads, computed here and now. */
    public val isLeader: Boolean get() = leadership.isLeader

    /** Has all be told [value] from now on; see [Leadership.proclaim]. */
    @Throws(InterruptedException::class)
    public fun proclaim(value: ByteArray) {
        finishBlocking(leadership.proclaiming(value), name)
    }

    /** The same with text as the value. */
    @Throws(InterruptedException::class)
    public fun proclaim(value: String) {
        proclaim(bytes(value))
    }

    /** Ends the lead, and tells those who observe. */
    @Throws(InterruptedException::class)
    public fun resign(): ReleaseState = release()
}

/** Tells who leads; see [Election.observe]. */
public class BlockingObserver internal constructor(
    private val native: leasehold.internal.Observer,
    private val name: String,
) {
    /**
     * At the first call who leads now, at each later one as soon as that or what the leader says has changed:
     * the leader, or null while nobody leads. After an interrupt or an error it may be called again, and has
     * lost nothing.
     */
    @Throws(InterruptedException::class)
    public fun next(): Leader? {
        while (true) {
            finishBlocking(native.changed(), name)
            // Another thread may have been first.
            native.take()?.let { return it.leader?.let(::leaderOf) }
        }
    }
}

/** A latch; see [Latch]. */
public class BlockingLatch internal constructor(private val latch: Latch) {
    /** Its name. */
    public val name: String get() = latch.name

    /** Counts down, not below zero, and returns what is left; see [Latch.countDown]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun countDown(count: Long = 1): Long = latch.number(finishBlocking(latch.counting(count), name))

    /** What is left: zero once it is open. */
    @Throws(InterruptedException::class)
    public fun left(): Long = latch.number(finishBlocking(latch.remaining(), name))

    /** Waits until it is open. */
    @Throws(InterruptedException::class)
    public fun await() {
        finishBlocking(latch.opening(FOR_EVER), name)
    }

    /** Waits until it is open, at most [wait]; throws [LockTimeoutException] then. */
    @Throws(InterruptedException::class)
    public fun await(wait: Duration) {
        finishBlocking(latch.opening(wait.toKotlinDuration()), name)
    }

    override fun toString(): String = latch.toString()
}

/** A double barrier; see [Barrier]. */
public class BlockingBarrier internal constructor(private val barrier: Barrier) {
    /** Its name. */
    public val name: String get() = barrier.name

    /** Comes, and waits until all have. */
    @Throws(InterruptedException::class)
    public fun enter(): BlockingInside = enter(FOR_EVER)

    /** Comes, and waits until all have, at most [wait]; throws [LockTimeoutException] then. */
    @Throws(InterruptedException::class)
    public fun enter(wait: Duration): BlockingInside = enter(wait.toKotlinDuration())

    /** Runs [body] between the two barriers, for each of which it waits at most [wait]; see [Barrier.within]. */
    @Throws(Exception::class)
    public fun <T> within(wait: Duration, body: Body<BlockingInside, T>): T = within(wait.toKotlinDuration(), body)

    /** Runs [body] between the two barriers, for which it waits for ever. */
    @Throws(Exception::class)
    public fun <T> within(body: Body<BlockingInside, T>): T = within(FOR_EVER, body)

    override fun toString(): String = barrier.toString()

    private fun enter(wait: kotlin.time.Duration) = BlockingInside(barrier.enterBlocking(wait))

    private fun <T> within(wait: kotlin.time.Duration, body: Body<BlockingInside, T>): T {
        val inside = enter(wait)
        return underBlocking(inside.inside) { body.run(inside).also { inside.leave(wait) } }
    }
}

/** A place between the two barriers; see [Inside]. The end of a try-with-resources waits for nobody. */
public class BlockingInside internal constructor(internal val inside: Inside) : BlockingLease(inside) {
    /** Leaves, and waits until all have. */
    @Throws(InterruptedException::class)
    public fun leave() {
        leave(FOR_EVER)
    }

    /** Leaves, and waits until all have, at most [wait]; see [Inside.leave]. */
    @Throws(InterruptedException::class)
    public fun leave(wait: Duration) {
        leave(wait.toKotlinDuration())
    }

    internal fun leave(wait: kotlin.time.Duration) {
        try {
            finishBlocking(inside.leaving(wait), name)
        } catch (error: Throwable) {
            inside.left(error)
            throw error
        }
        inside.left()
    }
}
