/** Bad input: a typed error that names it. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { InvalidInputError, Owner, StoreFailedError, UnsupportedError, connect } from "leasehold";
import type { Client } from "leasehold";

import { STORES, folder } from "./help.mjs";

type Take = (client: Client) => unknown;
type Kind = new (message: string) => Error;

/** What TypeScript would refuse, and JavaScript doesn't. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
const wrong = (value: unknown): any => value;

const BAD: readonly [string, Take, Kind, RegExp][] = [
  ["ttl 0", (c) => c.acquire("a", { ttl: 0 }), InvalidInputError, /ttl is 0/],
  ["ttl -1", (c) => c.acquire("a", { ttl: -1 }), InvalidInputError, /ttl is -1/],
  ["ttl NaN", (c) => c.acquire("a", { ttl: NaN }), InvalidInputError, /ttl is NaN/],
  ["ttl Infinity", (c) => c.acquire("a", { ttl: Infinity }), InvalidInputError, /ttl is Infinity/],
  ["ttl 2^63", (c) => c.acquire("a", { ttl: 2 ** 63 }), InvalidInputError, /ttl is 92233720/],
  ["ttl 2^64 s", (c) => c.acquire("a", { ttl: `${2n ** 64n}s` }), InvalidInputError, /ttl is 1844/],
  ["ttl 1e308", (c) => c.acquire("a", { ttl: 1e308 }), InvalidInputError, /ttl is 1000/],
  ["ttl 9 ms", (c) => c.acquire("a", { ttl: 9 }), InvalidInputError, /ttl is 9ms/],
  ["ttl 1e-9", (c) => c.acquire("a", { ttl: 1e-9 }), InvalidInputError, /ttl is 0ns/],
  ["ttl '0s'", (c) => c.acquire("a", { ttl: "0s" }), InvalidInputError, /ttl is 0/],
  ["ttl '30'", (c) => c.acquire("a", { ttl: "30" }), InvalidInputError, /ttl is '30'/],
  ["ttl ''", (c) => c.acquire("a", { ttl: "" }), InvalidInputError, /ttl is ''/],
  ["ttl '-1s'", (c) => c.acquire("a", { ttl: "-1s" }), InvalidInputError, /ttl is '-1s'/],
  ["ttl '1e3s'", (c) => c.acquire("a", { ttl: "1e3s" }), InvalidInputError, /ttl is '1e3s'/],
  ["ttl '1 year'", (c) => c.acquire("a", { ttl: "1 year" }), InvalidInputError, /'1 year'/],
  ["ttl '366d'", (c) => c.acquire("a", { ttl: "366d" }), InvalidInputError, /365 days/],
  ["ttl true", (c) => c.acquire("a", { ttl: wrong(true) }), TypeError, /ttl is true/],
  ["ttl null", (c) => c.acquire("a", { ttl: wrong(null) }), TypeError, /ttl is null/],
  ["ttl 30n", (c) => c.acquire("a", { ttl: wrong(30n) }), TypeError, /ttl is 30n/],
  ["ttl {}", (c) => c.tryAcquire("a", { ttl: wrong({}) }), TypeError, /ttl is \{\}/],
  ["wait -1", (c) => c.acquire("a", { wait: -1 }), InvalidInputError, /wait is -1/],
  ["wait NaN", (c) => c.acquire("a", { wait: NaN }), InvalidInputError, /wait is NaN/],
  ["wait Infinity", (c) => c.acquire("a", { wait: Infinity }), InvalidInputError, /wait is Inf/],
  ["wait 2^67", (c) => c.acquire("a", { wait: 2 ** 67 }), InvalidInputError, /wait is \d+/],
  ["wait false", (c) => c.acquire("a", { wait: wrong(false) }), TypeError, /wait is false/],
  ["wait of a try", (c) => c.tryAcquire("a", wrong({ wait: 1 })), InvalidInputError, /'wait'/],
  ["maxHold 0", (c) => c.acquire("a", { maxHold: 0 }), InvalidInputError, /max_hold is 0/],
  ["maxHold NaN", (c) => c.acquire("a", { maxHold: NaN }), InvalidInputError, /maxHold is NaN/],
  ["renew 1", (c) => c.acquire("a", { renew: wrong(1) }), TypeError, /renew is 1/],
  ["owner 7", (c) => c.acquire("a", { owner: wrong(7n) }), TypeError, /owner is 7n/],
  ["owner 2^128", () => new Owner(1n << 128n), InvalidInputError, /128 bits/],
  ["owner -1", () => new Owner(-1n), InvalidInputError, /128 bits/],
  ["owner 1", () => new Owner(wrong(1)), TypeError, /bigint, not 1/],
  ["priority 2^31", (c) => c.acquire("a", { priority: 2 ** 31 }), InvalidInputError, /214748364/],
  ["priority 1.5", (c) => c.acquire("a", { priority: 1.5 }), InvalidInputError, /priority is 1.5/],
  ["priority '1'", (c) => c.acquire("a", { priority: wrong("1") }), TypeError, /priority is '1'/],
  ["note long", (c) => c.acquire("a", { note: "x".repeat(257) }), InvalidInputError, /257/],
  ["note surrogate", (c) => c.acquire("a", { note: "\ud800" }), InvalidInputError, /note/],
  ["note 1", (c) => c.acquire("a", { note: wrong(1) }), TypeError, /note is 1/],
  ["name empty", (c) => c.acquire(""), InvalidInputError, /lock name is empty/],
  ["name 64K", (c) => c.acquire("n".repeat(65536)), InvalidInputError, /65536 bytes/],
  ["name 1025", (c) => c.acquire(`${"é".repeat(512)}x`), InvalidInputError, /1025 bytes/],
  ["name surrogate", (c) => c.acquire("a\ud800b"), InvalidInputError, /"a\\ud800b".*index 1/],
  ["name low", (c) => c.tryAcquire("\udfff"), InvalidInputError, /"\\udfff"/],
  ["name undefined", (c) => c.acquire(wrong(undefined)), TypeError, /lock name is undefined/],
  ["name bytes", (c) => c.acquire(wrong(Buffer.from("a"))), TypeError, /lock name is <Buffer/],
  ["name 3", (c) => c.tryAcquire(wrong(3)), TypeError, /lock name is 3/],
  ["options 5", (c) => c.acquire("a", wrong(5)), TypeError, /options are 5/],
  ["options null", (c) => c.acquire("a", wrong(null)), TypeError, /options are null/],
  ["options tll", (c) => c.acquire("a", wrong({ tll: 5 })), InvalidInputError, /'tll' is unknown/],
  ["signal {}", (c) => c.acquire("a", { signal: wrong({}) }), TypeError, /signal is \{\}/],
  ["signal null", (c) => c.acquire("a", { signal: wrong(null) }), TypeError, /signal is null/],
  ["no body", (c) => c.withLock("a", wrong({})), TypeError, /body is undefined/],
  ["body 5", (c) => c.withLock("a", {}, wrong(5)), TypeError, /body is 5/],
  ["inspect empty", (c) => c.inspect(""), InvalidInputError, /lock name is empty/],
  ["inspect surrogate", (c) => c.isLocked("\udc80"), InvalidInputError, /lone surrogate/],
  ["list after", (c) => c.list("", { after: "\udc80" }), InvalidInputError, /after/],
  ["list prefix", (c) => c.list("\udc80"), InvalidInputError, /prefix/],
  ["list limit", (c) => c.list("", { limit: -1 }), InvalidInputError, /limit is -1/],
  ["shutdown grace", (c) => c.shutdown(-1), InvalidInputError, /grace is -1/],
  ["shutdown null", (c) => c.shutdown(wrong(null)), TypeError, /grace is null/],
];

for (const store of STORES) {
  describe(store.name, { skip: store.skip }, () => {
    for (const [what, take, kind, match] of BAD) {
      test(what, async () => {
        const client = connect(store.url());
        const error = await (async () => take(client))().then(
          () => assert.fail("it was accepted"),
          (error: unknown) => error,
        );
        assert.ok(error instanceof kind, `${error}`);
        assert.match(error.message, match);
        assert.ok(!error.message.includes("\n"), "one line");
        assert.deepEqual(await client.list(), []);
        await client.shutdown();
      });
    }

    test("bad values of a lease", async () => {
      const client = connect(store.url());
      const lease = await client.acquire("a");
      for (const value of [-1, NaN, wrong(true), "1"]) {
        const refused = (error: unknown): boolean =>
          error instanceof InvalidInputError || error instanceof TypeError;
        assert.throws(() => lease.check(value), refused);
        await assert.rejects(lease.extend(value), refused);
      }
      await assert.rejects(lease.extend(5), InvalidInputError);
      assert.throws(() => lease.onLost(wrong("f")), TypeError);
      assert.ok(lease.isHeld);
      await client.shutdown();
    });

    test("odd names are names", async () => {
      const client = connect(store.url());
      const odd = ["\0", "a\nb\r\n", "é".repeat(512), "x".repeat(1024), "🔒", "e\u0301"];
      for (const name of [...odd, "{a}:*?[]'\"\\%", " ", "/../..", "__proto__", "constructor"]) {
        const lease = await client.acquire(name, { note: name.slice(0, 40) });
        assert.equal(lease.name, name);
        assert.equal((await client.inspect(name)).name, name);
        assert.deepEqual(
          (await client.list(name)).map((info) => info.name),
          [name],
        );
        assert.equal(await client.tryAcquire(name), null);
        await lease.release();
      }
      assert.deepEqual(await client.list(), []);
      await client.shutdown();
    });

    test("names that look alike are two locks", async () => {
      const client = connect(store.url());
      const leases = ["é", "e\u0301", "a", "a\0"].map((name) => client.acquire(name));
      await Promise.all(leases);
      assert.equal((await client.list()).length, 4);
      await client.shutdown();
    });
  });
}

describe("URLs", () => {
  const bad: readonly [unknown, Kind, RegExp][] = [
    ["", InvalidInputError, /not a store URL/],
    ["locks.db", InvalidInputError, /locks\.db/],
    ["ftp://host", InvalidInputError, /unknown scheme "ftp"/],
    ["sqlite://", InvalidInputError, /path is missing/],
    ["sqlite://host/x.db", InvalidInputError, /host has no place/],
    ["sqlite:///x.db?mode=ro", InvalidInputError, /no parameters/],
    ["sqlite:///a%00b", InvalidInputError, /NUL/],
    ["memory://a/b", InvalidInputError, /memory/],
    ["redis://", InvalidInputError, /no host/],
    ["etcd://host", UnsupportedError, /etcd/],
    ["sqlite:///\udc80", InvalidInputError, /lone surrogate/],
    [Buffer.from("memory://"), TypeError, /store URL is <Buffer/],
    [7, TypeError, /store URL is 7/],
    [null, TypeError, /store URL is null/],
  ];
  for (const [url, kind, match] of bad) {
    test(String(url), () => {
      assert.throws(() => connect(wrong(url)), kind);
      assert.throws(() => connect(wrong(url)), match);
    });
  }

  test("no password in an error", () => {
    assert.throws(
      () => connect("redis://user:canary@/"),
      (error: Error) =>
        !`${error.stack} ${JSON.stringify(error)} ${error.cause}`.includes("canary"),
    );
  });

  test("files that are no databases", async () => {
    const path = join(folder(), "text");
    writeFileSync(path, "this is not a database, and long enough to be read as one: ".repeat(20));
    for (const none of [folder(), path]) {
      await assert.rejects(connect(`sqlite://${none}`).acquire("a"), (error: unknown) => {
        assert.ok(error instanceof StoreFailedError);
        return error.message.includes(none);
      });
    }
  });

  test("the default store is the environment's", async () => {
    const url = `sqlite://${folder()}/default.db`;
    process.env["LEASEHOLD_URL"] = url;
    const client = connect();
    assert.equal(client.url, url);
    await client.withLock("a", (lease) => assert.ok(lease.isHeld));
    process.env["LEASEHOLD_URL"] = "nonsense";
    assert.throws(() => connect(), /nonsense/);
    delete process.env["LEASEHOLD_URL"];
  });
});

test("durations as people write them", async () => {
  const client = connect("memory://");
  for (const [ttl, ms] of [
    ["1500ms", 1500],
    ["1.5s", 1500],
    ["30 s", 30_000],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["1d", 86_400_000],
    [2500, 2500],
  ] as const) {
    const { remaining } = await client.acquire(`${ttl}`, { ttl });
    assert.ok(remaining <= ms && remaining > ms * 0.99 - 1000, `${ttl}: ${remaining}`);
  }
  await client.shutdown();
});

test("an owner is any number of 128 bits", async () => {
  const client = connect("memory://");
  for (const number of [0n, 1n, 1n << 64n, (1n << 128n) - 1n]) {
    const lease = await client.acquire("a", { owner: new Owner(number) });
    assert.equal(lease.owner?.number, number);
    await lease.release();
  }
  await client.shutdown();
});
