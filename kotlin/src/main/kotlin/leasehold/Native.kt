/**
 * Finds the native half in the jar and loads it before the first call into it.
 *
 * What uniffi generates looks for a library of the system, and says of one that is missing only that
 * some class could not be initialised. Here the message names the system and what to do.
 */
package leasehold

import com.sun.jna.Platform
import java.io.IOException
import leasehold.internal.Failure

private const val FOLDER = "leasehold/native"

/** The library's path, once it is loaded; the one error, where it can't be. */
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

private fun load() {
    val property = "uniffi.component.leasehold_native.libraryOverride"
    if (System.getProperty(property) == null) {
        System.setProperty(property, extracted())
    }
    try {
        installExit(leasehold.internal.Process())
    } catch (error: LinkageError) {
        val why = generateSequence(error as Throwable) { it.cause }.last().message?.lineSequence()?.first()
        throw Unloadable("the native half for ${Platform.RESOURCE_PREFIX} does not load here: $why", error)
    }
}

/** Where the library is: as it lies in a folder of classes, or in a private copy of the jar's. */
private fun extracted(): String {
    val resource = "/$FOLDER/${Platform.RESOURCE_PREFIX}/${System.mapLibraryName("leasehold_kotlin")}"
    try {
        return com.sun.jna.Native.extractFromResourcePath(resource, Leasehold::class.java.classLoader).path
    } catch (error: IOException) {
        throw Unloadable(
            "leasehold has no native half for ${Platform.RESOURCE_PREFIX} ($resource): build one there " +
                "with `make build-kotlin`",
            error,
        )
    }
}
