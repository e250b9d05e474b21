package leasehold

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
     * @throws InvalidInputException for what is no URL of a store.
     * @throws UnsupportedException for a store that this version lacks.
     */
    @JvmStatic
    @JvmOverloads
    public fun connect(url: String? = null): Client {
        val client = Client(native { leasehold.internal.Client.connect(url?.let { text("the store URL", it) }) })
        if (url == null && System.getenv("LEASEHOLD_URL").isNullOrEmpty()) {
            LOG.log(System.Logger.Level.DEBUG, "default store {0}: locks of this user on this host", client.url)
        }
        return client
    }
}

internal val LOG: System.Logger = System.getLogger("leasehold")
