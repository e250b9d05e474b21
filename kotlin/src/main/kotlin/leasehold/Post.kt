/**
 * How completions reach coroutines: as numbers in a native mailbox, which one thread empties. While it waits
 * for them it reads the server's socket, so that nobody has to wake it.
 *
 * No thread of the library's enters the JVM: a garbage collection would stop it, and renewals with it.
 * What uniffi offers instead, an asynchronous function, loses its result where the caller is cancelled
 * between completion and dispatch; here nothing but a number is lost then.
 */
package leasehold

import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicLong
import kotlin.coroutines.resume
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.suspendCancellableCoroutine
import kotlinx.coroutines.withContext
import leasehold.internal.Call
import leasehold.internal.Mailbox
import leasehold.internal.Value

internal object Post {
    /** Made at the first use: one that fails, for want of a descriptor, is tried again at the next. */
    private val mailbox: Mailbox by lazy { native { Mailbox() }.also { thread.start() } }
    private val keys = AtomicLong()
    private val listeners = ConcurrentHashMap<ULong, () -> Unit>()

    private val thread: Thread = Thread({
        while (true) {
            for (key in mailbox.take()) {
                listeners.remove(key)?.let { listener ->
                    try {
                        listener()
                    } catch (error: Throwable) {
                        // A dispatcher that was closed, for one. The others' news goes on.
                        LOG.log(System.Logger.Level.WARNING, "a completion could not be delivered", error)
                    }
                }
            }
        }
    }, "leasehold-post").apply { isDaemon = true }

    /** Suspends until what [notify] gives a key to has put it into the mailbox, if it says that it will. */
    suspend fun settled(notify: (Mailbox, ULong) -> Boolean) {
        val mailbox = mailbox
        suspendCancellableCoroutine { continuation ->
            val key = keys.incrementAndGet().toULong()
            listeners[key] = { continuation.resume(Unit) }
            if (notify(mailbox, key)) {
                continuation.invokeOnCancellation { forget(key) }
            } else {
                forget(key)
                continuation.resume(Unit)
            }
        }
        // Without a dispatcher it goes on here, and what the user does next would hold up all others.
        if (Thread.currentThread() === thread) {
            withContext(Dispatchers.Default) {}
        }
    }

    /** Calls [listener] once, on the one thread: it must be short. */
    fun listen(notify: (Mailbox, ULong) -> Unit, listener: () -> Unit): ULong {
        val mailbox = mailbox
        val key = keys.incrementAndGet().toULong()
        listeners[key] = listener
        notify(mailbox, key)
        return key
    }

    fun forget(key: ULong) {
        listeners.remove(key)
    }
}

/** Waits for what [call] yields. Whoever is cancelled ends what only waits, too. */
internal suspend fun finish(call: Call, lock: String? = null): Value {
    try {
        Post.settled(call::notify)
    } catch (cancelled: CancellationException) {
        call.cancel()
        throw cancelled
    }
    return checkNotNull(native(lock) { call.value() }) { "a call told that it was done, and was not" }
}

/** Blocks for what [call] yields; an interrupt ends that. */
internal fun finishBlocking(call: Call, lock: String? = null): Value {
    try {
        while (true) {
            interruptible()
            native(lock) { call.waitFor(SLICE_MS) }?.let { return it }
        }
    } catch (interrupt: InterruptedException) {
        // Between two slices nobody goes on with it: now the library's threads do, or end what only waits.
        call.cancel()
        throw interrupt
    }
}

/** How soon an interrupt is seen. */
internal const val SLICE_MS: UInt = 50u

internal fun interruptible() {
    if (Thread.interrupted()) {
        throw InterruptedException()
    }
}
