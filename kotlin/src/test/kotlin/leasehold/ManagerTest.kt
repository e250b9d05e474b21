package leasehold

import java.nio.file.Files
import java.nio.file.Path
import java.time.Duration as JavaDuration
import java.util.UUID
import kotlin.io.path.readLines
import kotlin.io.path.writeText
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** Locks by name from one configuration. The rules are shown in core/tests/manager. */
internal class ManagerTest {
    @TempDir
    lateinit var folder: Path

    private val local get() = "sqlite://$folder/locks.db"

    private fun toml() = """
        [stores.main]
        url = "memory://${UUID.randomUUID()}"
        [stores.local]
        url = "$local"

        [defaults]
        store = "main"
        ttl = "20s"
        note = "by default"

        [prefix."report:"]
        store = "local"
        wait = "none"

        [name."workers"]
        kind = "semaphore"
        capacity = 3
        [name."prices"]
        kind = "rwlock"

        [permissions]
        evict = true
    """

    private fun test(body: suspend (Manager) -> Unit) = runBlocking {
        val manager = Manager.fromToml(toml())
        body(manager)
        assertTrue(manager.shutdown(5.seconds))
    }

    @Test
    fun `the configuration says what a name is`() = test { manager ->
        manager.lock("a").withLock { lease ->
            assertTrue(lease.remaining <= 20.seconds)
            assertTrue(manager.isLocked("a"))
            val holder = assertNotNull(manager.holder("a"))
            assertEquals(lease.fence, holder.fence)
            val expected = listOf("kotlin", "by default", ProcessHandle.current().pid())
            assertEquals(expected, holder.who.run { listOf(language, note, pid) })
        }
        assertNull(manager.holder("a"))
        manager.lock("report:1", ttl = 5.seconds, note = "said here").withLock { lease ->
            assertTrue(lease.remaining <= 5.seconds)
            assertFailsWith<LockTimeoutException> { manager.lock("report:1").acquire() }
            // In the other store, by its plain name.
            val held = assertNotNull(Leasehold.connect(local).inspect("report:1").holder)
            assertEquals(lease.fence to "said here", held.fence to held.who.note)
            assertEquals(listOf("local" to "report:1"), manager.list().map { it.store to it.lock.name })
        }
        val readers = List(2) { manager.rwlock("prices").read().acquire() }
        assertNull(manager.rwlock("prices").write().tryAcquire())
        val slots = manager.semaphore("workers")
        assertEquals(3, slots.capacity)
        val all = slots.permits(3).acquire()
        slots.resize(4)
        slots.permits().withLock { }
        (readers + all).forEach { it.release() }
        assertFailsWith<InvalidInputException> { manager.lock("workers") }
        assertFailsWith<InvalidInputException> { manager.semaphore("a") }
        assertFailsWith<InvalidInputException> { Leasehold.connect("memory://").acquireAll(listOf(manager.lock("a"))) }
    }

    @Test
    fun `a lock is taken away`() = test { manager ->
        val lease = manager.lock("a").acquire()
        coroutineScope {
            val heard = async { lease.askedBack.first() }
            val revoked = manager.revoke("a", "now", 100.milliseconds)
            assertEquals("now", heard.await().why)
            assertEquals(ReturnState.EVICTED to lease.fence, revoked.state to revoked.fence)
        }
        assertFailsWith<LockLostException> { lease.extend(20.seconds) }
        val other = manager.lock("a").acquire()
        assertNull(manager.evict("a", "now", lease.fence))
        assertEquals(ReturnState.STILL_HELD, manager.askBack("a", "now", 20.milliseconds).state)
        assertEquals(other.fence, manager.evict("a", "now"))
        other.release()
    }

    @Test
    fun `what is not permitted is refused and told`() = runBlocking {
        val audit = folder.resolve("audit.jsonl")
        val manager = Manager.fromToml("stores.main.url = \"memory://\"", audit = audit)
        manager.lock("a").withLock { lease ->
            assertFailsWith<UnsupportedException> { manager.evict("a", "now") }
            assertFailsWith<UnsupportedException> { manager.revoke("a", "now", 20.milliseconds) }
            assertTrue(lease.isHeld)
        }
        assertEquals(2, audit.readLines().count { "refused" in it })
    }

    @Test
    fun `what is wrong is named, without a secret`() {
        val stores = "stores.m.url = \"memory://\"\n"
        for ((text, part) in listOf(
            "" to "no store",
            "$stores nmae.x = 1" to "nmae",
            "stores.m.url = \"redis://u:canary@host:port\"" to "store",
            "$stores defaults.store = \"redis://u:canary@host\"" to "no store",
        )) {
            val error = assertFailsWith<InvalidInputException> { Manager.fromToml(text) }
            assertContains(assertNotNull(error.message), part)
            assertTrue("canary" !in "$error")
        }
        val path = folder.resolve("locks.toml")
        assertFailsWith<StoreFailedException> { Manager.fromFile(path) }
        path.writeText("stores = 1\n")
        assertContains("${assertFailsWith<InvalidInputException> { Manager.fromFile(path) }}", "line 1")
    }

    @Test
    fun `usage and health`() = runBlocking {
        val nowhere = Files.createFile(folder.resolve("file"))
        val manager = Manager.fromToml(
            "stores.good.url = \"memory://\"\nstores.bad.url = \"sqlite://$nowhere/locks.db\"\ndefaults.store = \"good\"",
        )
        assertNull(manager.usage("a"))
        val lease = manager.lock("a").acquire()
        val usage = assertNotNull(manager.usage("a"))
        assertEquals(1L to 0L, usage.held to usage.waiting)
        assertNotNull(usage.lastUsed)
        assertEquals(listOf("a"), manager.usages().map { it.name })
        val (bad, good) = manager.health()
        assertEquals("bad" to "good", bad.store to good.store)
        assertIs<LockException>(bad.error)
        assertTrue(!bad.isReachable && good.isReachable)
        assertEquals(1L to 0L, good.held to good.waiting)
        lease.release()
        Unit
    }

    @Test
    fun `by calls that block`() {
        Manager.fromToml(toml()).blocking().use { manager ->
            val lock = manager.lock("a", LockOptions().note("said here"))
            manager.withLock(lock) { lease ->
                assertTrue(lease.remaining <= JavaDuration.ofSeconds(20))
                assertEquals("said here", manager.holder("a")?.who?.note)
                assertNull(manager.tryAcquire(manager.lock("a")))
                assertEquals(ReturnState.STILL_HELD, manager.askBack("a", "now", JavaDuration.ofMillis(20)).state)
                assertEquals(listOf("a"), manager.list().map { it.lock.name })
            }
            val slots = manager.semaphore("workers")
            manager.acquire(slots.permits(3)).use {
                assertTrue(manager.resize(slots, 4) > 0)
                assertNotNull(manager.tryAcquire(slots.permits())).close()
            }
            assertTrue(!manager.isLocked("a"))
            assertNull(manager.evict("a", "none"))
            assertEquals(ReturnState.NOT_HELD, manager.revoke("a", "none", JavaDuration.ofMillis(20)).state)
            assertEquals(listOf("local", "main"), manager.health().map { it.store })
            assertEquals(emptyList(), manager.usages().filter { it.held > 0 })
        }
    }
}
