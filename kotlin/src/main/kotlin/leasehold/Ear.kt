package leasehold

import java.lang.ref.WeakReference
import leasehold.internal.Attempt
import leasehold.internal.Call
import leasehold.internal.Value

/** Calls back with each request to give a lease back. Its lease keeps it, and it not its lease. */
internal class Ear(
    private val name: String,
    private val attempt: Attempt,
    private val callback: (AskedBack) -> Unit,
) {
    /** Dropped, it ends. */
    @Volatile
    private lateinit var call: Call

    init {
        listen()
    }

    private fun listen() {
        // Kept first: it may ring in another thread before this returns.
        call = checkNotNull(attempt.askedBack())
        // Weak: a lease that is forgotten must be found to be.
        val weak = WeakReference(this)
        Post.listen(call::tell) { weak.get()?.ring() }
    }

    private fun ring() {
        if ((native(name) { call.value() } as? Value.Enough)?.itWas != true) {
            return
        }
        val asked = attempt.takeAsked()
        // Also where the callback fails.
        listen()
        asked?.let { callback(askedBack(it)) }
    }
}
