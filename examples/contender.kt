/**
 * The demo's contender in Kotlin: `LOCK URL FOLDER WHO`, with `oracle-step` on PATH. Orders come in on
 * stdin and what happens goes out on stdout, a line each; contender.py does the same. Compiled with the
 * Kotlin package's tests.
 *
 * What it does under the lock is deliberately unsafe without it: `oracle-step` reads a number and writes
 * the next one a little later, and nothing but the lock keeps another from doing so meanwhile. (It also
 * logs when, by a clock that a JVM can't read.)
 */
package demo

import java.lang.ProcessBuilder.Redirect.INHERIT
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.runBlocking
import leasehold.Leasehold

internal fun main(arguments: Array<String>) = runBlocking {
    val (lock, url, folder, who) = arguments
    val client = Leasehold.connect(url)
    while (readlnOrNull() == "take") {
        println("waits")
        val lease = client.lock(lock, ttl = 2.seconds).acquire()
        println("held ${lease.fence}")
        if (readlnOrNull() != "write") {
            lease.release()
            break
        }
        // However long the order took, or this whole process was stopped: ask the lease first.
        if (lease.isHeld) {
            val step = ProcessBuilder("oracle-step", folder, who, "--hold-ms", "20").redirectError(INHERIT)
            step.environment()["LEASEHOLD_FENCE"] = lease.fence.toString()
            check(step.start().waitFor() == 0) { "the section failed" }
            println("wrote ${lease.fence}")
        } else {
            println("refused ${lease.fence} ${lease.lostReason?.code}")
        }
        lease.release()
    }
}
