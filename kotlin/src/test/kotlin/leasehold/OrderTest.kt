package leasehold

import java.util.concurrent.atomic.AtomicInteger
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.yield
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource

/** A lock that many coroutines of one process contend for. What the order promises is tested in the core. */
internal class OrderTest {
    @ParameterizedTest
    @EnumSource
    fun `coroutines pass a hot lock on`(store: Store) = store.test { client ->
        val fences = mutableListOf<Long>()
        val inside = AtomicInteger()
        coroutineScope {
            List(8) {
                async {
                    repeat(20) {
                        client.lock("hot", order = Order.THROUGHPUT).withLock { lease ->
                            assertEquals(1, inside.incrementAndGet())
                            fences.add(lease.fence)
                            yield()
                            inside.decrementAndGet()
                        }
                    }
                }
            }.awaitAll()
        }
        val steps = fences.zipWithNext { before, after -> after - before }
        assertEquals(160, fences.size)
        assertTrue(steps.all { it > 0 }, "each has a larger fence")
        assertTrue(1L in steps, "none went from hand to hand")
        assertFailsWith<UnsupportedException> {
            client.lock("hot", order = Order.THROUGHPUT, owner = client.owner()).acquire()
        }
        nothingLeft(client, "hot")
    }
}
