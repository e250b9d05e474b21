package leasehold

import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.CsvSource

/** The programs of the READMEs, which are First.kt and First.java, run as they stand. */
internal class ReadmeTest {
    @ParameterizedTest
    @CsvSource("FirstKt,First.kt,kotlin", "First,First.java,java")
    fun `a program runs`(main: String, file: String, language: String) {
        val program = REPOSITORY.resolve("kotlin/src/test/$language/$file").toFile().readText()
        assertContains(REPOSITORY.resolve("kotlin/README.md").toFile().readText(), program, message = file)
        val url = Store.SQLITE.url()
        val end = run(main, env = mapOf("LEASEHOLD_URL" to url))
        assertEquals(0 to "", end.code to end.err)
        val fence = assertTrue(end.out.lines().size == 2, end.out).let { end.out.trim().substringAfterLast(' ').toLong() }
        runBlocking {
            val client = Leasehold.connect(url)
            nothingLeft(client, "invoice:42")
            client.withLock("invoice:42") { assertTrue(it.fence > fence) }
            client.shutdown()
        }
    }
}
