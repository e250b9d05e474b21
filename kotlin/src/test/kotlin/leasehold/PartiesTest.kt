package leasehold

import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.yield
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource

/**
 * Election, latch, barrier, and several locks each alone. The rules are shown in core/tests/parties and by the
 * scenarios; here it is what Kotlin makes of them.
 */
internal class PartiesTest {
    private fun Client.parties(name: String = "b", parties: Int = 2) = barrier(name, parties, ttl = 1.hours)

    @ParameterizedTest
    @EnumSource
    fun `who observes is told of each leader, and what it says`(store: Store) = store.test { client ->
        val election = client.election("e", ttl = 1.hours, note = "a test")
        val told = CopyOnWriteArrayList<Pair<Long, String>?>()
        coroutineScope {
            val watch = async { election.observe().onEach { told.add(it?.run { fence to text }) }.take(5).toList() }
            suspend fun changes(count: Int) = eventually("$count changes") { told.size == count }
            changes(1)
            val first = election.lead("one") { leadership ->
                changes(2)
                assertTrue(leadership.isLeader && leadership.isHeld)
                assertEquals(leadership.fence, client.inspect("e").holder?.fence)
                assertEquals("one", election.leader()?.text)
                assertNull(election.tryCampaign("two"))
                leadership.proclaim("two".encodeToByteArray())
                changes(3)
                assertEquals("<Leadership of \"e\", fence ${leadership.fence}, held>", "$leadership")
                leadership.fence
            }
            changes(4)
            assertNull(election.leader())
            val last = assertNotNull(election.tryCampaign("the end"))
            assertEquals(listOf(null, first to "one", first to "two", null, last.fence to "the end"), watch.await().map { it?.run { fence to text } })
            val leader = assertNotNull(election.leader())
            assertEquals(listOf("kotlin", "a test", ProcessHandle.current().pid()), leader.who.run { listOf(language, note, pid) })
            assertEquals(ReleaseState.RELEASED, last.resign())
            assertEquals(ReleaseState.REPEATED, last.resign())
            assertEquals(LeaseEvent.Released(ReleaseState.RELEASED), last.events.first())
        }
        nothingLeft(client, "e")
    }

    @ParameterizedTest
    @EnumSource
    fun `a lead that is lost ends its block`(store: Store) = store.test { client ->
        val error = assertFailsWith<LockLostException> {
            client.election("e", ttl = 900.milliseconds).lead("a") { leadership ->
                assertEquals(leadership.fence, client.evict("e", "a test"))
                try {
                    awaitCancellation()
                } finally {
                    assertFalse(leadership.isLeader)
                }
            }
        }
        assertEquals(listOf(LostReason.REVOKED, "e"), listOf(error.reason, error.lock))
        assertNull(client.election("e").leader())
        val own = IllegalStateException("own")
        val thrown = assertFailsWith<IllegalStateException> { client.election("e").lead { throw own } }
        assertTrue(thrown === own || thrown.cause === own)
        nothingLeft(client, "e")
    }

    @ParameterizedTest
    @EnumSource
    fun `a latch opens once it was counted down`(store: Store) = store.test { client ->
        val latch = client.latch("l", 3)
        assertEquals(3, latch.left())
        coroutineScope {
            val waiting = listOf(async { latch.await() }, async { client.latch("l", 3).await(PATIENCE) })
            assertEquals(2, latch.countDown())
            val error = assertFailsWith<LockTimeoutException> { latch.await(50.milliseconds) }
            assertEquals("l", error.lock)
            assertEquals(0, client.latch("l", 3, keep = 1.hours).countDown(2))
            waiting.awaitAll()
        }
        assertEquals(listOf(0L, 0L), listOf(latch.left(), latch.countDown()))
    }

    @ParameterizedTest
    @EnumSource
    fun `a barrier is gone into and left together`(store: Store) = store.test { client ->
        val events = ConcurrentLinkedQueue<String>()
        repeat(3) {
            coroutineScope {
                val parties = List(3) {
                    async {
                        client.parties(parties = 3).within(PATIENCE) { inside ->
                            events.add("in")
                            yield()
                            assertEquals(Kind.PERMITS, inside.kind)
                            events.add("out")
                            inside.fence
                        }
                    }
                }
                assertEquals(3, parties.awaitAll().toSet().size)
            }
            // All were in before any could be out of the whole.
            assertEquals(listOf("in", "in", "in", "out", "out", "out"), events.sorted())
            events.clear()
        }
        nothingLeft(client, "b")
    }

    @ParameterizedTest
    @EnumSource
    fun `who is late at a barrier holds the others up, and who fails does not`(store: Store) = store.test { client ->
        coroutineScope {
            val (one, two) = List(2) { async { client.parties().enter(PATIENCE) } }.awaitAll()
            assertFailsWith<LockTimeoutException> { one.leave(50.milliseconds) }
            assertEquals(listOf(false, true), listOf(one.isHeld, two.isHeld))
            assertEquals(LeaseEvent.Released(ReleaseState.RELEASED), one.events.first())
            val again = async { one.leave() }
            two.leave(PATIENCE)
            again.await()
            assertEquals(ReleaseState.REPEATED, one.release())
        }
        coroutineScope {
            val own = IllegalStateException("own")
            val failing = async { runCatching { client.parties().within { throw own } }.exceptionOrNull() }
            client.parties().enter(PATIENCE).leave(PATIENCE)
            val thrown = failing.await()
            assertTrue(thrown === own || thrown?.cause === own, "$thrown")
        }
        nothingLeft(client, "b")
    }

    @ParameterizedTest
    @EnumSource
    fun `a place that is lost ends its block`(store: Store) = store.test { client ->
        val error = assertFailsWith<LockLostException> {
            client.barrier("b", 1, ttl = 900.milliseconds).within { inside ->
                assertEquals(inside.fence, client.evict("b", "a test"))
                awaitCancellation()
            }
        }
        assertEquals(LostReason.REVOKED, error.reason)
        nothingLeft(client, "b")
    }

    @ParameterizedTest
    @EnumSource
    fun `each alone`(store: Store) = store.test { client ->
        val other = client.lock("b").acquire()
        val reader = client.rwlock("r").read().acquire()
        val locks = listOf(client.lock("a", ttl = 1.hours), client.lock("b"), client.semaphore("r", 2).permits(), client.rwlock("c").read())
        val (a, b, misfit, c) = client.tryEach(locks)
        assertEquals("a", a.getOrThrow()?.name)
        assertNull(b.getOrThrow())
        assertEquals("r", assertIs<InvalidInputException>(misfit.exceptionOrNull()).lock)
        assertEquals(Kind.SHARED, c.getOrThrow()?.kind)
        assertEquals(ReleaseState.RELEASED, a.getOrThrow()?.release())
        assertTrue(c.getOrThrow()?.isHeld == true && other.isHeld && reader.isHeld)
        assertFailsWith<InvalidInputException> { client.tryEach(listOf(client.lock("x"), client.lock("x"))) }
        assertEquals(emptyList(), client.tryEach(emptyList()))
        listOf(other, reader, c.getOrThrow()).forEach { it?.release() }
        assertEquals(emptyList(), client.list())
    }

    @ParameterizedTest
    @EnumSource
    fun `each alone, forgotten, is given back`(store: Store) = store.test { client ->
        assertEquals(ReleaseState.RELEASED, client.tryEach(listOf(client.lock("a"), client.lock("b"))).first().getOrThrow()?.release())
        eventually("given back") {
            System.gc()
            client.list().isEmpty()
        }
    }

    @ParameterizedTest
    @EnumSource
    fun `deadlocks are counted`(store: Store) = store.test { client ->
        val (one, two) = client.owner() to client.owner()
        val a = client.lock("a", owner = one).acquire()
        val b = client.lock("b", owner = two).acquire()
        assertEquals(0, client.deadlocks().victims)
        coroutineScope {
            val waits = listOf(
                async { runCatching { client.lock("b", owner = one).acquire() }.also { a.release() } },
                async { runCatching { client.lock("a", owner = two).acquire() }.also { b.release() } },
            ).awaitAll()
            assertIs<DeadlockException>(waits.mapNotNull { it.exceptionOrNull() }.single())
            waits.forEach { it.getOrNull()?.release() }
        }
        val found = client.deadlocks()
        assertEquals(listOf(1L, 2L, 0L), listOf(found.victims, found.longest.toLong(), found.cut))
        assertTrue(found.found >= 1 && found.looks >= found.found)
    }

    @ParameterizedTest
    @EnumSource
    fun `what is wrong is said`(store: Store) = store.test { client ->
        suspend fun refused(says: String, take: suspend () -> Any?) {
            val error = assertFailsWith<InvalidInputException> { take() }
            assertContains(error.message.orEmpty(), says)
        }
        refused("61441 bytes") { client.election("e").campaign("x".repeat(61441)) }
        refused("lone surrogate") { client.election("e").campaign("\ud800") }
        refused("ttl is 0") { client.election("e", ttl = 0.seconds).campaign() }
        refused("empty") { client.election("").leader() }
        refused("count is -1") { client.latch("l", -1) }
        refused("keep is -1s") { client.latch("l", 1, keep = (-1).seconds) }
        refused("count of 0") { client.latch("l", 0).countDown() }
        refused("at least") { client.latch("l", 1, keep = 5.seconds).left() }
        refused("by 0") { client.latch("l", 1).countDown(0) }
        refused("wait is -1s") { client.latch("l", 1).await((-1).seconds) }
        refused("parties is -1") { client.barrier("b", -1).enter() }
        refused("parties") { client.barrier("b", 0).enter() }
        refused("101 parties") { client.barrier("b", 101).enter() }
        refused("empty") { client.barrier("", 1).enter() }
        client.parties(parties = 1).within { inside ->
            refused("wait is -1s") { inside.leave((-1).seconds) }
            assertTrue(inside.isHeld)
        }
        assertEquals(emptyList(), client.list())
    }
}
