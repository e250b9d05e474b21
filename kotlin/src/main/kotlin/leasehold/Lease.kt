package leasehold

import java.lang.ref.Cleaner
import java.lang.ref.WeakReference
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.mapNotNull
import leasehold.internal.Attempt
import leasehold.internal.Value

private val CLEANER: Cleaner = Cleaner.create()

/**
 * One tenure of one lock, from [Lock.acquire] or in the body of [Lock.withLock]; of an election it is the
 * [Leadership], of a barrier the place [Inside].
 *
 * It is a belief with a deadline: [isHeld] compares it with the clock on each look, so it is right at
 * once even after the whole process was paused. What is done under the lock should carry the [fence] to
 * where it takes effect.
 *
 * A lease that is forgotten is given back when it is collected, with a warning.
 */
public open class Lease internal constructor(
    /** The lock's name. */
    public val name: String,
    internal val attempt: Attempt,
    /** Those that it was taken together with: they own it, and are not forgotten before it is. */
    private val together: Lease? = null,
) {
    /**
     * The fencing token: larger than that of every tenure of this lock before, and at most 2^53 - 1. It
     * stays this tenure's own for ever. Of a reader it is the [epoch], of permits a number of their own:
     * neither is to be written with.
     */
    public val fence: Long get() = attempt.fence().toLong()

    /** How the lock is held. */
    public val kind: Kind get() = Kind.of(attempt.kind())

    /**
     * What a reader knows of the writers: it came after each whose fence is not larger than this, and before
     * all others. Null for who does not just read.
     */
    public val epoch: Long? get() = attempt.epoch()?.toLong()

    private val end = CompletableDeferred<LeaseEvent>()
    private val listening = AtomicBoolean()
    private val ears = ConcurrentLinkedQueue<Ear>()
    private val forgotten = Forgotten(name, attempt)
    private val cleanable = if (together == null) CLEANER.register(this, forgotten) else null

    /** The identity it was taken with. */
    public val owner: Owner? get() = attempt.owner()?.let { Owner(it.toBigInteger()) }

    /** Whether the lock is this tenure's, as far as can be known here and now. Once false, always. */
    public val isHeld: Boolean get() = attempt.isHeld()

    /** How long [isHeld] stays true without a renewal; zero when it is over. */
    public val remaining: Duration get() = attempt.remaining().seconds

    /** Why it ended, if it ended before its release. */
    public val lostReason: LostReason? get() = attempt.lostReason()?.let(LostReason::of)

    /**
     * What befalls the lease, soon after it did: at most one event, its release or its loss, and the
     * end. Whoever comes later gets it, too.
     */
    public val events: Flow<LeaseEvent> = flow {
        listen()
        emit(end.await())
    }

    /**
     * Calls [callback] once if the lease is lost, on a thread of the library's Kotlin half: soon, if it
     * is lost already; never, if it is released. It must be short.
     */
    @OptIn(ExperimentalCoroutinesApi::class)
    public fun onLost(callback: (LostReason) -> Unit) {
        listen()
        end.invokeOnCompletion {
            val event = end.getCompleted()
            if (event is LeaseEvent.Lost) {
                callback(event.reason)
            }
        }
    }

    /**
     * The requests to give it back ([Client.askBack]): each once, also those from before it is collected, as long
     * as they stand; it completes when the lease is over. To follow one is the holder's choice: nothing happens
     * by itself. Of several who listen for one lease, each request goes to one; one that came to a collector that
     * was cancelled goes to the next.
     *
     * While it is collected the store is looked at with every renewal; in between the store tells of a request at
     * once. It fails with [UnsupportedException] by a store that has no place for requests.
     */
    public val askedBack: Flow<AskedBack> = flow {
        while ((finish(beingAsked(), name) as Value.Enough).itWas) {
            emit(Unit)
        }
        // Taken behind `emit`, which refuses where the collector was cancelled meanwhile: what was taken before
        // would be nobody's.
    }.mapNotNull { attempt.takeAsked()?.let { askedBack(it) } }

    /**
     * Calls [callback] with each request to give it back, until it is over, on a thread of the library's Kotlin
     * half: it must be short. It costs what collecting [askedBack] costs.
     */
    public fun onAskedBack(callback: (AskedBack) -> Unit) {
        if (!forgotten.over) {
            ears.add(Ear(name, attempt, callback))
        }
    }

    /**
     * Returns while at least [minRemaining] is left: what takes a second should not start with half of
     * one.
     *
     * @throws LockLostException otherwise.
     */
    public fun check(minRemaining: Duration = Duration.ZERO) {
        val least = seconds("minRemaining", minRemaining)
        native(name) { attempt.check(least) }
    }

    /**
     * Changes the lease's length to [ttl] and renews it now; also for a fixed term.
     *
     * @throws LockLostException where it is over.
     * @throws InvalidInputException for a ttl out of bounds.
     */
    public suspend fun extend(ttl: Duration) {
        finish(extending(ttl), name)
    }

    /**
     * Has a writer read on, with no other writer in between: it keeps its fence, which is the epoch of those
     * who now read with it. Where the store fails it is a reader's lease that may keep other readers out
     * until it is released or this is called again.
     *
     * @throws InvalidInputException for permits.
     * @throws LockLostException where the lease is over.
     */
    public suspend fun downgrade() {
        finish(downgrading(), name)
    }

    /**
     * Has the only reader write, with a fence of its own.
     *
     * @throws DeadlockException where others read too: two that waited for each other to leave would wait for
     *   ever, so none may. It reads on then, as it does when the store fails.
     */
    public suspend fun upgrade() {
        finish(upgrading(), name)
    }

    /** A sign of life: `maxHold` counts anew from now. */
    public fun touch() {
        attempt.touch()
    }

    /**
     * Gives the lock back and says what became of it. May be called again, and never touches another's
     * tenure. Waits for the store at most one second and not beyond the lease's end, then goes on in
     * the background; so it does where the caller is cancelled meanwhile.
     */
    public suspend fun release(): ReleaseState {
        val call = releasing()
        try {
            return released(finish(call, name))
        } catch (cancelled: CancellationException) {
            ended(ReleaseState.BACKGROUND)
            throw cancelled
        }
    }

    override fun toString(): String {
        val state = if (isHeld) "held" else lostReason?.code ?: "released"
        return "<${javaClass.simpleName} of ${shown(name)}, fence $fence, $state>"
    }

    internal fun beingAsked() = checkNotNull(attempt.askedBack())

    internal fun downgrading() = checkNotNull(attempt.downgrade())

    internal fun upgrading() = checkNotNull(attempt.upgrade())

    internal fun extending(ttl: Duration) = checkNotNull(attempt.extend(seconds("ttl", ttl)))

    /** Starts a release. */
    internal fun releasing() = native(name) { attempt.release() }.also { forgotten.over = true }

    /** The end of one. */
    internal fun released(value: Value): ReleaseState {
        val state = ReleaseState.of((value as Value.Release).state)
        if (state != ReleaseState.REPEATED) {
            ended(state)
        }
        return state
    }

    /** It was given back, or found to be lost. */
    internal fun ended(state: ReleaseState) {
        if (state != ReleaseState.RELEASED) {
            lost()
        }
        end.complete(LeaseEvent.Released(state))
        forgotten.over = true
        ears.clear()
        cleanable?.clean()
    }

    /** The error that says that it was lost. */
    internal fun loss(): LockException = try {
        native(name) { attempt.checkLoss() }
        LockLostException("the lease of lock ${shown(name)} was lost", Details(lock = name))
    } catch (error: LockException) {
        error
    }

    private fun listen() {
        if (listening.compareAndSet(false, true)) {
            // Weak: a lease that is forgotten must be found to be.
            val weak = WeakReference(this)
            Post.listen(attempt::onLost) { weak.get()?.lost() }
        }
    }

    private fun lost() {
        lostReason?.let { end.complete(LeaseEvent.Lost(it)) }
    }

    /** Gives back what nobody can release any more. */
    private class Forgotten(private val name: String, private val attempt: Attempt) : Runnable {
        @Volatile
        var over = false

        override fun run() {
            // Of several also those that are left, where some were given back alone.
            if (!over && attempt.each().any { it.isHeld() }) {
                attempt.cancel()
                LOG.log(System.Logger.Level.WARNING, "the lease of lock ${shown(name)} was never released")
            }
        }
    }
}
