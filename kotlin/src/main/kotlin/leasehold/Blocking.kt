/**
 * The client for Java, and for Kotlin without coroutines: the calls block their thread, an interrupt
 * ends a wait (nothing is left behind then), and durations are Java's.
 */
package leasehold

import java.time.Duration
import java.util.concurrent.CompletableFuture
import java.util.function.Consumer
import kotlin.time.toJavaDuration
import kotlin.time.toKotlinDuration
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.launch

/** How a lock is asked for: `new LockOptions().ttl(Duration.ofSeconds(5))`. Each call gives a new one. */
public class LockOptions private constructor(internal val asked: Asked) {
    public constructor() : this(
        Asked(null, kotlin.time.Duration.INFINITE, true, null, null, 0, ""),
    )

    /** How long the lease lasts without a renewal: 10 ms to 365 days. */
    public fun ttl(ttl: Duration): LockOptions = LockOptions(asked.copy(ttl = ttl.toKotlinDuration()))

    /** How long to wait; zero: not at all. Without it: for ever. */
    public fun wait(wait: Duration): LockOptions = LockOptions(asked.copy(wait = wait.toKotlinDuration()))

    /** False for a fixed term, which ends after its ttl whatever happens. */
    public fun renew(renew: Boolean): LockOptions = LockOptions(asked.copy(renew = renew))

    /** The longest tenure, however often renewed; [BlockingLease.touch] counts anew. */
    public fun maxHold(maxHold: Duration): LockOptions =
        LockOptions(asked.copy(maxHold = maxHold.toKotlinDuration()))

    /** An identity for re-entry and deadlock detection. */
    public fun owner(owner: Owner): LockOptions = LockOptions(asked.copy(owner = owner))

    /** To be held together with other readers. */
    public fun shared(): LockOptions = LockOptions(asked.copy(how = How(shared = true)))

    /** To be held as [count] permits of a semaphore of [capacity]; see [Client.semaphore]. */
    public fun permits(count: Int, capacity: Int): LockOptions =
        LockOptions(asked.copy(how = How(permits = count, capacity = capacity)))

    /** Larger goes first in the queue. */
    public fun priority(priority: Int): LockOptions = LockOptions(asked.copy(priority = priority))

    /** Of the waits in a deadlock that with the smallest ends. Without it: as [priority]. */
    public fun deadlockPriority(priority: Int): LockOptions = LockOptions(asked.copy(deadlockPriority = priority))

    /** In what order those who wait get the lock. */
    public fun order(order: Order): LockOptions = LockOptions(asked.copy(order = order))

    /** Free text for people who look at the lock, at most 256 bytes. */
    public fun note(note: String): LockOptions = LockOptions(asked.copy(note = note))
}

/** What is done while [L] is held: a lease, several, the lead, or a place inside a barrier. */
public fun interface Body<L, T> {
    @Throws(Exception::class)
    public fun run(held: L): T
}

/** Access to one store, by calls that block; from [Client.blocking]. */
public class BlockingClient internal constructor(
    /** The same client, for coroutines. */
    public val client: Client,
) : AutoCloseable {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)

    /** Where the locks live, without secrets. */
    public val url: String get() = client.url

    /** Takes a lock; close or release the lease, best with try-with-resources. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun acquire(name: String, options: LockOptions = LockOptions()): BlockingLease =
        BlockingLease(checkNotNull(lock(name, options).takeBlocking(tryOnly = false)))

    /** Takes a lock if it is free; null where another holds it. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun tryAcquire(name: String, options: LockOptions = LockOptions()): BlockingLease? =
        lock(name, options).takeBlocking(tryOnly = true)?.let(::BlockingLease)

    /** Takes a lock without blocking. Cancelling the future gives up the attempt. */
    @JvmOverloads
    public fun acquireAsync(name: String, options: LockOptions = LockOptions()): CompletableFuture<BlockingLease> {
        val lock = lock(name, options)
        return future({ BlockingLease(lock.acquire()) }) { it.lease }
    }

    /**
     * Runs [body] under a lock and gives it back. If the lease was lost meanwhile and the body
     * succeeded, throws [LockLostException]; an error of the body's own is never masked.
     */
    @Throws(Exception::class)
    public fun <T> withLock(name: String, options: LockOptions, body: Body<BlockingLease, T>): T {
        val lease = acquire(name, options)
        return underBlocking(lease.lease) { body.run(lease) }
    }

    /** Runs [body] under a lock, with the defaults. */
    @Throws(Exception::class)
    public fun <T> withLock(name: String, body: Body<BlockingLease, T>): T = withLock(name, LockOptions(), body)

    /** Describes a lock, to be taken together with others. Asks nothing of the store. */
    @JvmOverloads
    public fun lock(name: String, options: LockOptions = LockOptions()): Lock =
        Lock(client.source, text("the lock name", name), options.asked)

    /**
     * Takes several locks, all or none, and waits at most [wait] for all of them together; see
     * [Client.acquireAll]. Close or release the leases, best with try-with-resources.
     */
    @Throws(InterruptedException::class)
    public fun acquireAll(locks: Iterable<Lock>, wait: Duration): BlockingLeases =
        acquireAll(Several(client.native, locks, wait.toKotlinDuration()))

    /** Takes several locks, all or none, and waits for ever. */
    @Throws(InterruptedException::class)
    public fun acquireAll(locks: Iterable<Lock>): BlockingLeases =
        acquireAll(Several(client.native, locks))

    /** Takes several locks if all of them are free; null where one is held by another. */
    @Throws(InterruptedException::class)
    public fun tryAcquireAll(locks: Iterable<Lock>): BlockingLeases? =
        Several(client.native, locks).takeBlocking(tryOnly = true)?.let(::BlockingLeases)

    /** Takes each of several locks that is free now, in one request; see [Client.tryEach]. */
    @Throws(InterruptedException::class)
    public fun tryEach(locks: Iterable<Lock>): List<Tried> = Several(client.native, locks).eachBlocking().map { tried ->
        val error = tried.exceptionOrNull() ?: return@map Tried(tried.getOrThrow()?.let(::BlockingLease), null)
        Tried(null, error as? LockException ?: throw error)
    }

    /** Takes several locks, all or none, without blocking. Cancelling the future gives up the attempt. */
    public fun acquireAllAsync(locks: Iterable<Lock>, wait: Duration): CompletableFuture<BlockingLeases> =
        allAsync(locks, wait.toKotlinDuration())

    /** Takes several locks, all or none, without blocking, and waits for ever. */
    public fun acquireAllAsync(locks: Iterable<Lock>): CompletableFuture<BlockingLeases> =
        allAsync(locks, kotlin.time.Duration.INFINITE)

    /** Runs [body] under several locks and gives them back; see [withLock] and [acquireAll]. */
    @Throws(Exception::class)
    public fun <T> withAll(locks: Iterable<Lock>, wait: Duration, body: Body<BlockingLeases, T>): T =
        under(acquireAll(locks, wait), body)

    /** Runs [body] under several locks, for which it waits for ever, and gives them back. */
    @Throws(Exception::class)
    public fun <T> withAll(locks: Iterable<Lock>, body: Body<BlockingLeases, T>): T = under(acquireAll(locks), body)

    /** An election; see [Client.election]. */
    @JvmOverloads
    public fun election(name: String, options: LockOptions = LockOptions()): BlockingElection =
        BlockingElection(Election(client.native, text("the lock name", name), options.asked))

    /** A latch that opens once it was counted down by [count], and is then kept for an hour. */
    public fun latch(name: String, count: Long): BlockingLatch = BlockingLatch(client.latch(name, count))

    /** A latch that is kept for [keep] once it is open, at least a minute. */
    public fun latch(name: String, count: Long, keep: Duration): BlockingLatch =
        BlockingLatch(client.latch(name, count, keep.toKotlinDuration()))

    /** A double barrier for [parties]; of the options the ttl and the note count. */
    @JvmOverloads
    public fun barrier(name: String, parties: Int, options: LockOptions = LockOptions()): BlockingBarrier =
        BlockingBarrier(client.barrier(name, parties, options.asked.ttl ?: Client.DEFAULT_TTL, options.asked.note))

    /** A fresh identity for the locks of one unit of work. Asks nothing of the store. */
    public fun owner(): Owner = client.owner()

    /** What the searches for deadlocks came to; see [Client.deadlocks]. */
    public fun deadlocks(): Deadlocks = client.deadlocks()

    /** Proves that the store answers. */
    @Throws(InterruptedException::class)
    public fun ping() {
        finishBlocking(client.native.ping())
    }

    /** One lock, as people see it: who holds it and who waits, now. */
    @Throws(InterruptedException::class)
    public fun inspect(name: String): LockInfo = client.locks(finishBlocking(client.inspecting(name), name)).single()

    /** Whether anybody holds the lock, now. Take the lock rather than act on this. */
    @Throws(InterruptedException::class)
    public fun isLocked(name: String): Boolean = inspect(name).holder != null

    /** Ends tenures from outside; see [Client.evict]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun evict(name: String, why: String, fence: Long? = null): Long? =
        client.ended(finishBlocking(client.evicting(name, why, fence), name))

    /** Asks whoever holds a lock to give it back; see [Client.askBack]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun askBack(name: String, why: String, grace: Duration, fence: Long? = null): Returned =
        returned(finishBlocking(client.asking(name, why, grace.toKotlinDuration(), fence), name))

    /** Changes how many permits a semaphore has, from [capacity] to [permits]; see [Semaphore.resize]. */
    @Throws(InterruptedException::class)
    public fun resize(name: String, capacity: Int, permits: Int): Long =
        changed(finishBlocking(client.semaphore(name, capacity).resizing(permits), name))

    /** Locks that are held or waited for; see [Client.list]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun list(prefix: String = "", after: String? = null, limit: Int = 100): List<LockInfo> =
        client.locks(finishBlocking(client.listing(prefix, after, limit)))

    /** Ends this client; see [Client.shutdown]. */
    @Throws(InterruptedException::class)
    public fun shutdown(grace: Duration): Boolean =
        client.enough(finishBlocking(client.shuttingDown(grace.toKotlinDuration())))

    /** The end of a try-with-resources: a shutdown within one second. */
    override fun close() {
        shutdown(Duration.ofSeconds(1))
    }

    override fun toString(): String = client.toString()

    private fun acquireAll(several: Several) = BlockingLeases(checkNotNull(several.takeBlocking(tryOnly = false)))

    private fun allAsync(locks: Iterable<Lock>, wait: kotlin.time.Duration): CompletableFuture<BlockingLeases> {
        val several = Several(client.native, locks, wait)
        return future({ BlockingLeases(checkNotNull(several.take(tryOnly = false))) }) { it.leases.all }
    }

    private fun <T> under(leases: BlockingLeases, body: Body<BlockingLeases, T>): T =
        underBlocking(leases.leases.all) { body.run(leases) }

    /** What [take] takes, of which [leaseOf] is to be released where nobody wants it any more. */
    private fun <L> future(take: suspend () -> L, leaseOf: (L) -> Lease): CompletableFuture<L> {
        val result = CompletableFuture<L>()
        val work = scope.launch {
            try {
                val taken = take()
                // A future that was cancelled takes no value: what comes too late is given back.
                if (!result.complete(taken)) {
                    leaseOf(taken).release()
                }
            } catch (error: Throwable) {
                result.completeExceptionally(error)
            }
        }
        result.whenComplete { _, _ -> if (result.isCancelled) work.cancel() }
        return result
    }
}

/** One tenure of one lock; see [Lease]. */
public open class BlockingLease internal constructor(internal val lease: Lease) : AutoCloseable {
    /** The lock's name. */
    public val name: String get() = lease.name

    /** The fencing token. */
    public val fence: Long get() = lease.fence

    /** How the lock is held. */
    public val kind: Kind get() = lease.kind

    /** What a reader knows of the writers; see [Lease.epoch]. */
    public val epoch: Long? get() = lease.epoch

    /** The identity it was taken with. */
    public val owner: Owner? get() = lease.owner

    /** Whether the lock is this tenure's, computed here and now. Once false, always. */
    public val isHeld: Boolean get() = lease.isHeld

    /** How long [isHeld] stays true without a renewal. */
    public val remaining: Duration get() = lease.remaining.toJavaDuration()

    /** Why it ended, if it ended before its release. */
    public val lostReason: LostReason? get() = lease.lostReason

    /** Calls [callback] once if the lease is lost, on another thread; see [Lease.onLost]. */
    public fun onLost(callback: Consumer<LostReason>) {
        lease.onLost(callback::accept)
    }

    /**
     * Waits for the next request to give it back, and returns it; null once the lease is over. After an interrupt it
     * may be called again, and has lost nothing. See [Lease.askedBack].
     */
    @Throws(InterruptedException::class)
    public fun awaitAskedBack(): AskedBack? {
        while ((finishBlocking(lease.beingAsked(), name) as leasehold.internal.Value.Enough).itWas) {
            lease.attempt.takeAsked()?.let { return askedBack(it) }
        }
        return null
    }

    /** Calls [callback] with each request to give it back, on another thread; see [Lease.onAskedBack]. */
    public fun onAskedBack(callback: Consumer<AskedBack>) {
        lease.onAskedBack(callback::accept)
    }

    /** Returns while anything is left of the lease; throws [LockLostException] otherwise. */
    public fun check() {
        lease.check()
    }

    /** Returns while at least [minRemaining] is left; throws [LockLostException] otherwise. */
    public fun check(minRemaining: Duration) {
        lease.check(minRemaining.toKotlinDuration())
    }

    /** Changes the lease's length and renews it now; see [Lease.extend]. */
    @Throws(InterruptedException::class)
    public fun extend(ttl: Duration) {
        finishBlocking(lease.extending(ttl.toKotlinDuration()), name)
    }

    /** Has a writer read on; see [Lease.downgrade]. */
    @Throws(InterruptedException::class)
    public fun downgrade() {
        finishBlocking(lease.downgrading(), name)
    }

    /** Has the only reader write; see [Lease.upgrade]. */
    @Throws(InterruptedException::class)
    public fun upgrade() {
        finishBlocking(lease.upgrading(), name)
    }

    /** A sign of life: `maxHold` counts anew from now. */
    public fun touch() {
        lease.touch()
    }

    /** Gives the lock back and says what became of it. May be called again. */
    @Throws(InterruptedException::class)
    public fun release(): ReleaseState = lease.releaseBlocking()

    /** The end of a try-with-resources: a release, of which an interrupt only ends the waiting. */
    override fun close() {
        lease.close()
    }

    override fun toString(): String = lease.toString()
}
