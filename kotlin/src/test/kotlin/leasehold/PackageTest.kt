package leasehold

import com.sun.jna.Platform
import java.io.File
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.attribute.PosixFilePermissions
import java.util.zip.ZipEntry
import java.util.zip.ZipFile
import java.util.zip.ZipOutputStream
import kotlin.io.path.createDirectories
import kotlin.io.path.listDirectoryEntries
import kotlin.io.path.name
import kotlin.io.path.readBytes
import kotlin.io.path.readText
import kotlin.io.path.writeText
import kotlin.test.assertContains
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.BeforeAll
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestInstance

/** What is installed works in an empty project, with nothing but Maven; and says so where it can't. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
internal class PackageTest {
    private val project = folder()
    private val library = "leasehold/native/${Platform.RESOURCE_PREFIX}/${System.mapLibraryName("leasehold_kotlin")}"
    private val repository = System.getProperty("maven.repo.local")

    /** The project's class path: the jar, and what it depends on. */
    private val classPath by lazy { project.resolve("classpath").readText().trim().split(File.pathSeparator) }
    private val jar by lazy { classPath.single { "leasehold-kotlin" in it } }

    /** Its own classes and the rest, with another jar in the place of ours. */
    private fun with(jar: String) =
        (listOf("$project/target/classes") + classPath.map { if (it == this.jar) jar else it }).joinToString(File.pathSeparator)

    @BeforeAll
    fun build() {
        val without = "the repository is not named: -Dmaven.repo.local=..."
        check(repository != null || !required("kotlin")) { without }
        assumeTrue(repository != null) { without }
        // What is tested is what the sources are now.
        maven(Path.of("."), "jar:jar", "install:install")
        val own = Path.of("pom.xml").readText()
        fun version(artifact: String) = own.substringAfter("<artifactId>$artifact</artifactId>").substringAfter("<version>").substringBefore("<")
        val plugins = listOf("maven-resources-plugin", "maven-compiler-plugin", "maven-dependency-plugin")
        project.resolve("pom.xml").writeText(
            """
            <project xmlns="http://maven.apache.org/POM/4.0.0">
              <modelVersion>4.0.0</modelVersion>
              <groupId>empty</groupId>
              <artifactId>empty</artifactId>
              <version>1</version>
              <properties>
                <maven.compiler.release>17</maven.compiler.release>
                <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
              </properties>
              <dependencies>
                <dependency>
                  <groupId>leasehold</groupId>
                  <artifactId>leasehold-kotlin</artifactId>
                  <version>0.1.0</version>
                </dependency>
              </dependencies>
              <build>
                <plugins>
                  ${plugins.joinToString("\n") { "<plugin><artifactId>$it</artifactId><version>${version(it)}</version></plugin>" }}
                </plugins>
              </build>
            </project>
            """.trimIndent(),
        )
        val sources = project.resolve("src/main/java").createDirectories()
        Files.copy(Path.of("src/test/java/First.java"), sources.resolve("First.java"))
        maven(project, "compile", "dependency:build-classpath", "-Dmdep.outputFile=$project/classpath", "-DincludeScope=runtime")
    }

    @Test
    fun `the jar takes a lock in an empty project`() {
        val url = Store.SQLITE.url()
        val temporary = folder()
        val end = first(jar, temporary, url)
        assertEquals(0 to "", end.code to end.err)
        assertTrue(end.out.substringAfterLast(' ').trim().toLong() > 0, end.out)
        assertEquals(emptyList(), ours(temporary), "what was unpacked is gone")
        runBlocking {
            val client = Leasehold.connect(url)
            nothingLeft(client, "invoice:42")
            client.shutdown()
        }
    }

    @Test
    fun `a copy is this user's own`() {
        val place = folder()
        val copies = List(2) { copied(java.net.URL("jar:file:$jar!/$library"), place) }
        assertEquals(2, copies.toSet().size)
        for (copy in copies) {
            assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(copy.parent)))
            val packed = ZipFile(jar).use { it.getInputStream(it.getEntry(library)).readBytes() }
            assertContentEquals(packed, copy.readBytes())
        }
    }

    @Test
    fun `a folder that can't be written to is named, and another is used`() {
        val none = folder().resolve("none")
        val home = folder().also { it.resolve(".cache").createDirectories() }
        val url = Store.SQLITE.url()
        val end = first(jar, none, url, "-Duser.home=$home")
        assertEquals(0 to "", end.code to end.err)
        assertEquals(emptyList(), ours(home.resolve(".cache")))
        val nowhere = first(jar, none, url, "-Djna.tmpdir=$none", "-Djna.nosys=true", "-Djna.boot.library.path=${boot()}")
        assertEquals(1, nowhere.code)
        assertContains(nowhere.err, "the native half can't be unpacked to $none")
    }

    @Test
    fun `a jar without its library names the system, the file and what to do`() {
        val end = first(altered(null), folder(), Store.SQLITE.url())
        assertEquals(1, end.code)
        assertContains(end.err, "leasehold.UnsupportedException: leasehold has no native half for ${Platform.RESOURCE_PREFIX}")
        assertContains(end.err, library)
        assertContains(end.err, "make build-kotlin")
    }

    @Test
    fun `a library that does not load is named, with the reason`() {
        val temporary = folder()
        val end = first(altered("not a library".toByteArray()), temporary, Store.SQLITE.url())
        assertEquals(1, end.code)
        val says = end.err.lineSequence().first { "UnsupportedException" in it }
        assertContains(says, "the native half for ${Platform.RESOURCE_PREFIX} ($library) does not load here: ")
        assertFalse(says.endsWith("here: null"), says)
        assertEquals(emptyList(), ours(temporary))
    }

    /** The README's program in Java. */
    private fun first(jar: String, temporary: Path, url: String, vararg options: String): End = ended(
        java(with(jar), "First", options = listOf("-Djava.io.tmpdir=$temporary", *options), env = mapOf("LEASEHOLD_URL" to url)),
        "First",
    )

    private fun ours(place: Path) = place.listDirectoryEntries().filter { it.name.startsWith("leasehold-") }

    /** A folder with JNA's own library, which would go where the copy can't. */
    private fun boot(): Path = folder().also { folder ->
        val jna = classPath.single { "/jna/" in it }
        val name = System.mapLibraryName("jnidispatch")
        ZipFile(jna).use { zip ->
            Files.copy(zip.getInputStream(zip.getEntry("com/sun/jna/${Platform.RESOURCE_PREFIX}/$name")), folder.resolve(name))
        }
    }

    /** Our jar, with [binary] as the library of this system. */
    private fun altered(binary: ByteArray?): String {
        val altered = folder().resolve("leasehold-kotlin.jar").toString()
        ZipFile(jar).use { from ->
            ZipOutputStream(File(altered).outputStream()).use { to ->
                for (entry in from.entries()) {
                    val bytes = if (entry.name == library) binary else from.getInputStream(entry).readBytes()
                    if (bytes != null) {
                        to.putNextEntry(ZipEntry(entry.name))
                        to.write(bytes)
                        to.closeEntry()
                    }
                }
            }
        }
        return altered
    }

    /** Runs Maven without a network. */
    private fun maven(folder: Path, vararg goals: String) {
        val command = listOf("mvn", "--batch-mode", "--quiet", "--offline", "-Dmaven.repo.local=$repository", *goals)
        val builder = ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true)
        // Of the Maven that runs this test.
        builder.environment().keys.removeIf { it.startsWith("MAVEN_") && it != "MAVEN_OPTS" }
        val end = ended(builder.start(), "mvn")
        check(end.code == 0) { end.out }
    }
}
