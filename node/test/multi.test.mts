/** Locks that are taken together. The rules are shown in core/tests/multi.rs; here it is what JavaScript makes of them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";

import {
  type Client,
  InvalidInputError,
  LockLostError,
  LockTimeoutError,
  connect,
} from "leasehold";

import { STORES, collect, eventually, nothingLeft, queued } from "./help.mjs";

const NAMES = ["d", "b", "a", "c"];

async function held(client: Client): Promise<string[]> {
  return (await client.list()).map((info) => info.name);
}

for (const store of STORES) {
  describe(store.name, { skip: store.skip }, () => {
    test("all are held in the body", async () => {
      const client = connect(store.url());
      const done = await client.withAll(NAMES, { ttl: "20s" }, async (leases) => {
        assert.deepEqual(
          [...leases].map((lease) => lease.name),
          NAMES,
        );
        assert.deepEqual(await held(client), NAMES.toSorted());
        assert.ok(leases.isHeld && leases.length === 4);
        assert.ok(leases.remaining > 15_000 && leases.remaining <= 20_000);
        for (const lease of leases) {
          assert.equal((await client.inspect(lease.name)).holder?.fence, lease.fence);
        }
        leases.check("10s");
        await leases.extend("60s");
        assert.ok((leases.each[3]?.remaining ?? 0) > 50_000);
        assert.equal(await client.tryAcquireAll(["x", "a"]), null);
        assert.deepEqual(await held(client), NAMES.toSorted(), "x was left alone");
        assert.match(inspect(leases), /^<Leases of "d, b, a, c", held>$/);
        return leases;
      });
      assert.equal(await done.release(), "repeated");
      assert.deepEqual(await held(client), []);
      assert.equal(done.lostReason, undefined);
      await client.shutdown();
    });

    test("kinds and options are mixed", async () => {
      const client = connect(store.url());
      await using leases = await client.acquireAll(
        [
          client.rwlock("prices").read(),
          { lock: client.semaphore("slots", 5).permits(2), ttl: "50s" },
          { lock: "alone", note: "mixed" },
        ],
        { ttl: "10s", wait: "5s" },
      );
      assert.deepEqual(
        [...leases].map((lease) => lease.kind),
        ["shared", "permits", "exclusive"],
      );
      assert.ok((leases.each[0]?.remaining ?? 0) <= 10_000);
      assert.ok((leases.each[1]?.remaining ?? 0) > 40_000);
      assert.equal((await client.inspect("alone")).holder?.who.note, "mixed");
    });

    test("one is given back alone, and taken apart they stay held", async () => {
      const client = connect(store.url());
      const [one, other] = await client.acquireAll(["a", "b"]);
      assert.ok(one !== undefined && other !== undefined);
      for (let turn = 0; turn < 5; turn += 1) {
        collect();
        await new Promise(setImmediate);
      }
      assert.deepEqual([one.isHeld, other.isHeld], [true, true]);
      assert.equal(await one.release(), "released");
      assert.deepEqual(await held(client), ["b"]);
      assert.equal(await other.release(), "released");
      assert.deepEqual(await held(client), []);
      await client.shutdown();
    });

    test("forgotten they are given back", async () => {
      const client = connect(store.url());
      await client.acquireAll(NAMES);
      await eventually(async () => {
        collect();
        return (await held(client)).length === 0;
      }, "given back");
      await client.shutdown();
    });

    test("a wait for all ends, or is aborted, and leaves nothing", async () => {
      const client = connect(store.url());
      const lease = await client.acquire("c");
      await assert.rejects(client.acquireAll(NAMES, { wait: 50 }), (error) => {
        assert.ok(error instanceof LockTimeoutError);
        return error.lock === "d, b, a, c";
      });
      const why = new Error("enough");
      const gone = AbortSignal.abort(why);
      await assert.rejects(client.acquireAll(NAMES, { signal: gone }), why);
      const stop = new AbortController();
      const waiting = client.acquireAll(NAMES, { signal: stop.signal });
      await queued(client, "c");
      stop.abort(why);
      await assert.rejects(waiting, why);
      await eventually(async () => (await held(client)).join() === "c", "only c is held");
      const got = client.acquireAll(NAMES);
      await queued(client, "c");
      await lease.release();
      assert.equal((await got).isHeld, true);
      await (await got).release();
      await client.shutdown();
    });

    test("the loss of one is told once, and is the body's", async () => {
      const client = connect(store.url());
      const reasons: string[] = [];
      const short = { lock: "a", ttl: 300, renew: false };
      const body = client.withAll([short, "b"], async (leases) => {
        leases.onLost((reason) => reasons.push(reason));
        await new Promise((resolve) => leases.signal.addEventListener("abort", resolve));
        assert.ok(!leases.isHeld && leases.each[1]?.isHeld === true);
        assert.ok(leases.signal.reason instanceof LockLostError);
      });
      await assert.rejects(body, (error) => {
        return error instanceof LockLostError && error.reason === "expired";
      });
      assert.deepEqual(reasons, ["expired"]);
      await nothingLeft(client, "b");
      const own = new Error("own");
      const failing = client.withAll([short, "b"], () => {
        throw own;
      });
      await assert.rejects(failing, own);
      await client.shutdown();
    });

    test("what is wrong is said", async () => {
      const client = connect(store.url());
      const wrong: unknown[] = ["abc", 7, null, [7], [null], [{ lock: 7 }], [{ ttl: 5 }]];
      for (const locks of wrong) {
        await assert.rejects(client.acquireAll(locks as string[]), TypeError);
      }
      const odd = [{ lock: "a", wait: 5 }] as unknown as string[];
      await assert.rejects(client.acquireAll(odd), /wait/);
      const other = connect("memory://");
      await assert.rejects(client.acquireAll([other.lock("a")]), /another client/);
      const many = Array.from({ length: 1001 }, (_, number) => String(number));
      for (const [names, said] of [
        [["a", "b", "a"], /in the list twice/],
        [["a", ""], /name/],
        [many, /1001 locks at once/],
      ] as const) {
        await assert.rejects(client.acquireAll(names), (error) => {
          assert.ok(error instanceof InvalidInputError, String(error));
          return said.test(error.message);
        });
      }
      await assert.rejects(client.acquireAll(["a"], { wait: -1 }), InvalidInputError);
      await assert.rejects(client.withAll(["a"], {}, 5 as never), /the body is 5/);
      assert.deepEqual(await held(client), []);
      const none = await client.acquireAll([]);
      assert.deepEqual([none.length, none.isHeld], [0, true]);
      await none.release();
      await client.shutdown();
    });
  });
}
