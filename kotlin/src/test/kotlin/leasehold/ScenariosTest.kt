package leasehold

import java.io.File
import java.lang.ProcessBuilder.Redirect.INHERIT
import java.util.concurrent.ConcurrentHashMap
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlin.test.fail
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.ReceiveChannel
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.firstOrNull
import kotlinx.coroutines.flow.produceIn
import kotlinx.coroutines.job
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.jupiter.api.DynamicContainer
import org.junit.jupiter.api.DynamicContainer.dynamicContainer
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory

/** What every language must do alike: the scenarios of scenarios/`*`.json, on every store. */
internal class ScenariosTest {
    @TestFactory
    fun scenarios(): List<DynamicContainer> {
        val files = checkNotNull(File("$REPOSITORY/scenarios").listFiles { file -> file.name != "schema.json" }).sorted()
        check(files.isNotEmpty())
        played.parentFile.mkdirs()
        played.writeText("")
        return Store.entries.map { store ->
            dynamicContainer(store.name.lowercase(), files.flatMap { tests(it, store) })
        }
    }

    /** The file for what this run plays, from which the table in FEATURES.md is made. */
    private val played = File("$TARGET/scenarios/kotlin.tsv")

    private fun tests(file: File, store: Store) =
        Json.parseToJsonElement(file.readText()).jsonObject.getValue("scenarios").jsonArray.map { it.jsonObject }.filter {
            val stores = it["stores"]?.jsonArray?.map { store -> store.jsonPrimitive.content }
            stores == null || store.name.lowercase() in stores
        }.map { scenario ->
            val steps = scenario.getValue("steps").jsonArray.map { it.jsonObject }
            val name = scenario.getValue("name").jsonPrimitive.content
            dynamicTest(name) {
                runBlocking {
                    val runner = Runner(store)
                    try {
                        steps.forEachIndexed { index, step ->
                            try {
                                runner.step(Step(step))
                            } catch (error: Throwable) {
                                throw AssertionError("${file.name}: step ${index + 1}: $step", error)
                            }
                        }
                    } finally {
                        runner.end()
                    }
                }
                played.appendText("${file.nameWithoutExtension}\t$name\t${store.name.lowercase()}\n")
            }
        }
}

private class Step(private val json: JsonObject) {
    fun string(key: String): String? = get(key)?.jsonPrimitive?.content
    fun ms(key: String): Duration? = get(key)?.jsonPrimitive?.long?.milliseconds
    fun int(key: String): Int? = get(key)?.jsonPrimitive?.int
    fun boolean(key: String): Boolean? = get(key)?.jsonPrimitive?.boolean
    fun long(key: String): Long? = get(key)?.jsonPrimitive?.long
    fun strings(key: String): List<String> = get(key)?.jsonArray.orEmpty().map { it.jsonPrimitive.content }
    fun has(key: String): Boolean = get(key) != null
    private fun get(key: String): JsonElement? = json[key].takeUnless { it == JsonNull }
    val lock get() = string("lock").orEmpty()
    val who get() = string("who").orEmpty()
    val wait get() = ms("wait") ?: Duration.INFINITE
    val expect get() = get("expect").let { if (it is JsonArray) "${strings("expect")}" else string("expect") }
}

private class Runner(store: Store) {
    private val url = store.url()

    /** The network between the first client and the store, where it can be cut. */
    private val network = if (store == Store.REDIS) Redis.get() else null
    private val clients = listOf(network?.let { url.replace(it.direct, it.url) } ?: url, url).map { Leasehold.connect(it) }
    private val others = mutableMapOf<String, Process>()
    private val leases = ConcurrentHashMap<String, Lease>()
    private val several = ConcurrentHashMap<String, Leases>()
    private val observers = mutableMapOf<String, ReceiveChannel<Leader?>>()
    private val started = mutableMapOf<String, Deferred<String>>()
    private val asks = mutableMapOf<String, Deferred<String>>()
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val observer = clients[1]

    suspend fun step(step: Step) {
        when (val word = step.string("do")) {
            "acquire", "try" -> assertEquals(step.expect, take(step))
            // To its first suspension before the next step.
            "start" -> started[step.who] = scope.async(Dispatchers.Unconfined) { take(step) }
            "outcome" -> assertEquals(step.expect, outcome(started.getValue(step.who)))
            "cancel" -> started.getValue(step.who).cancel()
            "release" -> assertEquals(step.expect, (several[step.who]?.release() ?: lease(step).release()).name.lowercase())
            "extend" -> assertEquals(step.expect, code { lease(step).extend(step.ms("ttl") ?: Duration.ZERO) })
            "downgrade" -> assertEquals(step.expect, code { lease(step).downgrade() })
            "upgrade" -> assertEquals(step.expect, code { lease(step).upgrade() })
            "proclaim" ->
                assertEquals(step.expect, code { (lease(step) as Leadership).proclaim(step.string("value").orEmpty()) })
            "leave" -> assertEquals(step.expect, code { (lease(step) as Inside).leave(step.wait) })
            "each" -> assertEquals(step.expect, each(step))
            "observe" -> observers[step.who] = client(step).election(step.lock).observe().produceIn(scope)
            // Of several changes in a row it may be told only the last, and of more than the step names: that
            // nobody led in between.
            "change" -> withTimeout(PATIENCE) {
                while (!shows(step, observers.getValue(step.who).receive())) { }
            }
            "leader" -> assertTrue(shows(step, client(step).election(step.lock).leader()))
            "count_down" -> assertEquals(step.expect, number { latch(step).countDown(step.long("count") ?: 1) })
            "left" -> assertEquals(step.expect, number { latch(step).left() })
            "kind" -> assertEquals(step.expect, lease(step).kind.name.lowercase())
            "epoch" -> assertEquals(step.string("holder")?.let { leases.getValue(it).fence }, lease(step).epoch)
            "resize" -> {
                val slots = client(step).semaphore(step.lock, step.int("capacity") ?: 0)
                assertEquals(step.expect, code { slots.resize(step.int("permits") ?: 0) })
            }
            "ask_back" -> asks[step.who] = scope.async(Dispatchers.Unconfined) { ask(step) }
            "asked" -> assertEquals(step.string("note"), lease(step).askedBack.first().why)
            "returned" -> assertEquals(step.expect, asks.getValue(step.who).await())
            "evict" -> {
                val fence = if (step.who.isEmpty()) null else lease(step).fence
                assertEquals(step.boolean("expect"), observer.evict(step.lock, "a test", fence) != null)
            }
            "check" -> assertEquals(step.expect, code { lease(step).check(step.ms("min") ?: Duration.ZERO) })
            "held" -> assertEquals(step.boolean("expect"), several[step.who]?.isHeld ?: lease(step).isHeld)
            "lost" -> {
                val lease = several[step.who]?.all ?: lease(step)
                val event = withTimeoutOrNull(PATIENCE) { lease.events.firstOrNull() }
                assertEquals(step.expect, (event as? LeaseEvent.Lost)?.reason?.code)
                assertEquals(step.expect, lease.lostReason?.code)
            }
            "queued" -> queued(observer, step.lock, (step.int("count") ?: 1).toLong())
            "free" -> nothingLeft(observer, step.lock)
            "inspect" -> {
                val info = observer.inspect(step.lock)
                assertEquals(step.string("holder")?.let { leases.getValue(it).fence }, info.holder?.fence)
                assertEquals(step.int("waiting")?.toLong(), info.waiting)
                step.string("note")?.let { assertEquals(it, info.holder?.who?.note) }
            }
            "fences" -> {
                val fences = step.strings("order").map { leases.getValue(it).fence }
                assertEquals(fences.sorted().distinct(), fences)
            }
            "shutdown" -> client(step).shutdown(5.seconds)
            "partition" -> checkNotNull(network).say("black-hole")
            "heal" -> checkNotNull(network).say("heal")
            "process" -> others[step.who] = process(step)
            "kill" -> others.getValue(step.who).destroyForcibly().waitFor()
            "connect" -> assertEquals(step.expect, code { Leasehold.connect(step.string("url")) })
            else -> fail("$word is unknown")
        }
    }

    suspend fun end() {
        network?.say("heal")
        scope.coroutineContext.job.cancelAndJoin()
        others.values.forEach { it.destroyForcibly() }
        clients.forEach { it.shutdown(5.seconds) }
    }

    /** Another process that takes the lock, or waits for it: testkit/src/bin/holder.rs. */
    private fun process(step: Step): Process {
        val ttl = (step.ms("ttl") ?: 30.seconds).inWholeMilliseconds
        val child = ProcessBuilder("$TARGET/debug/holder", url, step.lock, "$ttl").redirectError(INHERIT).start()
        if (step.expect == "held") {
            check(child.inputReader().lineSequence().any { it.startsWith("granted") }) { "it was never granted" }
        }
        return child
    }

    private suspend fun take(step: Step): String = try {
        if (step.has("latch")) {
            latch(step).await(step.wait)
            "ok"
        } else if (step.has("locks")) {
            val locks = step.strings("locks").map { lock(step, it) }
            val leases = if (step.string("do") == "try") client(step).tryAcquireAll(locks) else client(step).acquireAll(locks, step.wait)
            leases?.let { several[step.who] = it }
            if (leases == null) "busy" else "held"
        } else {
            val lease = takeOne(step)
            lease?.let { leases[step.who] = it }
            if (lease == null) "busy" else "held"
        }
    } catch (error: LockException) {
        error.code
    }

    private suspend fun takeOne(step: Step): Lease? {
        val value = step.string("value")
        val parties = step.int("parties")
        return when {
            value != null -> {
                val election = client(step).election(step.lock, step.ms("ttl") ?: 30.seconds, step.wait)
                if (step.string("do") == "try") election.tryCampaign(value) else election.campaign(value)
            }
            parties != null -> client(step).barrier(step.lock, parties, step.ms("ttl") ?: 30.seconds).enter(step.wait)
            step.string("do") == "try" -> lock(step, step.lock).tryAcquire()
            else -> lock(step, step.lock).acquire()
        }
    }

    /** What each of several locks came to. */
    private suspend fun each(step: Step): String = try {
        val names = step.strings("locks")
        val each = client(step).tryEach(names.map { lock(step, it) })
        val words = each.zip(names) { one, name ->
            val lease = one.getOrElse { return@zip (it as LockException).code }
            lease?.let { leases["${step.who}.$name"] = it }
            if (lease == null) "busy" else "held"
        }
        "$words"
    } catch (error: LockException) {
        error.code
    }

    private suspend fun ask(step: Step): String = try {
        val grace = step.ms("wait") ?: Duration.ZERO
        client(step).askBack(step.lock, step.string("note").orEmpty(), grace).state.name.lowercase()
    } catch (error: LockException) {
        error.code
    }

    private fun shows(step: Step, leader: Leader?): Boolean {
        val holder = step.string("holder")?.let { leases.getValue(it).fence }
        return leader?.fence == holder && leader?.text == step.string("value")
    }

    private fun latch(step: Step) = client(step).latch(step.lock, checkNotNull(step.long("latch")))

    private suspend fun number(action: suspend () -> Long): String = try {
        "${action()}"
    } catch (error: LockException) {
        error.code
    }

    private fun lock(step: Step, name: String): Lock {
        val client = client(step)
        val (ttl, wait) = (step.ms("ttl") ?: 30.seconds) to step.wait
        val (renew, maxHold) = (step.boolean("renew") ?: true) to step.ms("max_hold")
        val owner = step.int("owner")?.let { Owner(it.toBigInteger()) }
        val (priority, note) = (step.int("priority") ?: 0) to step.string("note").orEmpty()
        val permits = step.int("permits")
        val rank = step.int("deadlock_priority")
        return when {
            permits != null ->
                client.semaphore(name, step.int("capacity") ?: 0, ttl, wait, renew, maxHold, owner, priority, note, rank)
                    .permits(permits)
            step.boolean("read") == true ->
                client.rwlock(name, ttl, wait, renew, maxHold, owner, priority, note, rank).read()
            else -> client.lock(name, ttl, wait, renew, maxHold, owner, priority, note, deadlockPriority = rank)
        }
    }

    private suspend fun outcome(started: Deferred<String>): String = try {
        started.await()
    } catch (_: CancellationException) {
        "cancelled"
    }

    private fun client(step: Step) = clients[(step.int("client") ?: 1) - 1]

    private fun lease(step: Step) = leases.getValue(step.who)

    private suspend fun code(action: suspend () -> Unit): String = try {
        action()
        "ok"
    } catch (error: LockException) {
        error.code
    }
}
