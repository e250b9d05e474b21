/**
 * What a lock costs a program on the JVM, beside Redisson, on one Redis: `make bench-kotlin`.
 *
 * Two figures: an uncontended acquire and release, one after the other; and 64 of them at a time, each with
 * a name of its own. The libraries take turns in every round, so that what the machine does besides hits all
 * alike, and medians over the rounds are given. Not compared: what they promise (Redisson has a fence only
 * where asked for it, and no queue).
 *
 * Redisson's locks belong to threads, so that it has a thread for each of the 64; leasehold is measured with
 * coroutines, and with threads, too.
 */
package bench

import java.lang.ProcessBuilder.Redirect.INHERIT
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import kotlin.system.exitProcess
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import leasehold.Leasehold

private const val PAIRS = 400
private const val AT_A_TIME = 64
private const val CONCURRENT = 3200

/** The first rounds compile. */
private const val WARM_UP = 4

/** A library that locks for the thread that calls. */
public interface Rival {
    public val name: String

    /** Takes the lock and gives it back. */
    public fun pair(lock: String)
}

/** Runs [count] pairs, [lanes] at a time. */
private typealias Run = (count: Int, lanes: Int) -> Unit

private fun threads(rival: Rival): Run {
    val pool = Executors.newFixedThreadPool(AT_A_TIME)
    return { count, lanes ->
        val work = List(lanes) { lane -> Callable { repeat(count / lanes) { rival.pair("bench:$lane") } } }
        pool.invokeAll(work).forEach { it.get() }
    }
}

/** `PROGRAM ROUNDS RIVAL`: the testkit's `redis`, and a class that is a [Rival] of the server at a URL. */
internal fun main(arguments: Array<String>) {
    val (program, rounds, rival) = arguments
    val server = ProcessBuilder(program).redirectError(INHERIT).start()
    val ready = server.inputReader().readLine().split(' ')
    check(ready[0] == "ready") { ready }
    val url = ready[2]

    val client = Leasehold.connect(url)
    val blocking = client.blocking()
    val ours = object : Rival {
        override val name = "leasehold, threads"
        override fun pair(lock: String) = blocking.acquire(lock).close()
    }
    val coroutines: Run = { count, lanes ->
        runBlocking(Dispatchers.Default) {
            repeat(lanes) { lane ->
                launch { repeat(count / lanes) { client.lock("bench:$lane", ttl = 30.seconds).acquire().release() } }
            }
        }
    }
    val other = Class.forName(rival).getConstructor(String::class.java).newInstance(url) as Rival
    val all = listOf("leasehold, coroutines" to coroutines, ours.name to threads(ours), other.name to threads(other))
    val found = all.associate { (name, _) -> name to Pair(mutableListOf<Double>(), mutableListOf<Double>()) }
    for (round in -WARM_UP until rounds.toInt()) {
        for (turn in all.indices) {
            val (name, run) = all[(turn + round + WARM_UP) % all.size]
            val (one, many) = measured(PAIRS, 1, run) to measured(CONCURRENT, AT_A_TIME, run)
            if (round >= 0) {
                found.getValue(name).apply { first.add(one) }.second.add(many)
            }
        }
    }
    println("$rounds rounds, interleaved; medians (lowest to highest)")
    val base = found.getValue(all[0].first)
    for ((name, figures) in found) {
        println("%-22s pair %s".format(name, cell(figures.first, base.first)))
        println("%-22s $AT_A_TIME at a time %s".format("", cell(figures.second, base.second)))
    }
    server.outputStream.close()
    // Without Redisson's own end, which takes seconds.
    exitProcess(0)
}

/** Microseconds for each pair. */
private fun measured(count: Int, lanes: Int, run: Run): Double {
    val start = System.nanoTime()
    run(count, lanes)
    return (System.nanoTime() - start) / 1e3 / count
}

private fun cell(values: List<Double>, ours: List<Double>): String =
    "%5.0f µs (%.0f to %.0f), %.2f x ours".format(median(values), values.min(), values.max(), median(values) / median(ours))

private fun median(values: List<Double>) = values.sorted()[values.size / 2]
