/** The kinds of lock beside the exclusive one. Each gives [Lock]s to be taken. */
package leasehold

import leasehold.internal.Client as NativeClient

/**
 * A lock that many may hold to read, or one to write, from [Client.rwlock].
 *
 * Neither readers nor writers starve: a reader that comes while a writer waits queues behind it, and when
 * a writer ends, all readers that waited go together.
 */
public class RwLock internal constructor(
    private val client: NativeClient,
    /** Its name. */
    public val name: String,
    private val asked: Asked,
) {
    /** To be held together with other readers. */
    public fun read(): Lock = Lock(client, name, asked.copy(how = How(shared = true)))

    /** To be held alone; the same as [Client.lock] of the name. */
    public fun write(): Lock = Lock(client, name, asked)

    override fun toString(): String = "<RwLock ${shown(name)}>"
}

/**
 * So many permits, of which each holder has some for as long as its lease lasts, from [Client.semaphore].
 *
 * How many there are is part of each request. While anyone holds permits or waits for them, a request with
 * another number throws [InvalidInputException]; once all are free nothing is remembered.
 */
public class Semaphore internal constructor(
    private val client: NativeClient,
    /** Its name. */
    public val name: String,
    /** How many permits there are. */
    public val capacity: Int,
    private val asked: Asked,
) {
    /**
     * [count] permits, granted and given back together. Granted by arrival: while a request does not fit,
     * none behind it is granted. Taking none, or more than there are, throws [InvalidInputException].
     */
    public fun permits(count: Int = 1): Lock =
        Lock(client, name, asked.copy(how = How(permits = count, capacity = capacity)))

    override fun toString(): String = "<Semaphore ${shown(name)} of $capacity>"
}

/** [value], which may not be negative; how large it may be the core says. */
internal fun count(what: String, value: Int): UInt =
    if (value < 0) throw invalid("$what is $value: zero or more is needed") else value.toUInt()
