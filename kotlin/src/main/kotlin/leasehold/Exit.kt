/**
 * The end of the JVM: the holders are told, what can be given back in bounded time is, and attempts
 * that still wait leave their queues.
 *
 * A shutdown hook runs at a natural end, at System.exit, and at SIGINT and SIGTERM, which the JVM
 * turns into one; not at Runtime.halt and SIGKILL, after which leases expire.
 */
package leasehold

/** How long the exit may be delayed. A lock that could not be given back in time expires. */
private const val GRACE_MS = 1000u

internal fun installExit(process: leasehold.internal.Process) {
    val hook = Thread({ process.releaseAll(GRACE_MS) }, "leasehold-exit")
    try {
        Runtime.getRuntime().addShutdownHook(hook)
    } catch (_: IllegalStateException) {
        // The JVM is ending already: what is taken now expires.
    }
}
