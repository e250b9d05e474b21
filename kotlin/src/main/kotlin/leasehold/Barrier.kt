/** The double barrier: none goes in before all have come, none out before all have left. */
package leasehold

import kotlin.time.Duration
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import leasehold.internal.Attempt
import leasehold.internal.Client as NativeClient

/** A double barrier for so many parties, to be used again and again; from [Client.barrier]. */
public class Barrier internal constructor(
    private val client: NativeClient,
    /** Its name. */
    public val name: String,
    /** For how many it is. */
    public val parties: Int,
    private val asked: Asked,
) {
    /**
     * Comes, and waits until all have, at most [wait]; [Inside.leave] yourself, or use [within]. Whoever is
     * cancelled meanwhile goes away again.
     *
     * @throws LockTimeoutException where the wait ran out.
     * @throws InvalidInputException for a wrong name or option, another number of parties than the others',
     *   and a name that another kind uses.
     */
    public suspend fun enter(wait: Duration = Duration.INFINITE): Inside =
        // An attempt that waits has a place or an error.
        Inside(name, checkNotNull(taken(name) { begin(wait) }))

    /**
     * Runs [block] between the two barriers: waits until all have come, at most [wait], and afterwards until
     * all have left, again at most [wait]. Where [block] fails, it leaves without waiting for the others.
     *
     * If the place is lost meanwhile, the block's scope is cancelled, and this throws the
     * [LockLostException]: as [Lock.withLock].
     */
    public suspend fun <T> within(
        wait: Duration = Duration.INFINITE,
        block: suspend CoroutineScope.(Inside) -> T,
    ): T {
        val inside = enter(wait)
        return under(inside) { block(inside).also { inside.leave(wait) } }
    }

    override fun toString(): String = "<Barrier ${shown(name)} of $parties>"

    internal fun enterBlocking(wait: Duration): Inside =
        Inside(name, checkNotNull(takenBlocking(name) { begin(wait) }))

    private fun begin(wait: Duration): Attempt =
        client.enter(asked.copy(wait = wait).request(name, tryOnly = false), count("parties", parties))
}

/**
 * A place between the two barriers, which lasts as long as its lease: [release] gives it up without waiting
 * for the others, [leave] waits until all have left.
 */
public class Inside internal constructor(name: String, attempt: Attempt) : Lease(name, attempt) {
    /**
     * Leaves, and waits until all have, at most [wait]. Whoever died counts as having left once its lease is
     * over. Also where this fails or the caller is cancelled, this member has left; it may be called again, to
     * wait once more.
     *
     * @throws LockTimeoutException where others are still inside.
     * @throws LockLostException where the place was lost before: the others went on without this member.
     */
    public suspend fun leave(wait: Duration = Duration.INFINITE) {
        try {
            finish(leaving(wait), name)
        } catch (error: Throwable) {
            left(error)
            throw error
        }
        left()
    }

    internal fun leaving(wait: Duration) = checkNotNull(attempt.leave(waiting(wait)))

    /** The end of that, by [error] or well. */
    internal fun left(error: Throwable? = null) {
        if (error is CancellationException || error is InterruptedException) {
            // Nobody waits for it: a look hands it over to the library's threads.
            val call = releasing()
            runCatching { call.value() }
            ended(ReleaseState.BACKGROUND)
        } else if (!isHeld) {
            ended(ReleaseState.RELEASED)
        }
    }
}
