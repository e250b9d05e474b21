package leasehold

import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicReference
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertSame
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test

/**
 * A real Redis on a network that fails: what a coroutine that holds a lock is told, and when.
 *
 * The lock is kept by a thread that the JVM's can't hold up. So a dispatcher that is blocked costs
 * nobody the lock; and where it is lost at the same time, the first look says so.
 */
internal class LossTest {
    /** Short enough to be waited out. */
    private val ttl = 1.seconds

    /** What a loaded machine may add. */
    private val slack = 2.seconds
    private lateinit var redis: Redis

    @BeforeEach
    fun find() {
        redis = Redis.get()
    }

    @AfterEach
    fun heal() = listOf("heal", "plug", "wake", "admin FLUSHALL").forEach { redis.tell(it) }

    private fun on(body: suspend (client: Client, other: Client) -> Unit) {
        val client = Leasehold.connect(redis.url)
        // Another program, on a network that doesn't fail.
        val other = Leasehold.connect(redis.direct)
        runBlocking(Dispatchers.Default) {
            body(client, other)
            redis.say("heal")
            client.shutdown()
            other.shutdown()
        }
    }

    @Test
    fun `cut off in a body, which is cancelled`() = on { client, other ->
        val told = AtomicReference<Throwable>()
        var start = TimeSource.Monotonic.markNow()
        var remaining = ttl
        var fence = 0L
        val error = assertFailsWith<LockLostException> {
            client.withLock("a", ttl = ttl) { lease ->
                redis.say("black-hole")
                start = TimeSource.Monotonic.markNow()
                remaining = lease.remaining
                fence = lease.fence
                assertTrue(remaining <= ttl)
                // What the body started is cancelled, too.
                launch {
                    try {
                        awaitCancellation()
                    } catch (error: CancellationException) {
                        assertTrue(!lease.isHeld, "told before the lease ended")
                        told.set(error)
                        throw error
                    }
                }
                delay(PATIENCE)
            }
        }
        assertTrue(start.elapsedNow() <= remaining + slack, "${start.elapsedNow()} after $remaining")
        assertEquals(listOf("LOCK_LOST", LostReason.STORE_UNREACHABLE, "a"), listOf(error.code, error.reason, error.lock))
        assertIs<LockLostException>(generateSequence(told.get()) { it.cause }.first { it is LockLostException })
        redis.say("heal")
        other.withLock("a", wait = PATIENCE) { assertTrue(it.fence > fence) }
    }

    @Test
    fun `the next holder never believes at the same time`() = on { client, other ->
        val lease = client.lock("a", ttl = ttl).acquire()
        coroutineScope {
            val rival = async {
                other.lock("a", wait = PATIENCE).acquire().also {
                    // The one thing that must never be: at this moment both believe.
                    assertTrue(!lease.isHeld)
                }
            }
            queued(other, "a")
            redis.say("black-hole")
            val event = withTimeout(PATIENCE) { lease.events.first() }
            assertEquals(LeaseEvent.Lost(LostReason.STORE_UNREACHABLE), event)
            assertTrue(!lease.isHeld)
            val theirs = rival.await()
            assertTrue(theirs.fence > lease.fence)
            redis.say("heal")
            assertEquals(ReleaseState.LOST, lease.release())
            assertEquals(ReleaseState.RELEASED, theirs.release())
        }
    }

    @Test
    fun `the body's own error is not masked by the loss`() = on { client, _ ->
        val mine = IllegalStateException("mine")
        val error = assertFailsWith<IllegalStateException> {
            client.withLock("a", ttl = ttl) {
                redis.say("black-hole")
                try {
                    awaitCancellation()
                } catch (_: CancellationException) {
                    throw mine
                }
            }
        }
        // Coroutines may copy an exception on its way, and then keep the first as its cause.
        assertTrue(error === mine || error.cause === mine)
    }

    @Test
    fun `the caller's cancellation is not taken for a loss`() = on { client, _ ->
        val reason = CancellationException("the caller's")
        coroutineScope {
            val job = async { client.withLock("a", ttl = ttl) { awaitCancellation() } }
            eventually("held") { client.isLocked("a") }
            redis.say("black-hole")
            job.cancel(reason)
            val error = runCatching { job.await() }.exceptionOrNull()
            assertIs<CancellationException>(error)
            assertEquals("the caller's", error.message)
        }
    }

    @Test
    fun `a blocked dispatcher keeps its lock`() = on { client, other ->
        Executors.newSingleThreadExecutor().asCoroutineDispatcher().use { single ->
            withContext(single) {
                client.withLock("a", ttl = ttl) { lease ->
                    Thread.sleep((ttl * 3).inWholeMilliseconds)
                    assertTrue(lease.isHeld, "${lease.lostReason}")
                    assertEquals(lease.fence, other.inspect("a").holder?.fence)
                    // Nothing that was put off meanwhile says otherwise.
                    delay(50.milliseconds)
                    assertTrue(lease.isHeld)
                }
            }
        }
    }

    @Test
    fun `a blocked dispatcher knows of its loss at the first look`() = on { client, _ ->
        Executors.newSingleThreadExecutor().asCoroutineDispatcher().use { single ->
            withContext(single) {
                assertFailsWith<LockLostException> {
                    client.withLock("a", ttl = ttl) { lease ->
                        redis.tell("black-hole")
                        Thread.sleep((ttl * 3).inWholeMilliseconds)
                        assertTrue(!lease.isHeld, "the first look")
                        assertSame(LostReason.STORE_UNREACHABLE, lease.lostReason)
                    }
                }
            }
        }
    }

    @Test
    fun `an attempt that is cut off ends with its wait, or its caller`() = on { client, other ->
        val first = other.lock("a").acquire()
        client.ping()
        redis.say("black-hole")
        val start = TimeSource.Monotonic.markNow()
        assertFailsWith<LockException> { client.lock("a", wait = 200.milliseconds).acquire() }
        assertFailsWith<CancellationException> { withTimeout(200.milliseconds) { client.lock("a").acquire() } }
        assertTrue(start.elapsedNow() < 400.milliseconds + slack)
        redis.say("heal")
        first.release()
        queued(other, "a", 0)
        other.withLock("a", wait = PATIENCE) { assertTrue(it.isHeld) }
    }

    @Test
    fun `a release that is cut off goes on in the background`() = on { client, other ->
        val lease = client.lock("a", ttl = 1.hours).acquire()
        redis.say("black-hole")
        val start = TimeSource.Monotonic.markNow()
        assertEquals(ReleaseState.BACKGROUND, lease.release())
        assertTrue(start.elapsedNow() < 1.seconds + slack)
        redis.say("heal")
        other.withLock("a", wait = PATIENCE) { assertTrue(it.fence > lease.fence) }
    }

    @Test
    fun `an unreachable server is named, its password isn't`() = on { _, _ ->
        redis.say("unplug")
        val client = Leasehold.connect(redis.url.replace("://", "://locks:c4n4ry@"))
        val error = assertFailsWith<StoreUnavailableException> { client.lock("a").acquire() }
        assertTrue("127.0.0.1" in error.message.orEmpty())
        assertTrue("c4n4ry" !in "${error.stackTraceToString()} ${client.url} $client")
        redis.say("plug")
    }
}
