import kotlin.time.Duration.Companion.seconds
import leasehold.Leasehold

suspend fun main() {
    val client = Leasehold.connect()
    // All or none, each with a fence of its own; `tryAcquireAll` doesn't wait.
    val prices = client.rwlock("prices")
    client.withAll(listOf(client.lock("account:1"), prices.read()), wait = 5.seconds) { leases ->
        println(leases.map { it.fence })
    }
}
