/**
 * How an attempt becomes a tenure, of one lock or of several, and how what is done under it ends.
 *
 * The traps: a caller that is cancelled, or interrupted, after the grant and before it hears of it; and an
 * error on the way out that masks the one that the caller should see.
 */
package leasehold

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.cancel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.isActive
import kotlinx.coroutines.withContext
import leasehold.internal.Attempt
import leasehold.internal.State

/** Waits for the attempt that [begin] starts; null where it found [lock] taken and does not wait. */
internal suspend fun taken(lock: String, begin: () -> Attempt): Attempt? {
    currentCoroutineContext().ensureActive()
    val attempt = native(lock, begin)
    try {
        Post.settled(attempt::notify)
        return held(attempt, native(lock) { attempt.poll() })
    } catch (error: Throwable) {
        // Granted or not: what the caller will never see is given back.
        attempt.cancel()
        throw error
    }
}

/** The same in this thread, of which an interrupt ends the wait. */
internal fun takenBlocking(lock: String, begin: () -> Attempt): Attempt? {
    interruptible()
    val attempt = native(lock, begin)
    try {
        while (true) {
            val state = native(lock) { attempt.waitFor(SLICE_MS) }
            if (state != State.PENDING) {
                return held(attempt, state)
            }
            interruptible()
        }
    } catch (error: Throwable) {
        attempt.cancel()
        throw error
    }
}

private fun held(attempt: Attempt, state: State): Attempt? = when (state) {
    State.HELD -> attempt
    State.BUSY -> null
    State.PENDING -> error("an attempt told that it was done, and was not")
}

/**
 * Runs [block] for what [lease], or all that was taken with it, holds, and gives it back. [block] gets a scope
 * that the loss ends.
 */
internal suspend fun <T> under(lease: Lease, block: suspend CoroutineScope.() -> T): T {
    val result = try {
        coroutineScope {
            lease.onLost {
                cancel(CancellationException("the lease of lock ${shown(lease.name)} was lost", lease.loss()))
            }
            block()
        }
    } catch (error: Throwable) {
        withContext(NonCancellable) {
            try {
                lease.release()
            } catch (late: LockException) {
                error.addSuppressed(late)
            }
        }
        // The scope's own end, which the loss brought about; not the caller's, nor one of the block's.
        val own = error is CancellationException && currentCoroutineContext().isActive
        throw (if (own) lossIn(error, lease.name) else null) ?: error
    }
    if (withContext(NonCancellable) { lease.release() } == ReleaseState.LOST) {
        throw lease.loss()
    }
    return result
}

/** The loss of [lock] that [error] tells of: coroutines may put copies of an exception before it. */
private fun lossIn(error: Throwable, lock: String): Throwable? =
    generateSequence(error) { it.cause }.take(10).firstOrNull { it is LockLostException && it.lock == lock }

/** Runs [body] in this thread for what [lease] holds, and gives it back. */
internal inline fun <T> underBlocking(lease: Lease, body: () -> T): T {
    val result = try {
        body()
    } catch (error: Throwable) {
        try {
            lease.close()
        } catch (late: Exception) {
            error.addSuppressed(late)
        }
        throw error
    }
    if (lease.releaseBlocking() == ReleaseState.LOST) {
        throw lease.loss()
    }
    return result
}

/** Gives back in this thread; an interrupt ends only the waiting for it. */
internal fun Lease.releaseBlocking(): ReleaseState {
    val call = releasing()
    try {
        return released(finishBlocking(call, name))
    } catch (interrupt: InterruptedException) {
        ended(ReleaseState.BACKGROUND)
        throw interrupt
    }
}

/** The end of a try-with-resources: a release, after which an interrupt is still to be seen. */
internal fun Lease.close() {
    try {
        releaseBlocking()
    } catch (_: InterruptedException) {
        Thread.currentThread().interrupt()
    }
}
