package leasehold

import java.math.BigInteger
import java.nio.file.Files
import kotlin.reflect.KClass
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.days
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.nanoseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.runBlocking
import leasehold.internal.Process
import org.junit.jupiter.api.DynamicContainer
import org.junit.jupiter.api.DynamicContainer.dynamicContainer
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource

/** Bad input: a typed error that names it, and nothing left in the store. */
internal class InputsTest {
    private class Bad(val what: String, val says: String, val take: suspend (Client) -> Any?)

    /** What the types let through. */
    private val table = listOf(
        Bad("ttl 0", "ttl is 0") { it.lock("a", ttl = Duration.ZERO).acquire() },
        Bad("ttl -1", "ttl is -1s") { it.lock("a", ttl = (-1).seconds).acquire() },
        Bad("ttl infinite", "ttl is Infinity") { it.lock("a", ttl = Duration.INFINITE).acquire() },
        Bad("ttl -infinite", "ttl is -Infinity") { it.lock("a", ttl = -Duration.INFINITE).acquire() },
        Bad("ttl 2^63 s", "ttl is ") { it.lock("a", ttl = Long.MAX_VALUE.seconds).acquire() },
        Bad("ttl 9 ms", "ttl is 9ms") { it.lock("a", ttl = 9.milliseconds).acquire() },
        Bad("ttl 1 ns", "ttl is 1ns") { it.lock("a", ttl = 1.nanoseconds).acquire() },
        Bad("ttl 366 days", "365 days") { it.lock("a", ttl = 366.days).acquire() },
        Bad("ttl of a try", "ttl is 0") { it.lock("a", ttl = Duration.ZERO).tryAcquire() },
        Bad("ttl of a body", "ttl is 0") { it.withLock("a", ttl = Duration.ZERO) {} },
        Bad("wait -1", "wait is -1s") { it.lock("a", wait = (-1).seconds).acquire() },
        Bad("wait -infinite", "wait is -Infinity") { it.lock("a", wait = -Duration.INFINITE).acquire() },
        Bad("maxHold 0", "max_hold is 0") { it.lock("a", maxHold = Duration.ZERO).acquire() },
        Bad("maxHold -1", "maxHold is -1s") { it.lock("a", maxHold = (-1).seconds).acquire() },
        Bad("maxHold infinite", "maxHold is Infinity") { it.lock("a", maxHold = Duration.INFINITE).acquire() },
        Bad("owner -1", "128 bits") { Owner(-BigInteger.ONE) },
        Bad("owner 2^128", "128 bits") { Owner(BigInteger.ONE.shiftLeft(128)) },
        Bad("note of 257", "257") { it.lock("a", note = "x".repeat(257)).acquire() },
        Bad("note surrogate", "note") { it.lock("a", note = "\ud800").acquire() },
        Bad("name empty", "lock name is empty") { it.lock("").acquire() },
        Bad("name 64K", "65536 bytes") { it.lock("n".repeat(65536)).acquire() },
        Bad("name 1025", "1025 bytes") { it.lock("é".repeat(512) + "x").acquire() },
        Bad("name surrogate", "index 1") { it.lock("a\ud800b").acquire() },
        Bad("name low", "lone surrogate") { it.lock("\udfff").tryAcquire() },
        Bad("permits 0", "permits") { it.semaphore("a", 10).permits(0).acquire() },
        Bad("permits -1", "permits is -1") { it.semaphore("a", 10).permits(-1).acquire() },
        Bad("permits of fewer", "11") { it.semaphore("a", 10).permits(11).acquire() },
        Bad("capacity 0", "0") { it.semaphore("a", 0).permits().acquire() },
        Bad("capacity -1", "capacity is -1") { it.semaphore("a", -1).permits().acquire() },
        Bad("rwlock empty", "lock name is empty") { it.rwlock("").read().acquire() },
        Bad("inspect empty", "lock name is empty") { it.inspect("") },
        Bad("inspect surrogate", "lone surrogate") { it.isLocked("\udc80") },
        Bad("evict empty", "lock name is empty") { it.evict("", "a test") },
        Bad("evict why", "why") { it.evict("a", "\udc80") },
        Bad("evict fence", "fence is -1") { it.evict("a", "a test", fence = -1) },
        Bad("list after", "after") { it.list(after = "\udc80") },
        Bad("list prefix", "prefix") { it.list("\udc80") },
        Bad("list limit", "limit is -1") { it.list(limit = -1) },
        Bad("shutdown grace", "grace is -1s") { it.shutdown((-1).seconds) },
    )

    @TestFactory
    fun `bad values`(): List<DynamicContainer> = Store.entries.map { store ->
        dynamicContainer(
            store.name.lowercase(),
            table.map { bad ->
                dynamicTest(bad.what) {
                    store.test { client ->
                        refused(InvalidInputException::class, bad.says) { bad.take(client) }
                        assertEquals(emptyList(), client.list())
                    }
                }
            },
        )
    }

    @ParameterizedTest
    @EnumSource
    fun `bad values of a lease`(store: Store) = store.test { client ->
        val lease = client.lock("a").acquire()
        refused(InvalidInputException::class, "-1s") { lease.check((-1).seconds) }
        for (ttl in listOf((-1).seconds, Duration.INFINITE, Duration.ZERO, 5.milliseconds, 366.days)) {
            refused(InvalidInputException::class, "ttl is ") { lease.extend(ttl) }
        }
        assertTrue(lease.isHeld)
    }

    @ParameterizedTest
    @EnumSource
    fun `odd names are names`(store: Store) = store.test { client ->
        val odd = listOf("\u0000", "a\nb\r\n", "é".repeat(512), "x".repeat(1024), "🔒", "e\u0301")
        for (name in odd + listOf("{a}:*?[]'\"\\%", " ", "/../..", "\$a", "__proto__")) {
            client.withLock(name, note = name.take(40)) { lease ->
                assertEquals(name, lease.name)
                assertEquals(name, client.inspect(name).name)
                assertEquals(listOf(name), client.list(name).map { it.name })
                assertNull(client.lock(name).tryAcquire())
            }
        }
        assertEquals(emptyList(), client.list())
    }

    @ParameterizedTest
    @EnumSource
    fun `names that look alike are two locks`(store: Store) = store.test { client ->
        val leases = listOf("é", "e\u0301", "a", "a\u0000").map { assertNotNull(client.lock(it).tryAcquire()) }
        assertEquals(leases.size, client.list().size)
    }

    @TestFactory
    fun `bad URLs`(): List<DynamicTest> = listOf(
        "" to "not a store URL",
        "locks.db" to "locks.db",
        "ftp://host" to "unknown scheme \"ftp\"",
        "sqlite://" to "path is missing",
        "sqlite://host/x.db" to "host has no place",
        "sqlite:///x.db?mode=ro" to "no parameters",
        "sqlite:///a%00b" to "NUL",
        "memory://a/b" to "memory",
        "redis://" to "no host",
        "etcd://host" to "etcd",
        "sqlite:///\udc80" to "lone surrogate",
    ).map { (url, says) ->
        val kind = if (url.startsWith("etcd")) UnsupportedException::class else InvalidInputException::class
        dynamicTest(shown(url)) { runBlocking { refused(kind, says) { Leasehold.connect(url) } } }
    }

    @Test
    fun `no password in an error`() {
        val error = assertFailsWith<InvalidInputException> { Leasehold.connect("redis://user:canary@/") }
        assertFalse("canary" in error.stackTraceToString())
    }

    @Test
    fun `files that are no databases`() {
        val text = folder().resolve("text")
        Files.writeString(text, "this is not a database, and long enough to be read as one: ".repeat(20))
        for (none in listOf(folder(), text)) {
            runBlocking {
                refused(StoreFailedException::class, "$none") { Leasehold.connect("sqlite://$none").lock("a").acquire() }
            }
        }
    }

    /** The class of the error is that of its code, and the code is one of the library's. */
    private suspend fun refused(kind: KClass<out LockException>, says: String, take: suspend () -> Any?) {
        val error = assertFailsWith(kind) { take() }
        val message = error.message.orEmpty()
        assertTrue(says in message, message)
        assertFalse('\n' in message, "one line")
        assertTrue(error.code in Process().errorCodes(), error.code)
        assertEquals(kind, BY_CODE.getValue(error.code)("m", Details())::class)
    }
}
