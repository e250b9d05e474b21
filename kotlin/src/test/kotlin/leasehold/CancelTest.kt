package leasehold

import java.time.Duration
import java.util.concurrent.CompletableFuture
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.atomic.AtomicInteger
import kotlin.coroutines.CoroutineContext
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Runnable
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.yield
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource

/**
 * An attempt that is given up at any point leaves neither a held lock nor a place in the queue. Each
 * moment is tried 1,000 times.
 *
 * The ttl of every lock here is an hour: what is free at the end was given back.
 */
internal class CancelTest {
    private val tries = 1000
    private fun Client.hour(name: String = "a") = lock(name, ttl = 1.hours)

    /** Keeps what it is to run until it is told to: the time between READY and dispatch, held open. */
    private class Held : CoroutineDispatcher() {
        private val work = ConcurrentLinkedQueue<Runnable>()
        override fun dispatch(context: CoroutineContext, block: Runnable) {
            work.add(block)
        }

        fun waiting() = work.isNotEmpty()
        fun run() = generateSequence { work.poll() }.forEach { it.run() }
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled before it began`(store: Store) = store.test { client ->
        repeat(tries) {
            coroutineScope {
                val job = launch(start = CoroutineStart.UNDISPATCHED) {
                    currentCoroutineContext().cancel()
                    if (it % 2 == 0) client.hour().acquire() else client.hour().tryAcquire()
                }
                job.join()
                assertTrue(job.isCancelled)
            }
        }
        assertEquals(emptyList(), client.list())
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled while it waits`(store: Store) = store.test { client ->
        val first = client.hour().acquire()
        for (round in 0 until tries / 50) {
            coroutineScope {
                val waiting = List(50) { launch(start = CoroutineStart.UNDISPATCHED) { client.hour().acquire() } }
                if (round % 2 == 0) {
                    queued(client, "a", 50)
                }
                waiting.forEach { it.cancel() }
                waiting.joinAll()
                assertTrue(waiting.all { it.isCancelled })
            }
            queued(client, "a", 0)
        }
        assertTrue(first.isHeld)
        assertEquals(ReleaseState.RELEASED, first.release())
        nothingLeft(client, "a")
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled after READY, before dispatch`(store: Store) = store.test { client ->
        var late = 0
        repeat(tries) {
            val held = Held()
            val first = client.hour().acquire()
            coroutineScope {
                val taken = async(held) { client.hour().acquire() }
                held.run()
                queued(client, "a")
                first.release()
                // The grant has been told, and lies between the thread that told it and the coroutine.
                eventually("the grant lies there") { held.waiting() }
                late += if (client.isLocked("a")) 1 else 0
                taken.cancel()
                held.run()
                assertFailsWith<CancellationException> { taken.await() }
            }
            nothingLeft(client, "a")
        }
        println("$store: seen held in $late of $tries before the cancellation")
        assertEquals(tries, late)
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled at any time around the grant`(store: Store) = store.test { client ->
        val random = randomness()
        var granted = 0
        repeat(tries) {
            val lease = arrayOfNulls<Lease>(1)
            coroutineScope {
                val job = launch(Dispatchers.Default) { lease[0] = client.hour().acquire() }
                repeat(random.nextInt(12)) { turn -> if (turn % 2 == 0) yield() else Thread.onSpinWait() }
                if (random.nextBoolean()) {
                    java.util.concurrent.locks.LockSupport.parkNanos(random.nextLong(300_000))
                }
                job.cancelAndJoin()
            }
            lease[0]?.let {
                granted += 1
                assertEquals(ReleaseState.RELEASED, it.release())
            }
            if (it % 10 == 0) {
                nothingLeft(client, "a")
            }
        }
        nothingLeft(client, "a")
        println("$store: $granted granted, ${tries - granted} cancelled")
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled in the body`(store: Store) = store.test { client ->
        repeat(tries) {
            coroutineScope {
                val inside = CompletableDeferred<Lease>()
                val job = launch {
                    client.withLock("a", ttl = 1.hours) { lease ->
                        inside.complete(lease)
                        awaitCancellation()
                    }
                }
                val lease = inside.await()
                job.cancelAndJoin()
                // The scope's end waited for the release: nobody needs to wait here.
                assertTrue(!lease.isHeld)
                assertEquals(null, client.inspect("a").holder)
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    fun `a timeout around an acquire`(store: Store) = store.test { client ->
        val first = client.hour().acquire()
        assertFailsWith<TimeoutCancellationException> { withTimeout(20.milliseconds) { client.hour().acquire() } }
        queued(client, "a", 0)
        first.release()
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled in a storm of grants`(store: Store) = store.test { client ->
        val inside = AtomicInteger()
        repeat(10) { round ->
            coroutineScope {
                val jobs = List(20) {
                    launch {
                        client.withLock("a", ttl = 1.hours) {
                            assertEquals(1, inside.incrementAndGet())
                            try {
                                yield()
                            } finally {
                                inside.decrementAndGet()
                            }
                        }
                    }
                }
                jobs.filterIndexed { n, _ -> n % 3 == round % 3 }.forEach { it.cancel(); yield() }
            }
        }
        nothingLeft(client, "a")
    }

    @ParameterizedTest
    @EnumSource
    fun `an interrupted thread`(store: Store) = store.test { client ->
        val first = client.hour().acquire()
        repeat(20) {
            var error: Throwable? = null
            val thread = Thread { error = runCatching { client.blocking().acquire("a") }.exceptionOrNull() }
            thread.start()
            queued(client, "a")
            thread.interrupt()
            thread.join()
            assertIs<InterruptedException>(error)
            queued(client, "a", 0)
        }
        first.release()
        nothingLeft(client, "a")
    }

    @ParameterizedTest
    @EnumSource
    fun `an interrupted close gives back, and stays interrupted`(store: Store) = store.test { client ->
        val lease = client.blocking().acquire("a", LockOptions().ttl(Duration.ofHours(1)))
        val seen = CompletableFuture<Boolean>()
        Thread {
            Thread.currentThread().interrupt()
            lease.close()
            seen.complete(Thread.interrupted())
        }.start()
        assertTrue(seen.join())
        nothingLeft(client, "a")
    }

    @ParameterizedTest
    @EnumSource
    fun `a future that is cancelled`(store: Store) = store.test { client ->
        val blocking = client.blocking()
        repeat(100) {
            val first = blocking.acquire("a")
            val future = blocking.acquireAsync("a")
            if (it % 2 == 0) {
                queued(client, "a")
            }
            first.release()
            if (!future.cancel(false)) {
                // The grant was first: it is the caller's.
                future.join().close()
            }
            nothingLeft(client, "a")
        }
    }
}
