/**
 * Fences enforced where a write takes effect.
 *
 * A lease is a belief: between the moment at which a holder asks it and the moment at which its write arrives, any
 * time may pass. What a guard keeps is the largest fence that it has seen of each resource; a write with a smaller one
 * is refused, whatever its sender believes.
 *
 * The trap is to compare first and write later: a holder that is paused between the two writes late all the same. So
 * each guard here does both in one step of what keeps the data: one SQL transaction, one Redis script, one call in this
 * process.
 */
package leasehold.guard

import java.sql.Connection
import leasehold.Details
import leasehold.InvalidInputException
import leasehold.LockLostException
import leasehold.LostReason
import leasehold.internal.Guards
import leasehold.invalid
import leasehold.many
import leasehold.native
import leasehold.shown
import leasehold.text

/** The text of guards. */
internal val GUARDS: Guards by lazy { native { Guards() } }

/** A database's own SQL. */
public enum class Dialect(internal val word: String) {
    /** SQLite, 3.24 or later. */
    SQLITE("sqlite"),

    /** PostgreSQL, and what speaks its SQL. */
    POSTGRESQL("postgresql"),

    /** MySQL and MariaDB, with InnoDB. */
    MYSQL("mysql"),
}

/** How a driver marks the parameters of a statement. */
public enum class Style(internal val word: String) {
    /** `?`, as JDBC has it. */
    QMARK("qmark"),

    /** `$1`. */
    DOLLAR("dollar"),

    /** `:resource`. */
    NAMED("named"),
}

/**
 * A table with the largest fence seen of each resource, in SQLite, PostgreSQL, MySQL or MariaDB.
 *
 *     val fences = Table("fences", Dialect.POSTGRESQL)
 *     connection.autoCommit = false
 *     fences.admit(connection, "account:42", lease.fence)
 *     connection.createStatement().use { it.executeUpdate("UPDATE account SET …") }
 *     connection.commit() // Where anything throws: rollback
 *
 * The trap is the transaction: [admit] must come first in it and the writes must be in it too. The row that it changed
 * then keeps other holders out until the commit, so that a newer one can't come between the comparison and the writes.
 * Any isolation level will do; where the database asks for a transaction to be repeated, nothing was admitted.
 *
 * With another driver than JDBC's the statements are to be run by yourself, with its [Style] of parameters.
 */
public class Table @JvmOverloads constructor(name: String, dialect: Dialect, style: Style = Style.QMARK) {
    private val made = native { GUARDS.fences(dialect.word, text("the table", name), style.word) }
    private val style = style

    /** Makes the table, if it isn't there. On MySQL that commits what is open. */
    public val createSql: String get() = made.create

    /**
     * One statement, on MySQL two, to be run in this order, each with the resource and the fence. The last changes one
     * row, or none where a larger fence was seen.
     */
    public val admitSql: List<String> get() = made.admit

    /** Forgets a resource that is gone, with it as the parameter; no sooner than its last holder. */
    public val forgetSql: String get() = made.forget

    /** Makes the table, if it isn't there. On MySQL that commits what is open. */
    public fun create(connection: Connection) {
        connection.createStatement().use { it.execute(createSql) }
    }

    /**
     * Admits the writes of the transaction that [connection] is in: roll back where it throws.
     *
     * @throws LockLostException ([LostReason.SUPERSEDED]) where a larger fence of [resource] was seen.
     * @throws InvalidInputException for a connection that commits each statement by itself: nobody would be kept out.
     */
    public fun admit(connection: Connection, resource: String, fence: Long) {
        val asked = checked(fence)
        if (connection.autoCommit) {
            throw invalid("the connection commits each statement by itself: `autoCommit = false` is needed")
        }
        if (admitSql.map { run(connection, it, resource, asked) }.last() == 0) {
            val message = "a write to $resource with fence $fence comes after a newer one"
            throw LockLostException(message, Details(reason = LostReason.SUPERSEDED))
        }
    }

    /** Forgets a resource that is gone, no sooner than its last holder. */
    public fun forget(connection: Connection, resource: String) {
        run(connection, forgetSql, resource)
    }

    private fun run(connection: Connection, sql: String, resource: String, fence: Long? = null): Int {
        if (style != Style.QMARK) {
            throw invalid("JDBC marks parameters with ?: a table of that style is needed")
        }
        return connection.prepareStatement(sql).use {
            it.setString(1, text("resource", resource))
            fence?.let { number -> it.setLong(2, number) }
            it.executeUpdate()
        }
    }

    override fun toString(): String = "<Table: $createSql>"
}

/**
 * The same without a table, for a row that has a column of its own for the fence: parts of the statements that change
 * it, with [marker] for the fence, which is a parameter twice where that is `?`.
 *
 *     val fence = Column("fence", Dialect.POSTGRESQL)
 *     val update = "UPDATE account SET balance = ?, ${fence.set} WHERE id = ? AND ${fence.andWhere}"
 *
 * An update that finds no row was refused, or there is no such row.
 */
public class Column @JvmOverloads constructor(name: String, dialect: Dialect, marker: String = "?") {
    private val parts = native { GUARDS.column(dialect.word, text("the column", name), text("marker", marker)) }

    /**
     * For `CREATE TABLE account (id …, $define)`. On MySQL that is two columns, of which the second counts writes:
     * without it a holder that writes the same values twice could look refused.
     */
    public val define: String = parts[0]

    /** For `UPDATE account SET …, $set`. */
    public val set: String = parts[1]

    /** For `… WHERE … AND $andWhere`. */
    public val andWhere: String = parts[2]

    override fun toString(): String = "<Column: $define>"
}

/** A fence that a lock may have. */
internal fun checked(fence: Long): Long {
    many("fence", fence)
    if (fence > MAX_FENCE) {
        throw invalid("fence is $fence: at most $MAX_FENCE is")
    }
    return fence
}

private const val MAX_FENCE = (1L shl 53) - 1
