package leasehold

import java.io.DataInputStream
import java.net.Socket
import java.net.URI
import java.sql.Connection
import java.sql.DriverManager
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlin.test.fail
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.runBlocking
import leasehold.guard.Column
import leasehold.guard.Dialect
import leasehold.guard.Fence
import leasehold.guard.Gate
import leasehold.guard.HttpGuard
import leasehold.guard.RedisGuard
import leasehold.guard.Style
import leasehold.guard.Table
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource

/**
 * Guards refuse what a holder writes after its time, on real databases and a real Redis. Their rules are shown in
 * core/tests; here it is what Kotlin makes of them. In Java: BlockingTest.
 */
internal class GuardTest {
    private val newest = (1L shl 53) - 1

    private fun superseded(fence: Long, write: () -> Unit) {
        val error = assertFailsWith<LockLostException> { write() }
        assertEquals(LostReason.SUPERSEDED, error.reason)
        assertContains(error.message.orEmpty(), "$fence")
    }

    private fun Connection.run(sql: String): Int = createStatement().use { it.executeUpdate(sql) }

    private fun Connection.numbers(sql: String): List<Long> = createStatement().use { statement ->
        statement.executeQuery(sql).use { rows -> generateSequence { if (rows.next()) rows.getLong(1) else null }.toList() }
    }

    @ParameterizedTest
    @EnumSource
    fun `an older holder is kept out, and then refused`(database: Database): Unit = database.connect().use { first ->
        val second = database.connect()
        val fences = Table("fences", database.dialect)
        repeat(2) { fences.create(first) }
        first.run("CREATE TABLE log (fence BIGINT)")
        assertFailsWith<InvalidInputException> { fences.admit(first, "the log", 7) }
        listOf(first, second).forEach { it.autoCommit = false }
        fun append(connection: Connection, fence: Long) {
            try {
                fences.admit(connection, "the log", fence)
                connection.run("INSERT INTO log VALUES ($fence)")
                connection.commit()
            } catch (error: Exception) {
                connection.rollback()
                throw error
            }
        }
        append(first, 7)
        append(first, 7)
        append(second, 9)
        append(second, 9)
        superseded(8) { append(first, 8) }
        // The newer one has the row; the older one asks while it does.
        fences.admit(second, "the log", newest)
        runBlocking {
            val late = async(Dispatchers.IO) { runCatching { append(first, newest - 1) } }
            second.run("INSERT INTO log VALUES (11)")
            second.commit()
            superseded(newest - 1) { runBlocking { late.await().getOrThrow() } }
        }
        assertEquals(listOf(7L, 7, 9, 9, 11), first.numbers("SELECT fence FROM log ORDER BY fence"))
        fences.forget(first, "the log")
        append(first, 1)
        second.close()
    }

    @ParameterizedTest
    @EnumSource
    fun `a row with a column of its own`(database: Database): Unit = database.connect().use { connection ->
        val fence = Column("fence", database.dialect)
        connection.run("CREATE TABLE account (balance INT, ${fence.define})")
        connection.run("INSERT INTO account (balance) VALUES (100)")
        val update = "UPDATE account SET balance = 70, ${fence.set} WHERE ${fence.andWhere}"
        val changed = listOf(7L, 7, 6, 8).map { value ->
            connection.prepareStatement(update).use { statement ->
                statement.setLong(1, value)
                statement.setLong(2, value)
                statement.executeUpdate()
            }
        }
        assertEquals(listOf(1, 1, 0, 1), changed)
    }

    @Test
    fun `a dialect and each driver's parameters`() {
        for ((style, resource, fence) in listOf(
            Triple(Style.QMARK, "?", "?"),
            Triple(Style.DOLLAR, "$1", "$2"),
            Triple(Style.NAMED, ":resource", ":fence"),
        )) {
            val table = Table("f", Dialect.SQLITE, style)
            assertContains(table.admitSql.single(), "VALUES ($resource, $fence)")
            assertEquals("DELETE FROM f WHERE resource = $resource", table.forgetSql)
        }
        assertEquals(2, Table("f", Dialect.MYSQL).admitSql.size)
        assertContains("${Table("f", Dialect.SQLITE)}", "<Table: CREATE TABLE IF NOT EXISTS f ")
        assertEquals("fence <= $3", Column("fence", Dialect.POSTGRESQL, "$3").andWhere)
    }

    @Test
    fun `a gate in this process`() {
        val gate = Gate()
        listOf(7, 7, 9, newest).forEach { gate.admit("a", it) }
        gate.admit("b", 1)
        superseded(newest - 1) { gate.admit("a", newest - 1) }
        gate.forget("a")
        gate.admit("a", 0)
    }

    @Test
    fun `the header`() = Store.MEMORY.test { client ->
        assertEquals("Leasehold-Fence" to 412, HttpGuard.header to HttpGuard.staleStatus)
        client.withLock("größe 1;2") { lease ->
            val value = HttpGuard.value(lease)
            assertTrue(value.all { it in ' '..'~' } && value.count { it == ';' } == 1, value)
            assertEquals(Fence("größe 1;2", lease.fence), HttpGuard.read(value))
        }
    }

    @Test
    fun `what is wrong is said`() {
        for (wrong in listOf<() -> Any>(
            { Table("a; DROP TABLE b", Dialect.SQLITE) },
            { Column("a b", Dialect.MYSQL) },
            { HttpGuard.read("7") },
            { HttpGuard.read("9007199254740992; lock=a") },
            { Gate().admit("a", -1) },
            { Gate().admit("a", newest + 1) },
            { Gate().admit("\uD800", 1) },
            { RedisGuard.arguments(-1, "PING") },
        )) {
            assertFailsWith<InvalidInputException> { wrong() }
        }
    }

    @Test
    fun `a Redis command with a fence`() {
        val where = URI(Redis.get().direct)
        Socket(where.host, where.port).use { socket ->
            val answers = DataInputStream(socket.getInputStream())
            fun ask(words: List<String>): String {
                val sent = words.joinToString("", "*${words.size}\r\n") { "$${it.toByteArray().size}\r\n$it\r\n" }
                socket.getOutputStream().write(sent.toByteArray())
                @Suppress("DEPRECATION")
                val line = answers.readLine()
                return when (line[0]) {
                    '-' -> throw IllegalStateException(line.drop(1))
                    '$' -> String(answers.readNBytes(line.drop(1).toInt() + 2)).trim()
                    else -> line.drop(1)
                }
            }
            fun guarded(fence: Long, vararg command: String): String {
                val keys = RedisGuard.keys("{stock}:fence", "{stock}:left")
                return ask(listOf("EVAL", RedisGuard.script, "${keys.size}") + keys + RedisGuard.arguments(fence, *command))
            }
            fun sell(fence: Long) = guarded(fence, "DECRBY", "{stock}:left", "1")
            ask(listOf("SET", "{stock}:left", "10"))
            assertEquals(listOf("9", "8", "7"), listOf(7, 7, newest).map(::sell))
            assertTrue(RedisGuard.refused(assertFailsWith<IllegalStateException> { sell(newest - 1) }))
            assertEquals("7", ask(listOf("GET", "{stock}:left")))
            assertEquals("$newest", ask(listOf("GET", "{stock}:fence")))
            // Another error is none of the fence's.
            assertFalse(RedisGuard.refused(assertFailsWith<IllegalStateException> { guarded(newest, "NOSUCH") }))
        }
    }
}

/** A database of our own (testkit/src/bin/database.rs). */
internal enum class Database(val dialect: Dialect, private val options: String) {
    POSTGRESQL(Dialect.POSTGRESQL, ""),
    MARIADB(Dialect.MYSQL, "?sslMode=disable");

    /** One for all tests; or why there is none. It ends with its standard input, and so with us. */
    private val found: Result<URI> by lazy { runCatching { start() } }

    private fun start(): URI {
        val name = name.lowercase()
        val line = testkit("database", name).inputReader().readLine() ?: fail("$name has ended")
        check(line.startsWith("ready ")) { line.removePrefix("absent ") }
        return URI(line.removePrefix("ready "))
    }

    /** A connection; without the server the test is ignored, or fails where REQUIRE names it. */
    fun connect(): Connection {
        val name = name.lowercase()
        val url = available(name, found)
        return DriverManager.getConnection("jdbc:$name://${url.host}:${url.port}${url.path}$options", url.userInfo, "")
    }
}
