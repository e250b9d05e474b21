/**
 * `URL NAME COUNT DIR WHO`: takes the lock COUNT times, with a section for the oracle under each lease.
 * A JVM can't read the oracle's clock, so that a program ($STEP) does the section.
 *
 * Prints `ready`, waits for a line on its input, and prints `done` at the end. Where DIR is `-` there is
 * no section, for a bench, which warms up on a lock of its own before it is ready. Compiled with the Kotlin
 * package's tests.
 */
package contenders

import java.lang.ProcessBuilder.Redirect.INHERIT
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.runBlocking
import leasehold.Leasehold

internal fun main(arguments: Array<String>) = runBlocking {
    val (url, name, count, folder, who) = arguments
    val client = Leasehold.connect(url)
    val bench = folder == "-"
    suspend fun turns(name: String, times: Int) = repeat(times) {
        client.withLock(name, ttl = 30.seconds) { lease -> if (!bench) section(folder, who, lease.fence) }
    }
    if (bench) turns("$name:$who", 3000)
    println("ready")
    readln()
    turns(name, count.toInt())
    println("done")
}

private fun section(folder: String, who: String, fence: Long) {
    val step = ProcessBuilder(System.getenv("STEP"), folder, who).redirectError(INHERIT)
    step.environment()["LEASEHOLD_FENCE"] = fence.toString()
    check(step.start().waitFor() == 0) { "the section failed" }
}
