/** Plain data that the calls take and give. */
package leasehold

import java.math.BigInteger
import java.time.Instant
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import leasehold.internal.Value

/** How a lock is held. */
public enum class Kind {
    /** By one holder. */
    EXCLUSIVE,

    /** Together with other readers, never with a writer. */
    SHARED,

    /** As some of a semaphore's permits. */
    PERMITS,
    ;

    internal companion object {
        fun of(code: String?): Kind = if (code == null) EXCLUSIVE else valueOf(code.uppercase())
    }
}

/** Why a lease ended before its release. */
public enum class LostReason(
    /** The stable code, the same in every language. */
    public val code: String,
) {
    /** It was not renewed in time: the process was paused or starved, or it was a fixed term. */
    EXPIRED("expired"),

    /** It was ended from outside. */
    REVOKED("revoked"),

    /** Another holds the lock with a newer fence. */
    SUPERSEDED("superseded"),

    /** The store did not answer until the deadline. */
    STORE_UNREACHABLE("store_unreachable"),

    /** The store's session that carried it ended. */
    SESSION_EXPIRED("session_expired"),

    /** It reached its `maxHold`. */
    MAX_HOLD("max_hold"),

    /** It belongs to the parent of this forked process. */
    FORKED("forked"),

    /** The client was shut down, or the process is exiting. */
    SHUTDOWN("shutdown"),
    ;

    internal companion object {
        fun of(code: String): LostReason? = entries.find { it.code == code }
    }
}

/** What a release found. */
public enum class ReleaseState {
    /** The lock was given back. */
    RELEASED,

    /** The store has not answered yet, and the release goes on in the background. */
    BACKGROUND,

    /** There was nothing to give back any more. */
    LOST,

    /** It was given back before. */
    REPEATED,
    ;

    internal companion object {
        fun of(code: String): ReleaseState = valueOf(code.uppercase())
    }
}

/** What befalls a lease: [Lease.events]. */
public sealed interface LeaseEvent {
    /** It was given back; [state] says what the store knew of it. */
    public data class Released(public val state: ReleaseState) : LeaseEvent

    /** It ended before its release. */
    public data class Lost(public val reason: LostReason) : LeaseEvent
}

/** Who waits for a lock, or holds it. */
public data class WaiterInfo(
    public val host: String,
    public val pid: Long,
    public val language: String,
    /** When the attempt began. */
    public val since: Instant,
    public val note: String,
)

/** Who holds a lock. */
public data class HolderInfo(
    public val fence: Long,
    /** What is left of the lease as the holder was told. */
    public val told: Duration,
    /** What is left of it in the store, which keeps it a little longer. */
    public val stored: Duration,
    public val who: WaiterInfo,
)

/** One lock, as people see it. */
public data class LockInfo(
    public val name: String,
    /** Who holds it, if anybody does. */
    public val holder: HolderInfo?,
    /** Who waits, first in line first; at most 100. */
    public val queue: List<WaiterInfo>,
    /** How many wait in all. */
    public val waiting: Long,
)

/** A request to give a lease back. */
public data class AskedBack(
    /** Who asks. */
    public val by: WaiterInfo,
    public val why: String,
    /** What the holder had when it was told. Whoever asks may end the lease then. */
    public val grace: Duration,
)

/** What a request to give a lock back came to, in a word. */
public enum class ReturnState {
    /** No one held the lock, or not with that fence. */
    NOT_HELD,

    /** The tenure was over in time: given back, or ended otherwise. */
    GIVEN_BACK,

    /** The grace is over, and the lock is still held. */
    STILL_HELD,

    /** The holder held on, and its tenure was ended; by [Manager.revoke] only. */
    EVICTED,
}

/** What a request to give a lock back came to. */
public data class Returned(
    public val state: ReturnState,
    /**
     * The fence of the tenure; of several that of the first, and where they are still held of the first that is
     * left. Null where nobody held it.
     */
    public val fence: Long?,
    /** Who holds or held it. */
    public val holder: WaiterInfo?,
    /** The fences of those that were asked besides and hold it too. */
    public val others: List<Long>,
)

/** What the searches for deadlocks came to; see [Client.deadlocks]. */
public data class Deadlocks(
    /** Looks taken. */
    public val looks: Long,
    /** Cycles found, also those whose victim was another's wait. */
    public val found: Long,
    /** Waits that were ended: they were the victims. */
    public val victims: Long,
    /** Owners in the longest cycle found. */
    public val longest: Int,
    /** Looks that followed a chain of 64 owners to no end. */
    public val cut: Long,
)

/**
 * An explicit identity, for the locks of one unit of work: re-entry and deadlock detection go by it,
 * never by the thread or the coroutine. From [Client.owner]; the number may be passed on to another
 * process.
 */
public class Owner(
    /** The identity itself, of 128 bits. */
    public val number: BigInteger,
) {
    init {
        if (number.signum() < 0 || number.bitLength() > 128) {
            throw invalid("an owner's number has 128 bits: $number has not")
        }
    }

    override fun equals(other: Any?): Boolean = other is Owner && other.number == number

    override fun hashCode(): Int = number.hashCode()

    override fun toString(): String = "Owner($number)"
}

internal fun lockInfo(plain: leasehold.internal.Lock): LockInfo = LockInfo(
    plain.name,
    plain.holder?.let {
        HolderInfo(it.fence.toLong(), it.told.seconds, it.stored.seconds, waiterInfo(it.who))
    },
    plain.queue.map(::waiterInfo),
    plain.waiting.toLong(),
)

internal fun askedBack(asked: leasehold.internal.AskedBack) =
    AskedBack(waiterInfo(asked.by), asked.why, asked.grace.seconds)

internal fun returned(value: Value): Returned = (value as Value.Returned).returned.let {
    val state = ReturnState.valueOf(it.state.uppercase())
    Returned(state, it.fence?.toLong(), it.holder?.let(::waiterInfo), it.others.map(ULong::toLong))
}

internal fun waiterInfo(who: leasehold.internal.Who) = WaiterInfo(
    who.host,
    who.pid.toLong(),
    who.language,
    Instant.EPOCH.plusNanos((who.since * 1e9).toLong()),
    who.note,
)
