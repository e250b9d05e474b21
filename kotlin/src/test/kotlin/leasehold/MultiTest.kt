package leasehold

import java.lang.ref.WeakReference
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.locks.LockSupport
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.yield
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource

/** Locks that are taken together. The rules are shown in core/tests/multi.rs; here it is what Kotlin makes of them. */
internal class MultiTest {
    private val names = listOf("d", "b", "a", "c")

    private fun Client.locks(names: List<String> = this@MultiTest.names, ttl: Duration = 1.hours) = names.map { lock(it, ttl = ttl) }

    private suspend fun Client.held() = list().filter { it.holder != null }.map { it.name }

    @ParameterizedTest
    @EnumSource
    fun `all are held in the body`(store: Store) = store.test { client ->
        val done = client.withAll(client.locks(ttl = 20.seconds)) { leases ->
            assertEquals(names, leases.map { it.name })
            assertEquals(names.sorted(), client.held())
            assertTrue(leases.isHeld && leases.size == 4)
            assertTrue(leases.remaining > 15.seconds && leases.remaining <= 20.seconds, "${leases.remaining}")
            for (lease in leases) {
                assertEquals(lease.fence, client.inspect(lease.name).holder?.fence)
            }
            leases.check(10.seconds)
            leases.touch()
            leases.extend(60.seconds)
            assertTrue(leases.all { it.remaining > 50.seconds })
            assertNull(client.tryAcquireAll(client.locks(listOf("x", "a"))))
            assertEquals(names.sorted(), client.held(), "x was left alone")
            assertEquals("<Leases of \"d, b, a, c\", held>", "$leases")
            leases
        }
        assertEquals(emptyList(), client.held())
        assertEquals(ReleaseState.REPEATED, done.release())
        assertFalse(done.isHeld || done.any { it.isHeld })
        assertNull(done.lostReason)
    }

    @ParameterizedTest
    @EnumSource
    fun `kinds and options are mixed`(store: Store) = store.test { client ->
        val leases = client.acquireAll(
            listOf(
                client.rwlock("prices", ttl = 10.seconds).read(),
                client.semaphore("slots", 5, ttl = 50.seconds).permits(2),
                client.lock("alone", note = "mixed"),
            ),
            wait = PATIENCE,
        )
        assertEquals(listOf(Kind.SHARED, Kind.PERMITS, Kind.EXCLUSIVE), leases.map { it.kind })
        assertTrue(leases[0].remaining <= 10.seconds && leases[1].remaining > 40.seconds)
        assertEquals("mixed", client.inspect("alone").holder?.who?.note)
        assertEquals(ReleaseState.RELEASED, leases.release())
        assertEquals(LeaseEvent.Released(ReleaseState.RELEASED), leases.events.first())
    }

    @ParameterizedTest
    @EnumSource
    fun `one is given back alone, and taken apart they stay held`(store: Store) = store.test { client ->
        val (one, other) = client.acquireAll(client.locks(listOf("a", "b")))
        val gone = WeakReference(Any())
        while (gone.get() != null) {
            System.gc()
        }
        assertTrue(one.isHeld && other.isHeld)
        assertEquals(ReleaseState.RELEASED, one.release())
        assertEquals(listOf("b"), client.held())
        assertEquals(ReleaseState.RELEASED, other.release())
        assertEquals(emptyList(), client.held())
    }

    @ParameterizedTest
    @EnumSource
    fun `forgotten they are given back`(store: Store) = store.test { client ->
        assertTrue(client.acquireAll(client.locks()).isHeld)
        eventually("given back") {
            System.gc()
            client.list().isEmpty()
        }
    }

    @ParameterizedTest
    @EnumSource
    fun `a wait for all runs out, and leaves nothing`(store: Store) = store.test { client ->
        val lease = client.lock("c").acquire()
        val error = assertFailsWith<LockTimeoutException> { client.acquireAll(client.locks(), wait = 50.milliseconds) }
        assertEquals("d, b, a, c", error.lock)
        assertNull(client.tryAcquireAll(client.locks()))
        assertEquals(listOf("c"), client.held())
        coroutineScope {
            val next = async { client.acquireAll(client.locks(), wait = PATIENCE) }
            queued(client, "c")
            lease.release()
            val leases = next.await()
            assertTrue(leases.isHeld)
            leases.release()
        }
        assertEquals(emptyList(), client.list())
    }

    @ParameterizedTest
    @EnumSource
    fun `the loss of one is told once, and ends the body`(store: Store) = store.test { client ->
        val short = client.lock("a", ttl = 300.milliseconds, renew = false)
        val reasons = CopyOnWriteArrayList<LostReason>()
        val error = assertFailsWith<LockLostException> {
            client.withAll(listOf(short, client.lock("b"))) { leases ->
                leases.onLost(reasons::add)
                try {
                    awaitCancellation()
                } finally {
                    assertTrue(!leases.isHeld && leases[1].isHeld)
                    assertEquals(LostReason.EXPIRED, leases.lostReason)
                }
            }
        }
        assertEquals(LostReason.EXPIRED, error.reason)
        eventually("told") { reasons.isNotEmpty() }
        assertEquals(listOf(LostReason.EXPIRED), reasons.toList())
        nothingLeft(client, "b")
        val own = IllegalStateException("own")
        val thrown = assertFailsWith<IllegalStateException> {
            client.withAll(listOf(short, client.lock("b"))) { throw own }
        }
        assertTrue(thrown === own || thrown.cause === own)
        nothingLeft(client, "b")
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled before it began`(store: Store) = store.test { client ->
        coroutineScope {
            val job = launch(start = CoroutineStart.UNDISPATCHED) {
                currentCoroutineContext().cancel()
                client.acquireAll(client.locks())
            }
            job.join()
            assertTrue(job.isCancelled)
        }
        assertEquals(emptyList(), client.list())
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled at any time around the grant`(store: Store) = store.test { client ->
        val random = randomness()
        var granted = 0
        repeat(200) {
            val first = if (random.nextBoolean()) client.lock("c", ttl = 1.hours).acquire() else null
            var leases: Leases? = null
            coroutineScope {
                val job = launch(Dispatchers.Default) { leases = client.acquireAll(client.locks()) }
                repeat(random.nextInt(12)) { turn -> if (turn % 2 == 0) yield() else Thread.onSpinWait() }
                LockSupport.parkNanos(random.nextLong(400_000))
                val release = launch { first?.release() }
                if (random.nextBoolean()) {
                    yield()
                }
                job.cancelAndJoin()
                release.join()
            }
            leases?.let {
                granted += 1
                assertEquals(ReleaseState.RELEASED, it.release())
            }
            eventually("nothing is left") { client.list().isEmpty() }
        }
        println("$store: $granted granted, ${200 - granted} cancelled")
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled in the body`(store: Store) = store.test { client ->
        coroutineScope {
            val inside = CompletableDeferred<Leases>()
            val job = launch {
                client.withAll(client.locks()) { leases ->
                    inside.complete(leases)
                    awaitCancellation()
                }
            }
            val leases = inside.await()
            job.cancelAndJoin()
            // The scope's end waited for the release: nobody needs to wait here.
            assertFalse(leases.isHeld)
            assertEquals(emptyList(), client.held())
        }
    }

    @ParameterizedTest
    @EnumSource
    fun `an interrupted thread`(store: Store) = store.test { client ->
        val first = client.lock("c").acquire()
        repeat(20) {
            var error: Throwable? = null
            val thread = Thread { error = runCatching { client.blocking().acquireAll(client.locks()) }.exceptionOrNull() }
            thread.start()
            queued(client, "c")
            thread.interrupt()
            thread.join()
            assertIs<InterruptedException>(error)
            eventually("only c is held") { client.list().map { it.name } == listOf("c") && client.inspect("c").waiting == 0L }
        }
        assertTrue(first.isHeld)
    }

    @ParameterizedTest
    @EnumSource
    fun `a future that is cancelled`(store: Store) = store.test { client ->
        val blocking = client.blocking()
        repeat(50) {
            val first = blocking.acquire("c")
            val future = blocking.acquireAllAsync(client.locks())
            if (it % 2 == 0) {
                queued(client, "c")
            }
            first.release()
            if (!future.cancel(false)) {
                // The grant was first: it is the caller's.
                future.join().close()
            }
            eventually("nothing is left") { client.list().isEmpty() }
        }
    }

    @ParameterizedTest
    @EnumSource
    fun `what is wrong is said`(store: Store) = store.test { client ->
        val other = Leasehold.connect("memory://")
        val many = List(1001) { "$it" }
        for ((locks, says) in listOf(
            client.locks(listOf("a", "b", "a")) to "in the list twice",
            client.locks(listOf("a", "")) to "name",
            client.locks(many) to "1001 locks at once",
            listOf(other.lock("a")) to "another client",
            client.locks(ttl = Duration.ZERO) to "ttl is 0",
        )) {
            val error = assertFailsWith<InvalidInputException> { client.acquireAll(locks) }
            assertContains(error.message.orEmpty(), says)
        }
        val error = assertFailsWith<InvalidInputException> { client.acquireAll(client.locks(), wait = (-1).seconds) }
        assertContains(error.message.orEmpty(), "wait is -1s")
        assertEquals(emptyList(), client.list())
        val none = assertNotNull(client.tryAcquireAll(emptyList()))
        assertTrue(none.isEmpty() && none.isHeld)
        assertTrue(none.remaining.isInfinite())
        none.release()
    }
}
