/**
 * Guards refuse what a holder writes after its time, on real databases and a real Redis. Their rules are
 * shown in core/tests; here it is what JavaScript makes of them.
 */

import assert from "node:assert/strict";
import { createConnection } from "node:net";
import { describe, test } from "node:test";
import { inspect } from "node:util";

import { InvalidInputError, LockLostError, connect, guard } from "leasehold";
import mysql from "mysql2/promise";
import pg from "pg";

import { database, noRedis, redis } from "./help.mjs";

const NEWEST = Number.MAX_SAFE_INTEGER;

/** A connection, whatever its driver. */
interface Connection {
  query(sql: string, values?: unknown[]): Promise<guard.Changed>;
  rows(sql: string): Promise<number[]>;
  end(): Promise<unknown>;
}

/** The numbers of the first column. */
function numbers(rows: unknown): number[] {
  return (rows as object[]).map((row) => Number(Object.values(row)[0]));
}

async function ofPg(url: URL): Promise<Connection> {
  const client = new pg.Client(url.href);
  await client.connect();
  return {
    query: (sql, values) => client.query(sql, values),
    rows: async (sql) => numbers((await client.query(sql)).rows),
    end: () => client.end(),
  };
}

async function ofMysql2(url: URL): Promise<Connection> {
  const connection = await mysql.createConnection(url.href);
  return {
    query: (sql, values) =>
      values === undefined
        ? connection.query<mysql.ResultSetHeader>(sql)
        : connection.execute<mysql.ResultSetHeader>(sql, values as string[]),
    rows: async (sql) => numbers((await connection.query(sql))[0]),
    end: () => connection.end(),
  };
}

const superseded = (fence: number) => (error: unknown) =>
  error instanceof LockLostError &&
  error.reason === "superseded" &&
  error.message.includes(`fence ${fence} `);

for (const [name, dialect, open, marker] of [
  ["postgresql", "postgresql", ofPg, ["$1", "$1"]],
  ["mariadb", "mysql", ofMysql2, ["?", "?"]],
] as const) {
  describe(`on ${name}`, async () => {
    const url = await database(name);
    const skip = typeof url === "string" ? url : false;

    test("an older holder is kept out, and then refused", { skip }, async () => {
      const [first, second] = await Promise.all([open(url as URL), open(url as URL)]);
      const fences = new guard.Table("fences", dialect);
      for (let round = 0; round < 2; round++) {
        await first.query(fences.createSql);
      }
      await first.query("CREATE TABLE log (fence BIGINT)");
      const append = async (connection: Connection, fence: number): Promise<void> => {
        await connection.query("BEGIN");
        try {
          await fences.admit((sql, values) => connection.query(sql, values), "the log", fence);
          await connection.query(`INSERT INTO log VALUES (${fence})`);
          await connection.query("COMMIT");
        } catch (error) {
          await connection.query("ROLLBACK");
          throw error;
        }
      };
      await append(first, 7);
      await append(first, 7);
      await append(second, 9);
      await append(second, 9);
      await assert.rejects(append(first, 8), superseded(8));
      // The newer one has the row; the older one asks while it does.
      await second.query("BEGIN");
      await fences.admit((sql, values) => second.query(sql, values), "the log", NEWEST);
      const late = assert.rejects(append(first, NEWEST - 1), superseded(NEWEST - 1));
      await second.query("INSERT INTO log VALUES (11)");
      await second.query("COMMIT");
      await late;
      assert.deepEqual(await first.rows("SELECT fence FROM log ORDER BY fence"), [7, 7, 9, 9, 11]);
      await first.query(fences.forgetSql, ["the log"]);
      await append(first, 1);
      await Promise.all([first.end(), second.end()]);
    });

    test("a row with a column of its own", { skip }, async () => {
      const connection = await open(url as URL);
      const fence = new guard.Column("fence", dialect, marker[0]);
      await connection.query(`CREATE TABLE account (balance INT, ${fence.define})`);
      await connection.query("INSERT INTO account (balance) VALUES (100)");
      const changed = [];
      for (const value of [7, 7, 6, 8]) {
        const sql = `UPDATE account SET balance = 70, ${fence.set} WHERE ${fence.andWhere}`;
        const answer = await connection.query(sql, dialect === "mysql" ? [value, value] : [value]);
        changed.push(Array.isArray(answer) ? answer[0].affectedRows : Object(answer).rowCount);
      }
      assert.deepEqual(changed, [1, 1, 0, 1]);
      await connection.end();
    });
  });
}

test("a driver that blocks, by the shapes of its answers", () => {
  const fences = new guard.Table("fences", "sqlite");
  const said: unknown[] = [];
  const answering = (answer: guard.Changed) => (sql: string, values: unknown[]) => {
    said.push([sql, values]);
    return answer;
  };
  for (const one of [
    1,
    1n,
    { changes: 1 },
    { changes: 1n },
    { rowCount: 1 },
    { affectedRows: 2 },
  ]) {
    fences.admitSync(answering(one), "a", 7);
  }
  fences.admitSync(answering([{ affectedRows: 1 }, undefined]), "a", 7);
  assert.deepEqual(said[0], [fences.admitSql[0], ["a", 7]]);
  for (const none of [0, 0n, { changes: 0 }, { rowCount: 0 }, { affectedRows: 0 }]) {
    assert.throws(() => fences.admitSync(answering(none), "a", 7), superseded(7));
  }
  for (const nothing of [undefined, null, {}, [], "1", { rowCount: null }, Promise.resolve(1)]) {
    const run = answering(nothing as guard.Changed);
    assert.throws(() => fences.admitSync(run, "a", 7), TypeError);
  }
});

test("a dialect and each driver's parameters", () => {
  for (const [style, resource, fence] of [
    ["qmark", "?", "?"],
    ["dollar", "$1", "$2"],
    ["numeric", ":1", ":2"],
    ["named", ":resource", ":fence"],
  ] as const) {
    const table = new guard.Table("f", "postgresql", style);
    assert.ok(table.admitSql[0]?.includes(`VALUES (${resource}, ${fence})`));
    assert.equal(table.forgetSql, `DELETE FROM f WHERE resource = ${resource}`);
  }
  assert.equal(new guard.Table("f", "mariadb").admitSql.length, 2);
  assert.match(inspect(new guard.Table("f", "sqlite")), /^<Table: CREATE TABLE IF NOT EXISTS f /);
  assert.equal(new guard.Column("fence", "sqlite").andWhere, "fence <= ?");
});

test("a gate in this process", () => {
  const gate = new guard.Gate();
  for (const fence of [7, 7, 9, NEWEST]) {
    gate.admit("a", fence);
  }
  gate.admit("b", 1);
  assert.throws(() => gate.admit("a", NEWEST - 1), LockLostError);
  gate.forget("a");
  gate.admit("a", 0);
});

test("the header", async () => {
  assert.deepEqual([guard.HTTP_HEADER, guard.HTTP_STALE], ["Leasehold-Fence", 412]);
  const client = connect("memory://");
  await client.withLock("größe 1;2", (lease) => {
    const value = guard.httpValue(lease);
    assert.match(value, /^\d+; lock=[ -:<-~]+$/);
    assert.deepEqual(guard.httpRead(value), { lock: "größe 1;2", fence: lease.fence });
  });
  await client.shutdown();
});

test("what is wrong is said", () => {
  // What TypeScript would refuse, and JavaScript doesn't.
  const wrong = (value: unknown): never => value as never;
  for (const call of [
    () => new guard.Table("a; DROP TABLE b", "sqlite"),
    () => new guard.Table("a", wrong("oracle")),
    () => new guard.Table("a", "sqlite", wrong("QMARK")),
    () => new guard.Column("a b", "mysql"),
    () => guard.httpRead("7"),
    () => guard.httpRead("9007199254740992; lock=a"),
    () => new guard.Gate().admit("a", -1),
    () => new guard.Gate().admit("a", 2 ** 53),
    () => guard.redisCommand("f", [], -1, "PING"),
    () => new guard.Table("a", "sqlite").admitSync(() => 1, "a", 2 ** 53),
  ]) {
    assert.throws(call, InvalidInputError, call.toString());
  }
  for (const call of [
    () => new guard.Table(wrong(7), "sqlite"),
    () => new guard.Gate().admit("a", wrong("7")),
    () => new guard.Gate().admit("a", 0.5),
    () => new guard.Gate().admit(wrong(null), 7),
  ]) {
    assert.throws(
      call,
      (error) => error instanceof TypeError || error instanceof InvalidInputError,
    );
  }
});

/** Sends a command as a client library does, and yields its answer or its error. */
async function ask(words: readonly (string | Buffer)[]): Promise<string> {
  const { hostname, port } = new URL(redis?.direct ?? "");
  const socket = createConnection(Number(port), hostname);
  socket.write(`*${words.length}\r\n`);
  for (const word of words) {
    socket.write(`$${Buffer.byteLength(word)}\r\n`);
    socket.write(word);
    socket.write("\r\n");
  }
  let answer = "";
  for await (const part of socket) {
    answer += String(part);
    if (answer.endsWith("\r\n") && !/^\$\d+\r\n$/.test(answer)) {
      break;
    }
  }
  if (answer.startsWith("-")) {
    throw new Error(answer.slice(1).trim());
  }
  return answer.replace(/^\$\d+\r\n|^[:+]/, "").trim();
}

test("a Redis command with a fence", { skip: noRedis }, async () => {
  const sell = (fence: number, count: number): Promise<string> =>
    ask(
      guard.redisCommand("{stock}:fence", ["{stock}:left"], fence, "DECRBY", "{stock}:left", count),
    );
  await ask(["SET", "{stock}:left", "10"]);
  assert.deepEqual([await sell(7, 1), await sell(7, 1), await sell(NEWEST, 1)], ["9", "8", "7"]);
  await assert.rejects(sell(NEWEST - 1, 1), guard.redisRefused);
  assert.equal(await ask(["GET", "{stock}:left"]), "7");
  assert.equal(await ask(["GET", "{stock}:fence"]), String(NEWEST));
  // Another error is none of the fence's.
  await assert.rejects(
    ask(guard.redisCommand("{stock}:fence", [], NEWEST, Buffer.from("NOSUCH"))),
    (error) => !guard.redisRefused(error),
  );
});
