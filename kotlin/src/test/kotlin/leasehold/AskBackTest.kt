package leasehold

import java.time.Duration as JavaDuration
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource

/**
 * Asking for a lock back, and hearing that one is asked; permits that change. The rules are shown in
 * core/tests/manager; here it is what Kotlin makes of them.
 */
internal class AskBackTest {
    @ParameterizedTest
    @EnumSource
    fun `a holder hears and gives back`(store: Store) = store.test { client ->
        val lease = client.lock("a", ttl = 1.hours, note = "mine").acquire()
        coroutineScope {
            val asking = async { client.askBack("a", "a newer one", PATIENCE) }
            val asked = lease.askedBack.first()
            assertEquals("a newer one", asked.why)
            assertEquals("kotlin", asked.by.language)
            assertTrue(asked.grace > Duration.ZERO && asked.grace <= PATIENCE)
            lease.release()
            val returned = asking.await()
            assertEquals(ReturnState.GIVEN_BACK to lease.fence, returned.state to returned.fence)
            assertEquals("mine", returned.holder?.note)
        }
        assertEquals(emptyList(), lease.askedBack.toList())
    }

    @ParameterizedTest
    @EnumSource
    fun `a holder that holds on`(store: Store) = store.test { client ->
        client.withLock("a") { lease ->
            val returned = client.askBack("a", "now", 50.milliseconds, lease.fence)
            assertEquals(ReturnState.STILL_HELD to lease.fence, returned.state to returned.fence)
            val other = client.askBack("a", "now", 50.milliseconds, lease.fence + 1)
            assertEquals(Returned(ReturnState.NOT_HELD, null, null, emptyList()), other)
            assertFailsWith<InvalidInputException> { client.askBack("a", "now", Duration.ZERO) }
            assertFailsWith<InvalidInputException> { client.askBack("a", "now", 1.seconds, -1) }
        }
    }

    @ParameterizedTest
    @EnumSource
    fun `a callback is called with each request`(store: Store) = store.test { client ->
        val lease = client.lock("a", ttl = 1.hours).acquire()
        val told = LinkedBlockingQueue<String>()
        lease.onAskedBack {
            told.add(it.why)
            error("it is told the next all the same")
        }
        for (why in listOf("one", "other")) {
            assertEquals(ReturnState.STILL_HELD, client.askBack("a", why, 50.milliseconds).state)
            assertEquals(why, told.poll(PATIENCE.inWholeSeconds, TimeUnit.SECONDS))
        }
        lease.release()
        assertEquals(ReturnState.NOT_HELD, client.askBack("a", "late", 50.milliseconds).state)
        assertNull(told.poll())
    }

    @ParameterizedTest
    @EnumSource
    fun `what a cancelled collector was told is told again`(store: Store) = store.test { client ->
        val lease = client.lock("a", ttl = 1.hours).acquire()
        for (turn in 0..<300) {
            coroutineScope {
                val asking = async(start = CoroutineStart.UNDISPATCHED) { client.askBack("a", "$turn", PATIENCE) }
                var told: AskedBack? = null
                // Not by what `first` returns: a job that is cancelled at the last moment drops that.
                val collecting = launch(start = CoroutineStart.UNDISPATCHED) {
                    lease.askedBack.onEach { told = it }.first()
                }
                // At any moment of the request's coming.
                val end = System.nanoTime() + turn * 5_000
                while (System.nanoTime() < end) Thread.onSpinWait()
                collecting.cancelAndJoin()
                val asked = told ?: withTimeout(PATIENCE) { lease.askedBack.first() }
                assertEquals("$turn", asked.why)
                asking.cancelAndJoin()
            }
        }
        lease.release()
    }

    @ParameterizedTest
    @EnumSource
    fun `by calls that block`(store: Store) = store.test { client ->
        val blocking = client.blocking()
        val lease = blocking.acquire("a", LockOptions().ttl(JavaDuration.ofHours(1)))
        val grace = JavaDuration.ofMillis(50)
        val told = LinkedBlockingQueue<String>()
        lease.onAskedBack { told.add(it.why) }
        assertEquals(ReturnState.STILL_HELD, blocking.askBack("a", "one", grace).state)
        assertEquals("one", told.poll(PATIENCE.inWholeSeconds, TimeUnit.SECONDS))
        lease.release()
        assertNull(lease.awaitAskedBack())
        val slots = LockOptions().permits(2, 2)
        blocking.acquire("s", slots).use {
            assertTrue(blocking.resize("s", 2, 3) > 0)
            assertNotNull(blocking.tryAcquire("s", LockOptions().permits(1, 3))).use {
                assertNull(blocking.tryAcquire("s", slots))
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    fun `the number of permits is changed`(store: Store) = store.test { client ->
        val slots = client.semaphore("slots", 2, ttl = 1.hours)
        val both = slots.permits(2).acquire()
        coroutineScope {
            val waiting = async { slots.permits().acquire() }
            eventually("one waits") { client.inspect("slots").waiting == 1L }
            val first = slots.resize(3)
            val third = waiting.await()
            assertNull(client.semaphore("slots", 3).permits().tryAcquire())
            assertFailsWith<InvalidInputException> { slots.resize(5) }
            assertFailsWith<InvalidInputException> { client.semaphore("slots", 3).resize(0) }
            assertTrue(client.semaphore("slots", 3).resize(4) > first)
            slots.permits().withLock { }
            both.release()
            third.release()
        }
    }

    @ParameterizedTest
    @EnumSource
    fun `the victim is the wait of smallest deadlock priority`(store: Store) = store.test { client ->
        val (one, other) = List(2) { client.owner() }
        val first = client.lock("a", owner = one).acquire()
        val second = client.lock("b", owner = other).acquire()
        coroutineScope {
            // Not that of smallest priority in the queue, and not the last that came.
            val victim = async {
                runCatching { client.lock("b", owner = one, priority = 5, deadlockPriority = -1).acquire() }
            }
            eventually("one waits") { client.inspect("b").waiting == 1L }
            val last = async { client.lock("a", owner = other, priority = -5, deadlockPriority = 1).acquire() }
            assertTrue(victim.await().exceptionOrNull() is DeadlockException)
            first.release()
            last.await().release()
            second.release()
        }
        assertFailsWith<InvalidInputException> { Leasehold.connect("memory://", deadlockDepth = 0) }
    }
}
