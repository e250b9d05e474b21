/**
 * What can go wrong: one class for each code of the library's one list of codes. Told apart by what
 * the caller does next, as the comments say.
 */
package leasehold

import leasehold.internal.Failure

/** What an error has beside its message. */
public class Details internal constructor(
    internal val cause: Throwable? = null,
    internal val reason: LostReason? = null,
    internal val lock: String? = null,
    internal val cycle: List<String> = emptyList(),
)

/** Any error of leasehold. The message names the input or the place that was wrong. */
public sealed class LockException(
    message: String,
    /** The stable code, the same in every language. */
    public val code: String,
    /** Whether the same call may succeed later with nothing changed. */
    public val retryable: Boolean,
    details: Details,
) : RuntimeException(message, details.cause) {
    /** Why the lease was lost, if that is what the error says. */
    public val reason: LostReason? = details.reason

    /** The lock's name, where the error is about one lock. */
    public val lock: String? = details.lock
}

/** The call's own input is wrong: change it. */
public class InvalidInputException internal constructor(message: String, details: Details) :
    LockException(message, "INVALID_INPUT", false, details)

/** This store, platform or build can't do it: ask for something else. */
public class UnsupportedException internal constructor(message: String, details: Details) :
    LockException(message, "UNSUPPORTED", false, details)

/** The wait ran out while another held the lock: try again, or don't. */
public class LockTimeoutException internal constructor(message: String, details: Details) :
    LockException(message, "LOCK_TIMEOUT", true, details)

/** The lock's queue is at its limit: shed load, or try again later. */
public class QueueFullException internal constructor(message: String, details: Details) :
    LockException(message, "QUEUE_FULL", true, details)

/**
 * The attempt was cancelled and yields no lease. This is no `CancellationException`, which would end
 * your coroutine without a word: where your coroutine is cancelled, you see its own one.
 */
public class CancelledException internal constructor(message: String, details: Details) :
    LockException(message, "CANCELLED", true, details)

/** Waiting would never end: release what you hold before you try again. */
public class DeadlockException internal constructor(message: String, details: Details) :
    LockException(message, "DEADLOCK", false, details) {
    /** Each wait in the cycle, one line each: who waits for what, held by whom. Your own first. */
    public val cycle: List<String> = details.cycle
}

/** The lease ended before its release, for [reason]: stop acting under it. */
public open class LockLostException internal constructor(
    message: String,
    details: Details,
    code: String = "LOCK_LOST",
) : LockException(message, code, false, details)

/** The store did not answer, or not in time: try again. */
public class StoreUnavailableException internal constructor(message: String, details: Details) :
    LockException(message, "STORE_UNAVAILABLE", true, details)

/** The store refused, or is unusable or broken: have it mended. */
public class StoreFailedException internal constructor(message: String, details: Details) :
    LockException(message, "STORE_FAILED", false, details)

/** The lease, or the call, is the parent's, inherited through `fork`: take your own. */
public class ForkedException internal constructor(message: String, details: Details) :
    LockLostException(message, details, "FORKED")

/** The client was shut down: make a new one. */
public class ShutDownException internal constructor(message: String, details: Details) :
    LockException(message, "SHUT_DOWN", false, details)

/** A bug in leasehold: please report it with the message. */
public class InternalException internal constructor(message: String, details: Details) :
    LockException(message, "INTERNAL", false, details)

/** How the error of each code is made. */
internal val BY_CODE: Map<String, (String, Details) -> LockException> = mapOf(
    "INVALID_INPUT" to ::InvalidInputException,
    "UNSUPPORTED" to ::UnsupportedException,
    "LOCK_TIMEOUT" to ::LockTimeoutException,
    "QUEUE_FULL" to ::QueueFullException,
    "CANCELLED" to ::CancelledException,
    "DEADLOCK" to ::DeadlockException,
    "LOCK_LOST" to { message, details -> LockLostException(message, details) },
    "STORE_UNAVAILABLE" to ::StoreUnavailableException,
    "STORE_FAILED" to ::StoreFailedException,
    "FORKED" to ::ForkedException,
    "SHUT_DOWN" to ::ShutDownException,
    "INTERNAL" to ::InternalException,
)

/** A cause, of which only a line is known: its stack is in the native half. */
internal class NativeCause(message: String, cause: Throwable?) : Exception(message, cause, false, false)

/** The error for [failure], with its causes chained, nearest first. */
internal fun fromFailure(failure: Failure, lock: String? = null): LockException {
    val told = failure as Failure.Told
    val cause = told.causes.foldRight(null as Throwable?) { line, below -> NativeCause(line, below) }
    val make = BY_CODE[told.code] ?: ::InternalException
    return make(told.text, Details(cause, told.reason?.let(LostReason::of), lock, told.cycle))
}

/** A wrong input that the core never sees. */
internal fun invalid(message: String): LockException = InvalidInputException(message, Details())

/** A value in a message, on one line. */
internal fun shown(value: String): String = buildString {
    append('"')
    for (char in value.take(80)) {
        if (char.isISOControl() || char.isSurrogate() && !value.isWellFormed()) {
            append("\\u%04x".format(char.code))
        } else {
            append(char)
        }
    }
    append('"')
}
