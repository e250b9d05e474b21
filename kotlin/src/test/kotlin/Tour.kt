import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.first
import leasehold.Leasehold

suspend fun main() {
    val client = Leasehold.connect()
    // All or none, each with a fence of its own; `tryAcquireAll` doesn't wait.
    val prices = client.rwlock("prices")
    client.withAll(listOf(client.lock("account:1"), prices.read()), wait = 5.seconds) { leases ->
        println(leases.map { it.fence })
    }
    // Those that are free: a lease, null where another holds it, or the error.
    for (tried in client.tryEach(listOf("row:1", "row:2").map { client.lock(it) })) {
        tried.getOrThrow()?.release()
    }
    // One leads at a time, and all may know who it is: `observe` is a flow of each change.
    val election = client.election("primary", ttl = 10.seconds)
    election.lead("10.0.0.7:5432") { leadership ->
        println("${election.observe().first()?.text} leads")
        leadership.proclaim("10.0.0.8:5432")
    }
    // Opens once it was counted down.
    val ready = client.latch("ready", count = 2)
    ready.countDown(2)
    ready.await(5.seconds)
    // None goes in before all have come, and none out before all have left.
    client.barrier("step", parties = 1).within(wait = 5.seconds) {
        println("all are in")
    }
}
