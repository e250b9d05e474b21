package leasehold

import java.nio.file.Path

/**
 * A distributed lock: at most one holder at a time, and a fence that says which.
 *
 *     val client = Leasehold.connect() // the embedded store of this user on this host
 *     client.withLock("invoice:42", ttl = 30.seconds, wait = 5.seconds) { lease ->
 *         write(row, fence = lease.fence)
 *     }
 *
 * From Java, and from Kotlin without coroutines: [Client.blocking].
 */
public object Leasehold {
    /**
     * A client of the store at [url]: `memory://` (private to the client), `memory://name` (shared in
     * the process), `sqlite:///path`, `redis://[user:password@]host[:port][/database]` (`rediss` for
     * TLS).
     *
     * Without a URL: `LEASEHOLD_URL` if it is set and not empty, else the file
     * `~/.local/state/leasehold/locks.db` of the effective user: the locks of this user on this host.
     *
     * Nothing is opened before the first request; [Client.ping] proves the store.
     *
     * @param deadlockDepth how many owners the search for deadlocks follows from one that waits to the next, 1 to
     *   10,000; null: 64. Clients that wait for each other should have the same.
     * @param audit a file to which a line of JSON is appended for each eviction and each request to give a lock
     *   back, before and after. What can't be written is not done.
     * @throws InvalidInputException for what is no URL of a store.
     * @throws UnsupportedException for a store that this version lacks.
     */
    @JvmStatic
    @JvmOverloads
    public fun connect(url: String? = null, deadlockDepth: Int? = null, audit: Path? = null): Client {
        val at = url?.let { text("the store URL", it) }
        val client = Client(native { leasehold.internal.Client.connect(at, depth(deadlockDepth), path(audit)) })
        if (url == null && System.getenv("LEASEHOLD_URL").isNullOrEmpty()) {
            LOG.log(System.Logger.Level.DEBUG, "default store {0}: locks of this user on this host", client.url)
        }
        return client
    }
}

internal fun depth(value: Int?): UInt? = value?.let { count("deadlockDepth", it) }

internal fun path(value: Path?): String? = value?.let { text("the path of the audit file", "$it") }

internal val LOG: System.Logger = System.getLogger("leasehold")
