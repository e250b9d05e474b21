package leasehold

import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.locks.LockSupport
import kotlin.coroutines.CoroutineContext
import kotlin.random.Random
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Runnable
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.yield
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource

/**
 * Whoever is cancelled in a campaign, at a barrier, before a latch or with several locks leaves nothing behind,
 * whenever that is. The ttl of everything here is an hour: what is free at the end was given back.
 */
internal class PartiesCancelTest {
    private val tries = 200

    /** What can be taken, and given up meanwhile: of the lock "a", and of others. */
    private enum class Way(val take: suspend (Client) -> suspend () -> ReleaseState) {
        CAMPAIGN({ client -> client.election("a", ttl = 1.hours).campaign("v").let { { it.resign() } } }),
        SEVERAL({ client -> client.acquireAll(listOf("b", "a", "c").map { client.lock(it, ttl = 1.hours) }).let { { it.release() } } }),
    }

    /** Keeps what it is to run until it is told to: the time between READY and dispatch, held open. */
    private class Held : CoroutineDispatcher() {
        private val work = ConcurrentLinkedQueue<Runnable>()
        override fun dispatch(context: CoroutineContext, block: Runnable) {
            work.add(block)
        }

        fun waiting() = work.isNotEmpty()
        fun run() = generateSequence { work.poll() }.forEach { it.run() }
    }

    private suspend fun nothing(client: Client) = eventually("nothing is left") { client.list().isEmpty() }

    private suspend fun aWhile(random: Random) {
        repeat(random.nextInt(12)) { turn -> if (turn % 2 == 0) yield() else Thread.onSpinWait() }
        if (random.nextBoolean()) {
            LockSupport.parkNanos(random.nextLong(500_000))
        }
    }

    private fun Client.pair() = barrier("b", 2, ttl = 1.hours)

    @ParameterizedTest
    @EnumSource
    fun `cancelled before it began`(store: Store) = store.test { client ->
        val inside = client.barrier("in", 1, ttl = 1.hours).enter()
        val all = listOf<suspend () -> Any?>(
            { Way.CAMPAIGN.take(client) },
            { Way.SEVERAL.take(client) },
            { client.election("a").tryCampaign() },
            { client.election("a").lead { error("it leads") } },
            { client.election("a").leader() },
            { client.latch("l", 1).await() },
            { client.barrier("a", 1).enter() },
            { client.barrier("a", 1).within { error("it is inside") } },
            { client.tryEach(listOf(client.lock("a"))) },
            { inside.leave() },
        )
        for (one in all) {
            coroutineScope {
                val job = launch(start = CoroutineStart.UNDISPATCHED) {
                    currentCoroutineContext().cancel()
                    one()
                }
                job.join()
                assertTrue(job.isCancelled)
            }
        }
        nothing(client)
        assertNull(client.election("a").leader())
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled while it waits`(store: Store) = store.test { client ->
        val first = client.lock("a", ttl = 1.hours).acquire()
        for (way in Way.entries) {
            for (round in 0 until 10) {
                coroutineScope {
                    val waiting = List(20) { launch(start = CoroutineStart.UNDISPATCHED) { way.take(client) } }
                    if (round % 2 == 0) {
                        queued(client, "a", 20)
                    }
                    waiting.forEach { it.cancelAndJoin() }
                }
                queued(client, "a", 0)
            }
        }
        assertTrue(first.isHeld)
        first.release()
        nothing(client)
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled after READY, before dispatch`(store: Store) = store.test { client ->
        for (way in Way.entries) {
            repeat(tries) {
                val held = Held()
                val first = client.lock("a", ttl = 1.hours).acquire()
                coroutineScope {
                    val taken = async(held) { way.take(client) }
                    held.run()
                    queued(client, "a")
                    first.release()
                    // The grant has been told, and lies between the thread that told it and the coroutine.
                    eventually("the grant lies there") { held.waiting() }
                    assertTrue(client.isLocked("a"))
                    taken.cancel()
                    held.run()
                    assertFailsWith<CancellationException> { taken.await() }
                }
                nothing(client)
            }
        }
        assertNull(client.election("a").leader())
    }

    @ParameterizedTest
    @EnumSource
    fun `cancelled at any time around the grant`(store: Store) = store.test { client ->
        val random = randomness()
        for (way in Way.entries) {
            var granted = 0
            repeat(tries) {
                var release: (suspend () -> ReleaseState)? = null
                coroutineScope {
                    val job = launch(Dispatchers.Default) { release = way.take(client) }
                    aWhile(random)
                    job.cancelAndJoin()
                }
                release?.let {
                    granted += 1
                    assertEquals(ReleaseState.RELEASED, it())
                }
                nothing(client)
            }
            println("$store: $way: $granted granted, ${tries - granted} cancelled")
        }
        assertNull(client.election("a").leader())
    }

    @ParameterizedTest
    @EnumSource
    fun `a barrier, cancelled at any time while its members come`(store: Store) = store.test { client ->
        val random = randomness()
        var inside = 0
        repeat(tries) {
            val taken = ConcurrentLinkedQueue<Inside>()
            coroutineScope {
                val jobs = List(2) { launch(Dispatchers.Default) { taken += client.pair().enter() } }
                aWhile(random)
                jobs.forEach { it.cancelAndJoin() }
            }
            inside += taken.size
            taken.forEach { it.release() }
            nothing(client)
        }
        println("$store: $inside inside of ${2 * tries}")
    }

    @ParameterizedTest
    @EnumSource
    fun `a barrier, cancelled inside or on the way out, holds nobody up`(store: Store) = store.test { client ->
        val random = randomness()
        repeat(tries / 10) {
            coroutineScope {
                val (one, two) = List(2) { async { client.pair().enter(PATIENCE) } }.awaitAll()
                // Begun before it is cancelled: what never began leaves nothing.
                val leaving = launch(start = CoroutineStart.UNDISPATCHED) { one.leave() }
                aWhile(random)
                leaving.cancelAndJoin()
                two.leave(PATIENCE)
                assertIs<LeaseEvent.Released>(one.events.first())
            }
            coroutineScope {
                val within = launch { client.pair().within { awaitCancellation() } }
                val two = client.pair().enter(PATIENCE)
                within.cancelAndJoin()
                two.leave(PATIENCE)
            }
            nothing(client)
        }
    }

    @ParameterizedTest
    @EnumSource
    fun `a latch, cancelled while it is waited for, and at any time around its end`(store: Store) = store.test { client ->
        val random = randomness()
        val never = client.latch("never", 1)
        assertFailsWith<TimeoutCancellationException> { withTimeout(20.milliseconds) { never.await() } }
        repeat(tries / 4) {
            val latch = client.latch("l$it", 1)
            coroutineScope {
                val wait = launch(Dispatchers.Default) { latch.await() }
                val count = async(Dispatchers.Default) { client.latch("l$it", 1).countDown() }
                aWhile(random)
                wait.cancelAndJoin()
                assertEquals(0, count.await())
            }
            latch.await(PATIENCE)
        }
        assertEquals(1, never.left())
    }

    @ParameterizedTest
    @EnumSource
    fun `an observer, cancelled at any time around a change`(store: Store) = store.test { client ->
        val random = randomness()
        val election = client.election("e", ttl = 1.hours)
        val leadership = election.campaign("0")
        repeat(tries / 2) {
            coroutineScope {
                val watch = launch(Dispatchers.Default) { election.observe().collect {} }
                val said = launch { leadership.proclaim("$it") }
                aWhile(random)
                watch.cancelAndJoin()
                said.join()
            }
            assertEquals("$it", election.leader()?.text)
        }
        leadership.resign()
        nothing(client)
    }

    @ParameterizedTest
    @EnumSource
    fun `an interrupted thread`(store: Store) = store.test { client ->
        val blocking = client.blocking()
        val first = client.lock("a", ttl = 1.hours).acquire()
        val observer = blocking.election("e").observe()
        assertNull(observer.next())
        // Each with what shows that it waits, where something does.
        val calls: List<Pair<suspend () -> Unit, () -> Any?>> = listOf(
            Pair({ queued(client, "a") }, { blocking.election("a").campaign() }),
            Pair({ queued(client, "a") }, { blocking.acquireAll(listOf(blocking.lock("b"), blocking.lock("a"))) }),
            Pair({ eventually("it came") { client.isLocked("p") } }, { blocking.barrier("p", 2).enter() }),
            Pair({}, { blocking.latch("l", 1).await() }),
            Pair({}, { observer.next() }),
        )
        repeat(4) { round ->
            for ((waits, call) in calls) {
                var error: Throwable? = null
                val thread = Thread { error = runCatching { call() }.exceptionOrNull() }
                thread.start()
                if (round % 2 == 0) {
                    waits()
                }
                thread.interrupt()
                thread.join()
                assertIs<InterruptedException>(error)
                eventually("only a is held") { client.list().map { it.name } == listOf("a") && client.inspect("a").waiting == 0L }
            }
        }
        assertTrue(first.isHeld)
        // What came while nobody waited is not lost, but told to whoever asks next.
        val leadership = blocking.election("e").campaign("after all")
        assertEquals("after all", observer.next()?.text)
        leadership.close()
        assertNull(observer.next())
        first.release()
        nothing(client)
    }

    @ParameterizedTest
    @EnumSource
    fun `a release that is cancelled is an event all the same`(store: Store) = store.test { client ->
        val lease = client.lock("a", ttl = 1.hours).acquire()
        coroutineScope {
            launch(start = CoroutineStart.UNDISPATCHED) {
                currentCoroutineContext().cancel()
                lease.release()
            }
        }
        assertIs<LeaseEvent.Released>(lease.events.first())
        nothing(client)
    }
}
