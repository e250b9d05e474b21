/**
 * `URL NAME COUNT DIR WHO`: takes the lock COUNT times, with a section for the oracle under each lease.
 * A JVM can't read the oracle's clock, so that a program ($STEP) does the section.
 *
 * Prints `ready`, waits for a line on its input, and prints `done` at the end. Compiled with the Kotlin
 * package's tests.
 */
package contenders

import java.lang.ProcessBuilder.Redirect.INHERIT
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.runBlocking
import leasehold.Leasehold

internal fun main(arguments: Array<String>) = runBlocking {
    val (url, name, count, folder, who) = arguments
    println("ready")
    readln()
    val client = Leasehold.connect(url)
    repeat(count.toInt()) {
        client.withLock(name, ttl = 30.seconds) { lease ->
            val step = ProcessBuilder(System.getenv("STEP"), folder, who).redirectError(INHERIT)
            step.environment()["LEASEHOLD_FENCE"] = lease.fence.toString()
            check(step.start().waitFor() == 0) { "the section failed" }
        }
    }
    println("done")
}
