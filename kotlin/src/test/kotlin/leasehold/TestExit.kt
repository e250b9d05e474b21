package leasehold

import kotlin.system.exitProcess
import kotlin.time.Duration.Companion.hours
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking

/** A program that holds locks and ends: `URL WAY`. */
internal fun main(arguments: Array<String>) = runBlocking(Dispatchers.Default) {
    val (url, way) = arguments
    val client = Leasehold.connect(url)
    when (way) {
        "kept" -> kept += client.lock("a", ttl = 1.hours).acquire()
        "exit" -> client.withLock("a", ttl = 1.hours) { exitProcess(3) }
        "waiter" -> {
            kept += client.lock("a", ttl = 1.hours).acquire()
            launch { client.lock("a", ttl = 1.hours).acquire() }
            queued(client, "a")
            exitProcess(4)
        }
        "thrown" -> client.withLock("a", ttl = 1.hours) { error("mine") }
        else -> error("$way is unknown")
    }
}

/** What is never released, and never collected. */
private val kept = mutableListOf<Lease>()
