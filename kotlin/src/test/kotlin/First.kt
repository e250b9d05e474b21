import kotlin.time.Duration.Companion.seconds
import leasehold.Leasehold

suspend fun main() {
    val client = Leasehold.connect() // or "redis://localhost", "sqlite:///path", "memory://"
    client.withLock("invoice:42", ttl = 30.seconds, wait = 5.seconds) { lease ->
        println("${lease.name} is ours, fence ${lease.fence}")
    }
}
