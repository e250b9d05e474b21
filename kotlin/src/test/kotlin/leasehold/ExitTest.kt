package leasehold

import kotlin.test.assertEquals
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource

/**
 * The end of a JVM: whatever is held or under way, it ends soon, quietly, and leaves nothing locked.
 *
 * The ttls are an hour: what is free afterwards was given back.
 */
internal class ExitTest {
    @ParameterizedTest
    @EnumSource(names = ["SQLITE", "REDIS"])
    fun `nothing stays locked`(store: Store) {
        for ((way, code) in listOf("kept" to 0, "exit" to 3, "waiter" to 4, "thrown" to 1)) {
            val url = store.url()
            val end = run("leasehold.TestExitKt", url, way)
            assertEquals(code, end.code, "$way: $end")
            assertEquals(way == "thrown", "mine" in end.err, end.err)
            runBlocking {
                val client = Leasehold.connect(url)
                nothingLeft(client, "a")
                assertEquals(emptyList(), client.list())
                client.shutdown()
            }
        }
    }
}
