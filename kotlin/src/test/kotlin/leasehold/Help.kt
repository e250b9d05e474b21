/**
 * What the tests share: a place of its own on each store, a real Redis behind a network that fails on
 * command, child processes, and the one bounded wait.
 */
package leasehold

import java.io.File
import java.nio.file.Files
import java.nio.file.Path
import java.util.UUID
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
import kotlin.random.Random
import kotlin.test.fail
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import org.junit.jupiter.api.Assumptions.assumeTrue

/** Beyond it something hangs. Never a measure: the machine may be slow and busy. */
internal val PATIENCE: Duration = 60.seconds

/** The repository. Maven runs the tests in the package's folder. */
internal val REPOSITORY: Path = Path.of("..").toRealPath()

/** What cargo has built. */
internal val TARGET: String = System.getenv("CARGO_TARGET_DIR") ?: "$REPOSITORY/target"

internal fun required(name: String): Boolean =
    name in System.getenv("REQUIRE").orEmpty().split(' ', ',')

/** A Redis of our own, and the testkit's fault proxy before it (testkit/src/bin/redis.rs). */
internal class Redis private constructor(private val child: Process, urls: String) {
    /** Through the proxy. */
    val url: String = urls.split(' ')[0]

    /** Not through the proxy. */
    val direct: String = urls.split(' ')[1]

    /** Tells it something and waits until that is done. */
    @Synchronized
    fun tell(command: String): String {
        child.outputWriter().apply { appendLine(command) }.flush()
        val answer = child.inputReader().readLine() ?: fail("the server has ended")
        check(!answer.startsWith("error ")) { answer }
        return answer
    }

    suspend fun say(command: String): String = withContext(Dispatchers.IO) { tell(command) }

    companion object {
        /** One for all tests; or why there is none. It ends with its standard input, and so with us. */
        private val found: Result<Redis> by lazy { runCatching { start() } }

        private fun start(): Redis {
            val child = testkit("redis")
            val (word, rest) = child.inputReader().readLine().orEmpty().let { it.substringBefore(' ') to it.substringAfter(' ') }
            check(word == "ready") { rest }
            return Redis(child, rest)
        }

        /** The server; without it the test is ignored, or fails where REQUIRE names it. */
        fun get(): Redis = available("redis", found)
    }
}

/** A program of the testkit's, which ends with its standard input. */
internal fun testkit(vararg command: String): Process {
    val program = File("$TARGET/debug/${command[0]}")
    check(program.exists()) { "$program is missing: cargo build -p leasehold-testkit --bins" }
    val all = listOf(program.path) + command.drop(1)
    return ProcessBuilder(all).redirectError(ProcessBuilder.Redirect.INHERIT).start()
}

/** What was [found]; without it the test is ignored, or fails where REQUIRE names it. */
internal fun <T> available(name: String, found: Result<T>): T {
    val why = found.exceptionOrNull()
    check(why == null || !required(name)) { "REQUIRE names $name, which can't be had: $why" }
    assumeTrue(why == null) { why.toString() }
    return found.getOrThrow()
}

/** A store that tests run on. */
internal enum class Store {
    MEMORY, SQLITE, REDIS;

    /** A place of its own, on each call. */
    fun url(): String = when (this) {
        MEMORY -> "memory://${UUID.randomUUID()}"
        SQLITE -> "sqlite://${folder()}/locks.db"
        REDIS -> "${Redis.get().direct}?prefix=${UUID.randomUUID()}:"
    }

    fun test(body: suspend (Client) -> Unit) {
        val client = Leasehold.connect(url())
        try {
            runBlocking(Dispatchers.Default) { body(client) }
        } finally {
            runBlocking { client.shutdown(5.seconds) }
        }
    }
}

private val folders = mutableListOf<Path>().also { all ->
    Runtime.getRuntime().addShutdownHook(thread(start = false) { all.forEach { it.toFile().deleteRecursively() } })
}

/** A folder of the test's own, removed at the end. */
internal fun folder(): Path = Files.createTempDirectory("leasehold-kotlin-").also { synchronized(folders) { folders.add(it) } }

/**
 * Waits until [condition] holds. What a dropped attempt or lease leaves is cleared in the background,
 * and nothing tells when: hence the polling.
 */
internal suspend fun eventually(what: String, condition: suspend () -> Boolean) {
    val start = TimeSource.Monotonic.markNow()
    while (!condition()) {
        check(start.elapsedNow() < PATIENCE) { "never came true: $what" }
        delay(1.milliseconds)
    }
}

/** Asserts that the lock becomes free and its queue empty. The callers' ttls are far longer. */
internal suspend fun nothingLeft(client: Client, name: String) =
    eventually("lock $name free and without waiters") {
        client.inspect(name).let { it.holder == null && it.waiting == 0L }
    }

/** Waits until [count] attempts wait for the lock. */
internal suspend fun queued(client: Client, name: String, count: Long = 1) =
    eventually("$count waiters of $name") { client.inspect(name).waiting == count }

/** Numbers from a seed that is printed: SEED=… replays it. */
internal fun randomness(): Random {
    val seed = System.getenv("SEED")?.toLong() ?: Random.nextLong()
    println("SEED=$seed")
    return Random(seed)
}

/** How a program ended. */
internal data class End(val code: Int, val out: String, val err: String)

/** Starts a main function of the tests' classes in a JVM of its own. */
internal fun start(main: String, vararg arguments: String, env: Map<String, String> = emptyMap()): Process =
    java(System.getProperty("java.class.path"), main, *arguments, env = env)

/** Starts a main function of the classes in [classPath]. */
internal fun java(
    classPath: String,
    main: String,
    vararg arguments: String,
    options: List<String> = emptyList(),
    env: Map<String, String> = emptyMap(),
): Process {
    val java = "${System.getProperty("java.home")}/bin/java"
    val all = listOf(java, "-XX:TieredStopAtLevel=1") + options + listOf("-cp", classPath, main) + arguments
    return ProcessBuilder(all).apply { environment().putAll(env) }.start()
}

/** Runs one to its end; it is never left behind. */
internal fun run(main: String, vararg arguments: String, env: Map<String, String> = emptyMap()): End =
    ended(start(main, *arguments, env = env), main)

/** The end of [child], which never outlives this. */
internal fun ended(child: Process, what: String): End {
    try {
        child.outputStream.close()
        var err = ""
        val reader = thread { err = child.errorReader().readText() }
        val out = child.inputReader().readText()
        check(child.waitFor(PATIENCE.inWholeSeconds, TimeUnit.SECONDS)) { "$what hangs" }
        reader.join()
        return End(child.exitValue(), out, err)
    } finally {
        child.destroyForcibly()
    }
}
