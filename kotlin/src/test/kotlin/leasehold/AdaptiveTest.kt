package leasehold

import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource

/** A ttl from a lock's history. Its numbers are shown in core/src/recipes; here it is what Kotlin makes of them. */
internal class AdaptiveTest {
    @ParameterizedTest
    @EnumSource
    fun `it follows what is taken`(store: Store) = store.test { client ->
        val reports = AdaptiveTtl()
        assertEquals(30.seconds to 0, reports.choose().let { it.ttl to it.holds })
        assertContains(reports.choose().words, "says nothing yet")
        val report = reports.adapt(client.lock("report", ttl = 1.hours, note = "a report"))
        repeat(5) {
            report.withLock { lease ->
                assertTrue(lease.remaining > 25.seconds && lease.remaining <= 30.seconds, "${lease.remaining}")
                assertEquals("a report", client.inspect("report").holder?.who?.note)
            }
        }
        val choice = reports.choose()
        assertEquals(Triple(1.seconds, 1.seconds, 5), Triple(choice.ttl, choice.wait, choice.holds))
        assertTrue(choice.hold in 0.seconds..1.seconds)
        val lease = report.acquire()
        assertTrue(lease.remaining > 0.seconds && lease.remaining <= 1.seconds, "${lease.remaining}")
        assertEquals(5, reports.choose().holds)
        lease.release()
        assertEquals(ReleaseState.REPEATED, lease.release())
        assertEquals(6, reports.choose().holds)
        assertEquals("<AdaptedLock \"report\">", "$report")
        assertEquals("<AdaptiveTtl: ${reports.choose().words}>", "$reports")
        nothingLeft(client, "report")
    }

    @ParameterizedTest
    @EnumSource
    fun `the chosen wait runs out, and a cancelled one leaves nothing`(store: Store) = store.test { client ->
        val reports = AdaptiveTtl()
        repeat(10) {
            reports.waited(0.seconds)
            reports.held(4.seconds)
        }
        assertTrue((reports.choose().ttl - 6.seconds).absoluteValue < 1.milliseconds)
        assertEquals(0.0, reports.choose().load)
        val report = reports.adapt(client.lock("report"))
        client.withLock("report") {
            assertFailsWith<LockTimeoutException> { report.acquire() }
            coroutineScope {
                val waiter = launch(Dispatchers.Default, CoroutineStart.UNDISPATCHED) { report.acquire() }
                queued(client, "report")
                waiter.cancelAndJoin()
            }
        }
        assertTrue(reports.choose().load > 0)
        nothingLeft(client, "report")
    }

    @Test
    fun `what is wrong is said`() {
        val reports = AdaptiveTtl()
        assertFailsWith<InvalidInputException> { reports.held((-1).seconds) }
        assertFailsWith<InvalidInputException> { reports.waited((-1).seconds) }
        assertEquals(0, reports.choose().holds)
    }

    @Test
    fun `a manager's lock has a history, too`() {
        val reports = AdaptiveTtl()
        val manager = Manager.fromToml("[stores]\nmain = { url = \"memory://\" }\n[defaults]\nstore = \"main\"\n")
        reports.adapt(manager.lock("a")).blocking().acquire().close()
        manager.blocking().close()
        assertEquals(1, reports.choose().holds)
    }
}
