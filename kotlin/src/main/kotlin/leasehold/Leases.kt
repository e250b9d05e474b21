/** Several locks that are taken together: all or none, held and given back as one. */
package leasehold

import kotlin.time.Duration
import kotlinx.coroutines.flow.Flow
import leasehold.internal.Attempt
import leasehold.internal.Client as NativeClient
import leasehold.internal.State

/**
 * The leases of locks that were taken together, from [Client.acquireAll] or in the body of [Client.withAll],
 * in the order of their list. [isHeld] is whether all are held, and [events] and [onLost] tell of the first
 * that is lost.
 *
 * Each is a [Lease] with a fence of its own. They stay together: what nobody released is given back when none
 * of them is referred to any more, with a warning.
 */
public class Leases internal constructor(names: List<String>, attempt: Attempt) : AbstractList<Lease>() {
    /** All of them as one. */
    internal val all = Lease(listed(names), attempt)
    private val each = attempt.each().zip(names) { one, name -> Lease(name, one, all) }

    override val size: Int get() = each.size

    override fun get(index: Int): Lease = each[index]

    /** Whether all are held, as far as can be known here and now. */
    public val isHeld: Boolean get() = all.isHeld

    /** How long [isHeld] stays true without a renewal; zero when it is over, infinite of none. */
    public val remaining: Duration get() = all.remaining

    /** Why the first of them ended that did, if one ended before its release. */
    public val lostReason: LostReason? get() = all.lostReason

    /** The release of all of them together, or the first loss; see [Lease.events]. */
    public val events: Flow<LeaseEvent> get() = all.events

    /** Calls [callback] once if one of them is lost; see [Lease.onLost]. */
    public fun onLost(callback: (LostReason) -> Unit) {
        all.onLost(callback)
    }

    /**
     * Returns while at least [minRemaining] is left of each.
     *
     * @throws LockLostException otherwise.
     */
    public fun check(minRemaining: Duration = Duration.ZERO) {
        all.check(minRemaining)
    }

    /** Changes the length of each to [ttl] and renews it now, one after the other; see [Lease.extend]. */
    public suspend fun extend(ttl: Duration) {
        all.extend(ttl)
    }

    /** A sign of life for each of them. */
    public fun touch() {
        all.touch()
    }

    /**
     * Gives all of them back, in one request, and says what became of them: [ReleaseState.LOST] if one was
     * lost, as for one lease otherwise.
     */
    public suspend fun release(): ReleaseState = all.release()

    override fun toString(): String {
        val state = if (isHeld) "held" else lostReason?.code ?: "released"
        return "<Leases of ${shown(all.name)}, $state>"
    }
}

/** Locks of one client, to be taken in one request. */
internal class Several(
    private val client: NativeClient,
    locks: Iterable<Lock>,
    private val wait: Duration = Duration.INFINITE,
) {
    private val locks = locks.toList()
    private val names = this.locks.map { it.name }

    suspend fun take(tryOnly: Boolean): Leases? =
        taken(listed(names)) { begin(tryOnly) }?.let { Leases(names, it) }

    fun takeBlocking(tryOnly: Boolean): Leases? =
        takenBlocking(listed(names)) { begin(tryOnly) }?.let { Leases(names, it) }

    /** What each alone comes to. */
    suspend fun each(): List<Result<Lease?>> = each(taken(listed(names), ::beginEach))

    fun eachBlocking(): List<Result<Lease?>> = each(takenBlocking(listed(names), ::beginEach))

    private fun begin(tryOnly: Boolean): Attempt = client.attemptAll(requests(), waiting(wait), tryOnly)

    private fun beginEach(): Attempt = client.attemptEach(requests())

    private fun requests() = locks.map { it.requestOf(client) }

    private fun each(attempt: Attempt?): List<Result<Lease?>> {
        // As one they are never busy.
        val all = Lease(listed(names), checkNotNull(attempt))
        return attempt.each().zip(names) { one, name ->
            runCatching { native(name) { one.poll() } }.map { if (it == State.HELD) Lease(name, one, all) else null }
        }
    }
}

private fun listed(names: List<String>) = names.joinToString(", ")
