/**
 * Checks of arguments that the core can't make, for it never sees them.
 *
 * Values (zero, negative, too large, too long) are the core's to refuse, alike in every language. A
 * string with a lone surrogate is no Unicode text: it has no UTF-8, so the core could neither take nor
 * name it.
 */
package leasehold

import kotlin.time.Duration
import kotlin.time.DurationUnit

/** The span in seconds, as the core counts. */
internal fun seconds(what: String, value: Duration): Double {
    // The core would name what comes of a negative or an infinite one, not what was asked.
    if (value.isNegative() || value.isInfinite()) {
        throw invalid("$what is $value: a finite time, zero or more, is needed")
    }
    return value.toDouble(DurationUnit.SECONDS)
}

/** How long to wait in seconds; null: for ever. */
internal fun waiting(value: Duration): Double? = if (value == Duration.INFINITE) null else seconds("wait", value)

/** A fence, if one is said. */
internal fun fence(value: Long?): ULong? = value?.let { many("fence", it) }

/** [value], which must have a UTF-8 form. */
internal fun text(what: String, value: String): String {
    if (value.isWellFormed()) {
        return value
    }
    val at = value.indices.first { value.isLoneSurrogate(it) }
    throw invalid("$what ${shown(value)} has a lone surrogate at index $at: it is no Unicode text")
}

internal fun String.isWellFormed(): Boolean = indices.none { isLoneSurrogate(it) }

private fun String.isLoneSurrogate(at: Int): Boolean = when {
    this[at].isHighSurrogate() -> at + 1 == length || !this[at + 1].isLowSurrogate()
    this[at].isLowSurrogate() -> at == 0 || !this[at - 1].isHighSurrogate()
    else -> false
}
