/** Leader election: a lock whose holder says something to all. */
package leasehold

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flow
import leasehold.internal.Attempt
import leasehold.internal.Client as NativeClient

/**
 * An election: one leader at a time, for as long as its lease lasts, and all may know who it is. From
 * [Client.election].
 */
public class Election internal constructor(
    private val client: NativeClient,
    /** Its name, which is also that of the lock that the leader holds. */
    public val name: String,
    private val asked: Asked,
) {
    /**
     * Waits until nobody else leads, takes the lead and has all be told [value]; [Leadership.resign] it
     * yourself, in `finally`, or use [lead]. If the caller is cancelled meanwhile, nothing is left behind.
     *
     * @throws LockTimeoutException where the wait ran out.
     * @throws InvalidInputException for a wrong name, option or value, and a name that another kind uses.
     */
    public suspend fun campaign(value: ByteArray): Leadership =
        // An attempt that waits has a lease or an error.
        checkNotNull(take(value, tryOnly = false))

    /** The same with text as the value. */
    public suspend fun campaign(value: String = ""): Leadership = campaign(bytes(value))

    /** Takes the lead if nobody has it; null where another leads. */
    public suspend fun tryCampaign(value: ByteArray): Leadership? = take(value, tryOnly = true)

    /** The same with text as the value. */
    public suspend fun tryCampaign(value: String = ""): Leadership? = tryCampaign(bytes(value))

    /**
     * Runs [block] while it leads, and resigns, waiting for that at most one second. If the lead is lost
     * meanwhile, the block's scope is cancelled, and this throws the [LockLostException]: as [Lock.withLock].
     */
    public suspend fun <T> lead(value: ByteArray, block: suspend CoroutineScope.(Leadership) -> T): T {
        val leadership = campaign(value)
        return under(leadership) { block(leadership) }
    }

    /** The same with text as the value. */
    public suspend fun <T> lead(value: String = "", block: suspend CoroutineScope.(Leadership) -> T): T =
        lead(bytes(value), block)

    /** Who leads now, or null. */
    public suspend fun leader(): Leader? = observe().first()

    /**
     * Who leads now, and then each change of that or of what the leader says: null while nobody leads. Of
     * several changes in a row only the last may be seen; the fences of those shown only grow.
     *
     * A leader that resigned or was followed by another is told of at once; one that died or was evicted,
     * when its lease was to end, or when the next leads. It never completes. Each collector looks for itself,
     * at its own pace; where the store fails for longer than 15 s, it fails with the [LockException].
     */
    public fun observe(): Flow<Leader?> = flow {
        val observer = native(name) { client.observe(name) }
        while (true) {
            finish(observer.changed(), name)
            // Another that collects has an observer of its own: the change is here.
            observer.take()?.let { emit(it.leader?.let(::leaderOf)) }
        }
    }

    override fun toString(): String = "<Election ${shown(name)}>"

    internal fun takeBlocking(value: ByteArray, tryOnly: Boolean): Leadership? =
        takenBlocking(name) { begin(value, tryOnly) }?.let { Leadership(name, it) }

    internal fun observer() = BlockingObserver(native(name) { client.observe(name) }, name)

    private suspend fun take(value: ByteArray, tryOnly: Boolean): Leadership? =
        taken(name) { begin(value, tryOnly) }?.let { Leadership(name, it) }

    private fun begin(value: ByteArray, tryOnly: Boolean): Attempt =
        client.campaign(asked.request(name, tryOnly), value)
}

/**
 * The lead, for as long as its lease lasts: the [Lease] with a word to all. Whoever acts as the leader should
 * carry its [fence] to where that takes effect.
 */
public class Leadership internal constructor(name: String, attempt: Attempt) : Lease(name, attempt) {
    /** Whether it leads, as far as can be known here and now: [isHeld]. */
    public val isLeader: Boolean get() = isHeld

    /**
     * Has all be told [value] from now on, at most 60 KiB.
     *
     * @throws LockLostException where it leads no more.
     * @throws LockException as the store fails; it leads on then, and which of its values is told is not known.
     */
    public suspend fun proclaim(value: ByteArray) {
        finish(proclaiming(value), name)
    }

    /** The same with text as the value. */
    public suspend fun proclaim(value: String) {
        proclaim(bytes(value))
    }

    /** Ends the lead, and tells those who observe: [release] by its name here. */
    public suspend fun resign(): ReleaseState = release()

    internal fun proclaiming(value: ByteArray) = checkNotNull(attempt.proclaim(value))
}

/** Who leads. */
public class Leader internal constructor(
    /** The fence of its lease: larger than that of every leader before. */
    public val fence: Long,
    /** What it said last. */
    public val value: ByteArray,
    /** Who it is, and since when it has campaigned. */
    public val who: WaiterInfo,
) {
    /** [value] as text. */
    public val text: String get() = value.decodeToString()

    override fun equals(other: Any?): Boolean =
        other is Leader && other.fence == fence && other.value.contentEquals(value) && other.who == who

    override fun hashCode(): Int = fence.hashCode()

    override fun toString(): String = "<Leader ${shown(text)}, fence $fence>"
}

internal fun leaderOf(plain: leasehold.internal.Leader) =
    Leader(plain.fence.toLong(), plain.value, waiterInfo(plain.who))

/** The bytes of a value that is text. */
internal fun bytes(value: String): ByteArray = text("the value", value).encodeToByteArray()
