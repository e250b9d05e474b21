/**
 * Finds the native half in the jar and loads it before the first call into it.
 *
 * What uniffi generates looks for a library of the system, and says of one that is missing only that
 * some class could not be initialised. Here the message names the system, the file and what to do.
 *
 * A library can only be loaded from a file, so that the jar's is copied to one. The trap: where others may
 * write, too, they could have us load theirs. Hence a folder of this user's own.
 */
package leasehold

import com.sun.jna.NativeLibrary
import com.sun.jna.Platform
import java.io.IOException
import java.net.URL
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.attribute.PosixFilePermissions
import leasehold.internal.Failure

private const val FOLDER = "leasehold/native"

/** Where uniffi's code looks for the path of the library. */
private const val OVERRIDE = "uniffi.component.leasehold_native.libraryOverride"

/** The one attempt to load it. */
private val loaded: Result<Unit> = runCatching { load() }

/** Makes a native call, with its failure as one of our errors. */
internal inline fun <T> native(lock: String? = null, call: () -> T): T {
    ready()
    try {
        return call()
    } catch (failure: Failure) {
        throw fromFailure(failure, lock)
    }
}

/** Loads the native half, if it is not loaded yet. */
internal fun ready() {
    loaded.exceptionOrNull()?.let { throw UnsupportedException(it.message.orEmpty(), Details(it.cause)) }
}

private class Unloadable(message: String, cause: Throwable? = null) : Exception(message, cause)

/** Kept: JNA closes a library that nobody holds. */
private var library: NativeLibrary? = null

private fun load() {
    if (System.getProperty(OVERRIDE) != null) {
        return open()
    }
    val file = "$FOLDER/${Platform.RESOURCE_PREFIX}/${System.mapLibraryName("leasehold_kotlin")}"
    val found = Leasehold::class.java.classLoader.getResource(file)
    when (found?.protocol) {
        null -> throw Unloadable(
            "leasehold has no native half for ${Platform.RESOURCE_PREFIX}: there is no $file in the jar, nor elsewhere " +
                "on the class path; build one there with `make build-kotlin`",
        )
        "file" -> open(Path.of(found.toURI()), file)
        else -> openCopy(found, file)
    }
}

/** Loads a copy, from the first place where that may be done: no program may run from some. */
private fun openCopy(found: URL, file: String) {
    val named = System.getProperty("jna.tmpdir")?.let { listOf(Path.of(it)) }
    val places = named ?: listOf(
        Path.of(System.getProperty("java.io.tmpdir")),
        Path.of(System.getProperty("user.home"), ".cache"),
    )
    val failures = places.map { place ->
        try {
            val copy = copied(found, place)
            try {
                return open(copy, file)
            } finally {
                // What is loaded stays, and so nothing is left behind, however this process ends.
                Files.delete(copy)
                Files.delete(copy.parent)
            }
        } catch (error: IOException) {
            Unloadable("${Platform.RESOURCE_PREFIX}: the native half can't be unpacked to $place: $error", error)
        } catch (error: Unloadable) {
            error
        }
    }
    throw failures.first().also { first -> failures.drop(1).forEach(first::addSuppressed) }
}

/** A copy of [found], in a new folder below [place] that only this user can enter. */
internal fun copied(found: URL, place: Path): Path {
    // With the rights from the first moment, and never one that is there: another may have made it.
    val rights = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"))
    val folder = Files.createTempDirectory(place, "leasehold-", rights)
    val copy = folder.resolve(found.path.substringAfterLast('/'))
    try {
        // As it lies in this jar: the cache of the JVM for jars is not to be shared or kept open.
        found.openConnection().apply { useCaches = false }.getInputStream().use { Files.copy(it, copy) }
    } catch (error: IOException) {
        Files.deleteIfExists(copy)
        Files.delete(folder)
        throw error
    }
    return copy
}

private fun open(path: Path, file: String) {
    try {
        // Before uniffi's classes do: one whose first use fails is of no use ever after.
        library = NativeLibrary.getInstance(path.toString())
    } catch (error: LinkageError) {
        throw unloadable(file, error)
    }
    System.setProperty(OVERRIDE, path.toString())
    open(file)
}

private fun open(file: String = System.getProperty(OVERRIDE)) {
    try {
        installExit(leasehold.internal.Process())
    } catch (error: LinkageError) {
        throw unloadable(file, error)
    }
}

private fun unloadable(file: String, error: LinkageError): Unloadable {
    val why = generateSequence(error as Throwable) { it.cause }.last().message?.lineSequence()?.first()
    return Unloadable("the native half for ${Platform.RESOURCE_PREFIX} ($file) does not load here: $why", error)
}
