package leasehold

import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.CsvSource

/** The programs of the README, which are First.kt, First.java and Tour.kt, run as they stand. */
internal class ReadmeTest {
    @ParameterizedTest
    @CsvSource("FirstKt,First.kt,kotlin", "First,First.java,java")
    fun `a program runs`(main: String, file: String, language: String) {
        val url = Store.SQLITE.url()
        val end = played(main, file, language, url)
        val fence = assertTrue(end.out.lines().size == 2, end.out).let { end.out.trim().substringAfterLast(' ').toLong() }
        runBlocking {
            val client = Leasehold.connect(url)
            nothingLeft(client, "invoice:42")
            client.withLock("invoice:42") { assertTrue(it.fence > fence) }
            client.shutdown()
        }
    }

    @Test
    fun `the tour runs`() {
        val end = played("TourKt", "Tour.kt", "kotlin", Store.SQLITE.url())
        val (fences, leads, inside) = end.out.lines()
        assertContains(fences, Regex("""\[\d+, \d+]"""))
        assertEquals("10.0.0.7:5432 leads" to "all are in", leads to inside)
    }

    /** The end of a program that the README shows. */
    private fun played(main: String, file: String, language: String, url: String): End {
        val program = REPOSITORY.resolve("kotlin/src/test/$language/$file").toFile().readText()
        assertContains(REPOSITORY.resolve("kotlin/README.md").toFile().readText(), program, message = file)
        return run(main, env = mapOf("LEASEHOLD_URL" to url)).also { assertEquals(0 to "", it.code to it.err) }
    }
}
