/** The kinds of lock in JavaScript's own terms. What each does is in scenarios/. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";

import {
  DeadlockError,
  InvalidInputError,
  LockLostError,
  UnsupportedError,
  connect,
} from "leasehold";

import { STORES, eventually, nothingLeft, queued } from "./help.mjs";

for (const store of STORES) {
  describe(store.name, { skip: store.skip }, () => {
    test("readers in parallel, a writer alone", async () => {
      const client = connect(store.url());
      const prices = client.rwlock("prices");
      let [reading, writing, most] = [0, 0, 0];
      const read = () =>
        prices.read().withLock(async (lease) => {
          assert.equal(lease.epoch, lease.fence);
          most = Math.max(most, ++reading);
          assert.equal(writing, 0);
          await new Promise(setImmediate);
          reading -= 1;
        });
      const write = () =>
        prices.write().withLock({ ttl: "5s" }, async (lease) => {
          assert.deepEqual([++writing, reading, lease.epoch], [1, 0, undefined]);
          await new Promise(setImmediate);
          writing -= 1;
        });
      await Promise.all(Array.from({ length: 40 }, (_, n) => (n % 5 === 0 ? write() : read())));
      assert.ok(most > 1, "readers were together");
      await nothingLeft(client, "prices");
      await client.shutdown();
    });

    test("calls pass a hot lock on", async () => {
      const client = connect(store.url());
      const fences: number[] = [];
      let inside = 0;
      const work = async (): Promise<void> => {
        for (let turn = 0; turn < 20; turn += 1) {
          await client.withLock("hot", { order: "throughput" }, async (lease) => {
            assert.equal(++inside, 1);
            fences.push(lease.fence);
            await new Promise(setImmediate);
            inside -= 1;
          });
        }
      };
      await Promise.all(Array.from({ length: 8 }, work));
      const steps = fences.slice(1).map((fence, index) => fence - (fences[index] ?? 0));
      assert.equal(fences.length, 160);
      assert.ok(
        steps.every((step) => step > 0),
        "each has a larger fence",
      );
      assert.ok(steps.includes(1), "none went from hand to hand");
      await assert.rejects(
        client.acquire("hot", { order: "throughput", owner: client.owner() }),
        UnsupportedError,
      );
      await nothingLeft(client, "hot");
      await client.shutdown();
    });

    test("a deadlock names its cycle", async () => {
      const client = connect(store.url());
      const [one, two] = [client.owner(), client.owner()];
      const held = await client.acquire("a", { owner: one });
      const other = await client.acquire("b", { owner: two });
      const waits = client.acquire("b", { owner: one, note: "the first" });
      await queued(client, "b");
      await assert.rejects(client.acquire("a", { owner: two }), (error) => {
        assert.ok(error instanceof DeadlockError);
        assert.match(error.cycle[0] ?? "", /waits for lock "a", held by node process/);
        assert.match(error.cycle[1] ?? "", /\(the first\) waits for lock "b"/);
        return error.cycle.length === 2;
      });
      await other.release();
      await (await waits).release();
      await held.release();
      await client.shutdown();
    });

    test("a fence follows an upgrade", async () => {
      const client = connect(store.url());
      const lease = await client.rwlock("prices").read().acquire();
      const epoch = lease.fence;
      await lease.upgrade();
      assert.ok(lease.fence > epoch);
      assert.deepEqual([lease.kind, lease.epoch], ["exclusive", undefined]);
      await lease.release();
      await client.shutdown();
    });

    test("permits are counted over promises", async () => {
      const client = connect(store.url());
      const slots = client.semaphore("slots", 3);
      let [inside, most] = [0, 0];
      const work = () =>
        slots.permits().withLock(async () => {
          most = Math.max(most, ++inside);
          // Those who come together are let in at once, and the others only as these leave.
          await eventually(() => most >= 3, "three are inside");
          inside -= 1;
        });
      await Promise.all(Array.from({ length: 12 }, work));
      assert.deepEqual([inside, most], [0, 3]);
      assert.equal(await slots.permits(3).withLock(() => "all"), "all");
      await nothingLeft(client, "slots");
      await client.shutdown();
    });

    test("wrong numbers of permits", async () => {
      const client = connect(store.url());
      for (const [count, capacity] of [
        [0, 3],
        [4, 3],
        [1, 0],
        [-1, 3],
        [1.5, 3],
        [2 ** 32, 3],
        [1, 2 ** 32],
      ] as const) {
        await assert.rejects(async () => {
          await client.semaphore("slots", capacity).permits(count).acquire();
        }, InvalidInputError);
      }
      assert.throws(() => client.semaphore("slots", "3" as unknown as number), TypeError);
      assert.throws(
        () => client.semaphore("slots", 3).permits(null as unknown as number),
        TypeError,
      );
      await client.shutdown();
    });

    test("an owner takes its lock again", async () => {
      const client = connect(store.url());
      const owner = client.owner();
      await client.withLock("a", { owner }, async (outer) => {
        await client.withLock("a", { owner }, (inner) => assert.equal(inner.fence, outer.fence));
        assert.equal(await client.tryAcquire("a"), null);
      });
      await nothingLeft(client, "a");
      await client.shutdown();
    });

    test("a tenure is ended from outside", async () => {
      const client = connect(store.url());
      const why = "a test";
      const body = async ({ fence, signal }: { fence: number; signal: AbortSignal }) => {
        assert.equal(await client.evict("a", { why, fence: fence + 1 }), null);
        assert.equal(await client.evict("a", { why }), fence);
        await new Promise((told) => signal.addEventListener("abort", told));
      };
      const lost = client.withLock("a", { ttl: 600 }, body);
      await assert.rejects(
        lost,
        (error) => error instanceof LockLostError && error.reason === "revoked",
      );
      await assert.rejects(client.evict("a", {} as { why: string }), TypeError);
      await client.shutdown();
    });

    test("the number of permits is changed", async () => {
      const client = connect(store.url());
      const slots = client.semaphore("slots", 2);
      const both = await slots.permits(2).acquire();
      const waiting = slots.permits().acquire();
      await queued(client, "slots");
      const first = await slots.resize(3);
      const third = await waiting;
      assert.ok(both.isHeld && third.isHeld);
      assert.equal(await client.semaphore("slots", 3).permits().tryAcquire(), null);
      await assert.rejects(slots.resize(5), InvalidInputError);
      await assert.rejects(client.semaphore("slots", 4).permits().acquire(), /3/);
      await assert.rejects(client.semaphore("slots", 3).resize(0), InvalidInputError);
      assert.ok((await client.semaphore("slots", 3).resize(4)) > first);
      await slots.permits().withLock(() => undefined);
      await both.release();
      await third.release();
      await client.shutdown();
    });

    test("the victim is the wait of smallest deadlock priority", async () => {
      const client = connect(store.url());
      const [one, other] = [client.owner(), client.owner()];
      const first = await client.acquire("a", { owner: one });
      const second = await client.acquire("b", { owner: other });
      // Not that of smallest priority in the queue, and not the last that came.
      const victim = client.acquire("b", { owner: one, priority: 5, deadlockPriority: -1 });
      await queued(client, "b");
      const last = client.acquire("a", { owner: other, priority: -5, deadlockPriority: 1 });
      await assert.rejects(victim, DeadlockError);
      await first.release();
      for (const lease of [await last, second]) {
        await lease.release();
      }
      await client.shutdown();
    });
  });
}

test("a description shows itself", () => {
  const client = connect("memory://");
  assert.equal(inspect(client.rwlock("a").read()), '<Lock "a">');
});

test("how deep a search for deadlocks goes", () => {
  for (const deadlockDepth of [0, 10_001, 1.5]) {
    assert.throws(() => connect("memory://", { deadlockDepth }), InvalidInputError);
  }
  connect("memory://", { deadlockDepth: 128 });
});
