/** The kinds of lock beside the exclusive one. Each gives [Lock]s to be taken. */
package leasehold

import leasehold.internal.Value

/**
 * A lock that many may hold to read, or one to write, from [Client.rwlock].
 *
 * Neither readers nor writers starve: a reader that comes while a writer waits queues behind it, and when
 * a writer ends, all readers that waited go together.
 */
public class RwLock internal constructor(
    private val source: Source,
    /** Its name. */
    public val name: String,
    private val asked: Asked,
) {
    /** To be held together with other readers. */
    public fun read(): Lock = Lock(source, name, asked.copy(how = How(shared = true)))

    /** To be held alone; the same as [Client.lock] of the name. */
    public fun write(): Lock = Lock(source, name, asked)

    override fun toString(): String = "<RwLock ${shown(name)}>"
}

/**
 * So many permits, of which each holder has some for as long as its lease lasts, from [Client.semaphore].
 *
 * How many there are is part of each request. While anyone holds permits or waits for them, a request with
 * another number throws [InvalidInputException]; once all are free nothing is remembered. [resize] changes the
 * number, also while it is in use.
 */
public class Semaphore internal constructor(
    private val source: Source,
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
        Lock(source, name, asked.copy(how = How(permits = count, capacity = capacity)))

    /**
     * Changes how many permits there are, from [capacity] to [permits], also while some are held, and returns the
     * number of the change. Those who hold permits keep them, also beyond a smaller number; those who wait go on
     * waiting, and who fits now is granted at once; who waits for more than there are any more is refused.
     *
     * Programs that still say the former number mean the new one from here on. That is remembered until none of
     * them has said it for a day; until then a request with any other number is refused, and names the right one.
     *
     * @throws InvalidInputException where there is another number of permits than [capacity]: of two changes at
     *   once one is refused.
     * @throws StoreUnavailableException in which case it may have taken place; to ask again is safe.
     */
    public suspend fun resize(permits: Int): Long = changed(finish(resizing(permits), name))

    internal fun resizing(permits: Int) =
        source.resize(name, count("capacity", capacity), count("permits", permits))

    override fun toString(): String = "<Semaphore ${shown(name)} of $capacity>"
}

/** The number of a change. */
internal fun changed(value: Value): Long = (value as Value.Left).count.toLong()

/** [value], which may not be negative; how large it may be the core says. */
internal fun count(what: String, value: Int): UInt =
    if (value < 0) throw invalid("$what is $value: zero or more is needed") else value.toUInt()
