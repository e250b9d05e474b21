package leasehold

import java.nio.file.Files
import kotlin.test.assertEquals
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.runBlocking
import leasehold.internal.Failure
import leasehold.internal.Process
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** Every code of the library has a class, and each says what it should. */
internal class ErrorsTest {
    private val codes = run { ready(); Process().errorCodes() }

    @Test
    fun `every code of the core has a class of its own`() {
        assertEquals(codes.sorted(), BY_CODE.keys.sorted())
        val classes = BY_CODE.map { (code, make) ->
            val error = make("what was wrong", Details())
            assertEquals(code, error.code)
            assertEquals("what was wrong", error.message)
            // CANCELLED becomes CancelledException, but LOCK_TIMEOUT LockTimeoutException.
            val name = code.split('_').joinToString("") { it.lowercase().replaceFirstChar(Char::uppercase) }
            assertEquals("${name}Exception", error.javaClass.simpleName)
            error.javaClass
        }
        assertEquals(codes.size, classes.toSet().size)
    }

    @Test
    fun `every reason for a loss is known`() {
        assertEquals(Process().lostReasons().sorted(), LostReason.entries.map { it.code }.sorted())
    }

    @Test
    fun `an error of each code carries the core's message, causes and word on a retry`() {
        for (code in codes) {
            val failure = Failure.Told(code, "m", "expired", emptyList(), listOf("the near one", "the far one"))
            val error = fromFailure(failure, "a")
            assertEquals(code, error.code)
            assertEquals(listOf("m", LostReason.EXPIRED, "a"), listOf(error.message, error.reason, error.lock))
            val retryable = code in setOf("LOCK_TIMEOUT", "QUEUE_FULL", "CANCELLED", "STORE_UNAVAILABLE")
            assertEquals(retryable, error.retryable, code)
            assertEquals("the near one", error.cause?.message)
            assertEquals("the far one", error.cause?.cause?.message)
            assertNull(error.cause?.cause?.cause)
        }
    }

    @Test
    fun `a forked lease is a lost one, and a cancelled attempt ends no coroutine`() {
        assertIs<LockLostException>(ForkedException("m", Details()))
        assertTrue((CancelledException("m", Details()) as Throwable) !is CancellationException)
    }

    @Test
    fun `causes are chained, and the caller is in the stack`() {
        val blocked = folder().resolve("file")
        Files.writeString(blocked, "not a folder")
        val error = assertThrows<StoreFailedException> {
            runBlocking { Leasehold.connect("sqlite://$blocked/locks.db").ping() }
        }
        assertTrue(blocked.toString() in error.message.orEmpty(), error.message)
        assertNotNull(error.cause)
        val direct = assertThrows<InvalidInputException> { Leasehold.connect("nonsense") }
        assertTrue(direct.stackTrace.any { it.className == javaClass.name })
    }
}
