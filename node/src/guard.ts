/**
 * Fences enforced where a write takes effect.
 *
 * A lease is a belief: between the moment at which a holder asks it and the moment at which its write
 * arrives, any time may pass. What a guard keeps is the largest fence that it has seen of each resource; a
 * write with a smaller one is refused, whatever its sender believes.
 *
 * The trap is to compare first and write later: a holder that is paused between the two writes late all
 * the same. So each guard here does both in one step of what keeps the data: one SQL transaction, one Redis
 * script, one call in this process.
 */

import { inspect } from "node:util";

import { text, whole } from "./convert.js";
import { LockLostError, fromFailure, shown } from "./errors.js";
import type { Lease } from "./lease.js";
import { native } from "./native.js";
import type { Failure, Gate as NativeGate } from "./native.js";

const texts = native.guardTexts();

/** The header of a request that carries a fence. */
export const HTTP_HEADER: string = texts.header;

/** The status to answer a request with whose fence is out of date: Precondition Failed. */
export const HTTP_STALE: number = texts.staleStatus;

/** The script that `redisCommand` runs: `EVAL script keys fenceKey key… fence command argument…`. */
export const REDIS_SCRIPT: string = texts.script;

/** A database's own SQL; `mariadb` is the same as `mysql`. */
export type Dialect = "sqlite" | "postgresql" | "mysql" | "mariadb";

/** How a driver marks parameters: `?`, `$1`, `:1` or `:resource`. */
export type Style = "qmark" | "dollar" | "numeric" | "named";

/**
 * How many rows a statement changed, as the driver answers it: the number, `rowCount` (pg), `changes`
 * (SQLite's), `affectedRows` (mariadb), or a list that begins with one (mysql2).
 */
export type Changed =
  | number
  | bigint
  | { readonly rowCount: number | null }
  | { readonly changes: number | bigint }
  | { readonly affectedRows: number | bigint }
  | readonly [unknown, ...unknown[]];

/** Runs a statement in a transaction of yours, with the resource and, but for `forget`, the fence. */
export type Run<T> = (sql: string, values: [string] | [string, number]) => T;

/**
 * A table with the largest fence seen of each resource, in SQLite, PostgreSQL, MySQL or MariaDB, by any
 * driver.
 *
 *     const fences = new guard.Table("fences", "postgresql");
 *     await client.query("BEGIN");
 *     await fences.admit((sql, values) => client.query(sql, values), "account:42", lease.fence);
 *     await client.query("UPDATE account SET …");
 *     await client.query("COMMIT"); // Where it rejects: ROLLBACK
 *
 * The trap is the transaction: `admit` must come first in it and the writes must be in it too. The row that
 * it changed then keeps other holders out until the commit, so that a newer one can't come between the
 * comparison and the writes. Any isolation level will do; where the database asks for a transaction to be
 * repeated, nothing was admitted.
 */
export class Table {
  /** Makes the table, if it isn't there. On MySQL that commits what is open. */
  readonly createSql: string;
  /**
   * One statement, on MySQL two, to be run in this order, each with the resource and the fence. The last
   * changes one row, or none where a larger fence was seen.
   */
  readonly admitSql: readonly string[];
  /** Forgets a resource that is gone, with it as the parameter. */
  readonly forgetSql: string;

  /**
   * `style` is the driver's; without it that of most drivers of the database: `dollar` for PostgreSQL,
   * `qmark` for the others.
   */
  constructor(name: string, dialect: Dialect, style?: Style) {
    const made = good(
      native.fences(
        text("dialect", dialect),
        text("the table", name),
        text("style", style ?? (dialect === "postgresql" ? "dollar" : "qmark")),
      ),
    );
    this.createSql = made.create;
    this.admitSql = made.admit;
    this.forgetSql = made.forget;
  }

  /**
   * Admits the writes of the transaction in which `run` runs, or rejects with `LockLostError`
   * (`superseded`) where a larger fence of `resource` was seen: roll back then.
   */
  async admit(
    run: Run<Changed | PromiseLike<Changed>>,
    resource: string,
    fence: number,
  ): Promise<void> {
    const values = asked(resource, fence);
    let answer: Changed = 0;
    for (const sql of this.admitSql) {
      answer = await run(sql, [...values]);
    }
    admitted(answer, ...values);
  }

  /** The same for a driver that blocks: `(sql, values) => database.prepare(sql).run(...values)`. */
  admitSync(run: Run<Changed>, resource: string, fence: number): void {
    const values = asked(resource, fence);
    let answer: Changed = 0;
    for (const sql of this.admitSql) {
      answer = run(sql, [...values]);
    }
    admitted(answer, ...values);
  }

  /** @internal */
  [inspect.custom](): string {
    return `<Table: ${this.createSql}>`;
  }
}

function asked(resource: string, fence: number): [string, number] {
  return [text("resource", resource), fenceOf(fence)];
}

function admitted(answer: unknown, resource: string, fence: number): void {
  if (count(answer) < 1) {
    const message = `a write to ${resource} with fence ${fence} comes after a newer one`;
    throw new LockLostError(message, { reason: "superseded" });
  }
}

/** How many rows an answer says were changed. */
function count(answer: unknown): number {
  const given: unknown = Array.isArray(answer) ? answer[0] : answer;
  const { rowCount, changes, affectedRows } = Object(given) as Record<string, unknown>;
  const found = [given, rowCount, changes, affectedRows].find(
    (one) => typeof one === "number" || typeof one === "bigint",
  );
  if (found === undefined) {
    throw new TypeError(
      `the statement's answer is ${shown(answer)}: the number of rows that it changed is needed`,
    );
  }
  return Number(found);
}

/**
 * The same without a table, for a row that has a column of its own for the fence: parts of the statements
 * that change it, with `marker` for the fence.
 *
 *     const fence = new guard.Column("fence", "postgresql", "$3");
 *     await client.query(
 *       `UPDATE account SET balance = $1, ${fence.set} WHERE id = $2 AND ${fence.andWhere}`,
 *       [balance, id, lease.fence],
 *     );
 *
 * Where markers are `?`, the fence is a parameter twice. An update that finds no row was refused, or there
 * is no such row.
 */
export class Column {
  /**
   * For `CREATE TABLE account (id …, ${define})`. On MySQL that is two columns, of which the second counts
   * writes: without it a holder that writes the same values twice could look refused.
   */
  readonly define: string;
  /** For `UPDATE account SET …, ${set}`. */
  readonly set: string;
  /** For `… WHERE … AND ${andWhere}`. */
  readonly andWhere: string;

  constructor(name: string, dialect: Dialect, marker = "?") {
    const parts = native.fenceColumn(
      text("dialect", dialect),
      text("the column", name),
      text("marker", marker),
    );
    [this.define = "", this.set = "", this.andWhere = ""] = good(parts);
  }
}

/**
 * A Redis command that runs only if no larger fence was seen, as its words, for any client library:
 * `redis.call(...words)` of ioredis, `client.sendCommand(words)` of node-redis. The answer is the command's,
 * or an error that `redisRefused` knows.
 *
 *     guard.redisCommand("{stock}:fence", ["{stock}:left"], lease.fence, "DECRBY", "{stock}:left", 3)
 *
 * `fenceKey` holds the largest fence seen, `keys` are those that the command touches: on a cluster all of
 * one slot. The fence's key has no end: what is deleted with the data lets an old holder write again.
 */
export function redisCommand(
  fenceKey: string,
  keys: readonly string[],
  fence: number,
  ...command: readonly (string | number | Buffer)[]
): ["EVAL", ...(string | Buffer)[]] {
  const words = command.map((word) => (typeof word === "number" ? String(word) : word));
  const named = [text("fenceKey", fenceKey), ...keys];
  return ["EVAL", REDIS_SCRIPT, String(named.length), ...named, String(fenceOf(fence)), ...words];
}

/** Whether a Redis client's `error` is the refusal of a fence that is out of date. */
export function redisRefused(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith(texts.stale);
}

/**
 * The value of the header `HTTP_HEADER` for what is done under `lease`:
 * `1795487746175228; lock=invoice:42`.
 */
export function httpValue(lease: Pick<Lease, "name" | "fence">): string {
  return good(native.header(text("the lock name", lease.name), fenceOf(lease.fence)));
}

/**
 * The lock's name and the fence of a header's value, for a `Gate` or a `Table`. That the lock is the one
 * that this resource is guarded by is the server's to check. Throws `InvalidInputError` for what is no such
 * value.
 */
export function httpRead(value: string): { lock: string; fence: number } {
  return good(native.readHeader(text(HTTP_HEADER, value)));
}

/**
 * The largest fence seen of each of many resources, in this thread's gate, for a task that all writes to
 * them go through one after the other: it asks, then writes, before it takes the next. What must outlive
 * the process lies in a `Table`.
 */
export class Gate {
  readonly #native: NativeGate = new native.Gate();

  /**
   * Returns unless a larger fence of `resource` was admitted before; throws `LockLostError`
   * (`superseded`) then.
   */
  admit(resource: string, fence: number): void {
    const failure = this.#native.admit(text("resource", resource), fenceOf(fence));
    if (failure !== null) {
      throw fromFailure(failure);
    }
  }

  /** Forgets `resource`, which is gone. */
  forget(resource: string): void {
    this.#native.forget(text("resource", resource));
  }
}

function fenceOf(fence: number): number {
  return whole("fence", fence, 0, Number.MAX_SAFE_INTEGER);
}

function good<T extends object | string>(found: T | Failure): T {
  if (typeof found === "object" && "code" in found) {
    throw fromFailure(found);
  }
  return found;
}
