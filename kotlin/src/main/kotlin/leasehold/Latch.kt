package leasehold

import kotlin.time.Duration
import leasehold.internal.Latch as NativeLatch
import leasehold.internal.Value

/**
 * A latch: waited for until so many have counted down. It opens once and stays open; some time later its name
 * is free for a new one. From [Client.latch].
 *
 * Keep the object for several calls: it tells them apart, so that a call whose answer is lost is not counted
 * twice.
 */
public class Latch internal constructor(
    private val native: NativeLatch,
    /** Its name. */
    public val name: String,
) {
    /**
     * Counts down by [count], not below zero, and returns what is left. Whoever is cancelled meanwhile has
     * counted all the same.
     *
     * @throws InvalidInputException for zero, a wrong name or option, a latch that has another count, and a
     *   name that another kind uses.
     */
    public suspend fun countDown(count: Long = 1): Long = number(finish(counting(count), name))

    /** What is left: zero once it is open. */
    public suspend fun left(): Long = number(finish(remaining(), name))

    /**
     * Waits until it is open, at most [wait].
     *
     * @throws LockTimeoutException where the wait ran out.
     */
    public suspend fun await(wait: Duration = Duration.INFINITE) {
        finish(opening(wait), name)
    }

    override fun toString(): String = "<Latch ${shown(name)}>"

    internal fun counting(count: Long) = native.countDown(many("count", count))

    internal fun remaining() = native.left()

    internal fun opening(wait: Duration) = native.opened(waiting(wait))

    internal fun number(value: Value): Long = (value as Value.Left).count.toLong()
}

/** [value], which may not be negative; how large it may be the core says. */
internal fun many(what: String, value: Long): ULong =
    if (value < 0) throw invalid("$what is $value: zero or more is needed") else value.toULong()
