/** The API, on every store. */

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { inspect } from "node:util";

import { LockLostError, LockTimeoutError, ShutDownError, connect } from "leasehold";
import type { Client, Lease } from "leasehold";

import { PATIENCE, STORES, collect, eventually, nothingLeft, queued } from "./help.mjs";

for (const store of STORES) {
  describe(store.name, { skip: store.skip }, () => {
    const on = (what: string, body: (client: Client) => Promise<void>): void => {
      test(what, async () => {
        const client = connect(store.url());
        await body(client);
        await client.shutdown(5000);
      });
    };

    on("acquire and release", async (client) => {
      const lease = await client.acquire("a");
      assert.equal(lease.name, "a");
      assert.ok(lease.isHeld && lease.remaining > 25_000 && lease.remaining <= 30_000);
      assert.ok(Number.isSafeInteger(lease.fence) && lease.fence > 0);
      assert.equal(lease.lostReason, undefined);
      assert.ok(!lease.signal.aborted);
      assert.equal(await lease.release(), "released");
      assert.ok(!lease.isHeld);
      assert.equal(lease.remaining, 0);
      assert.equal(await lease.release(), "repeated");
      assert.ok(!lease.signal.aborted, "a release is no loss");
      assert.equal(lease.lostReason, undefined);
    });

    on("a second release never touches the next tenure", async (client) => {
      const first = await client.acquire("a");
      await first.release();
      const second = await client.acquire("a");
      assert.equal(await first.release(), "repeated");
      assert.ok(second.isHeld);
      assert.ok(second.fence > first.fence);
      assert.equal(await client.tryAcquire("a"), null);
    });

    on("tryAcquire", async (client) => {
      const lease = await client.tryAcquire("a", { ttl: "10s" });
      assert.ok(lease?.isHeld && lease.remaining <= 10_000);
      assert.equal(await client.tryAcquire("a"), null);
      await lease.release();
      assert.ok((await client.tryAcquire("a"))?.isHeld);
    });

    on("a wait that runs out", async (client) => {
      const lease = await client.acquire("a");
      for (const wait of [0, 30, "30ms"]) {
        await assert.rejects(client.acquire("a", { wait }), (error: unknown) => {
          assert.ok(error instanceof LockTimeoutError);
          assert.deepEqual([error.code, error.lock, error.retryable], ["LOCK_TIMEOUT", "a", true]);
          return true;
        });
      }
      assert.ok(lease.isHeld);
      await lease.release();
      await nothingLeft(client, "a");
    });

    on("first come, first served, with growing fences", async (client) => {
      const first = await client.acquire("a");
      const order: [number, number][] = [];
      const waiting: Promise<void>[] = [];
      for (let index = 0; index < 10; index += 1) {
        const take = async (): Promise<void> => {
          const lease = await client.acquire("a");
          order.push([index, lease.fence]);
          await lease.release();
        };
        waiting.push(take());
        await queued(client, "a", index + 1);
      }
      await first.release();
      await Promise.all(waiting);
      assert.deepEqual(
        order.map(([index]) => index),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      );
      const fences = order.map(([, fence]) => fence);
      assert.deepEqual(
        fences,
        [...fences].sort((a, b) => a - b),
      );
      assert.equal(new Set(fences).size, 10);
    });

    on("larger priorities go first", async (client) => {
      const first = await client.acquire("a");
      const order: number[] = [];
      const waiting: Promise<void>[] = [];
      for (const [index, priority] of [0, 5, -5].entries()) {
        waiting.push(client.withLock("a", { priority }, () => void order.push(priority)));
        await queued(client, "a", index + 1);
      }
      await first.release();
      await Promise.all(waiting);
      assert.deepEqual(order, [5, 0, -5]);
    });

    on("withLock", async (client) => {
      let seen: Lease | undefined;
      const result = await client.withLock("a", { ttl: "30s", wait: "5s" }, async (lease) => {
        seen = lease;
        assert.ok(lease.isHeld);
        assert.equal(await client.tryAcquire("a"), null);
        return 42;
      });
      assert.equal(result, 42);
      assert.ok(seen !== undefined && !seen.isHeld);
      assert.equal(await client.withLock("a", () => "plain"), "plain");
      assert.ok(!(await client.isLocked("a")));
    });

    on("the body's error is not masked, and the lock is given back", async (client) => {
      const mine = new Error("mine");
      const fails = [
        () => Promise.reject(mine),
        () => {
          throw mine;
        },
        async (lease: Lease) => {
          await lease.release();
          throw mine;
        },
        async (lease: Lease) => {
          await eventually(() => !lease.isHeld, "the fixed term's end");
          throw mine;
        },
      ];
      for (const body of fails) {
        await assert.rejects(
          client.withLock("a", { ttl: 300, renew: false }, body),
          (error: unknown) => error === mine,
        );
      }
      await nothingLeft(client, "a");
    });

    on("a loss is thrown at the end of a body that succeeded", async (client) => {
      const body = async (lease: Lease): Promise<void> => {
        await eventually(() => !lease.isHeld, "the fixed term's end");
      };
      await assert.rejects(
        client.withLock("a", { ttl: 200, renew: false }, body),
        (error: unknown) => {
          assert.ok(error instanceof LockLostError);
          assert.deepEqual([error.code, error.reason, error.lock], ["LOCK_LOST", "expired", "a"]);
          return true;
        },
      );
    });

    on("await using", async (client) => {
      {
        await using lease = await client.acquire("a");
        assert.ok(lease.isHeld);
        assert.ok(await client.isLocked("a"));
      }
      assert.ok(!(await client.isLocked("a")));
      {
        await using none = await client.tryAcquire("a");
        await using busy = await client.tryAcquire("a");
        assert.ok(none !== null && busy === null);
      }
      const mine = new Error("mine");
      const masks = async (): Promise<void> => {
        await using lease = await client.acquire("a", { ttl: 100, renew: false });
        await eventually(() => !lease.isHeld, "the fixed term's end");
        throw mine;
      };
      await assert.rejects(masks, (error: unknown) => error === mine);
    });

    on("a renewed lease outlives its ttl, a fixed term doesn't", async (client) => {
      const renewed = await client.acquire("a", { ttl: 300 });
      const fixed = await client.acquire("b", { ttl: 300, renew: false });
      await eventually(() => !fixed.isHeld, "the fixed term's end");
      await eventually(() => fixed.signal.aborted, "the news of it");
      assert.equal(fixed.lostReason, "expired");
      assert.ok(renewed.isHeld);
      assert.equal(await fixed.release(), "lost");
      await renewed.release();
    });

    on("extend, check, touch", async (client) => {
      const lease = await client.acquire("a", { ttl: "5s", renew: false, maxHold: "1h" });
      await lease.extend("1m");
      assert.ok(lease.remaining > 50_000);
      lease.check();
      lease.check("30s");
      assert.throws(() => lease.check("2m"), LockLostError);
      lease.touch();
      await lease.release();
      assert.throws(() => lease.check(), LockLostError);
      await assert.rejects(lease.extend("1m"), LockLostError);
    });

    on("the longest tenure", async (client) => {
      const lease = await client.acquire("a", { ttl: "30s", maxHold: 150 });
      const reason = await new Promise((resolve) => {
        const alive = setTimeout(resolve, PATIENCE, "never");
        lease.onLost((reason) => {
          clearTimeout(alive);
          resolve(reason);
        });
      });
      assert.equal(reason, "max_hold");
      assert.equal(lease.lostReason, "max_hold");
      assert.ok(lease.signal.reason instanceof LockLostError);
      assert.equal(lease.signal.reason.reason, "max_hold");
      await nothingLeft(client, "a");
    });

    on("inspect and list", async (client) => {
      const lease = await client.acquire("a:1", { note: "for people" });
      const waiting = client.acquire("a:1");
      await queued(client, "a:1");
      const info = await client.inspect("a:1");
      assert.equal(info.holder?.fence, lease.fence);
      assert.ok(info.holder.told <= 30_000 && info.holder.stored > info.holder.told);
      const { who } = info.holder;
      assert.deepEqual([who.pid, who.language, who.note], [process.pid, "node", "for people"]);
      assert.ok(Math.abs(Date.now() - who.since.getTime()) < PATIENCE);
      assert.equal(info.queue.length, 1);
      await client.acquire("a:2");
      await client.acquire("b");
      const names = async (...args: Parameters<Client["list"]>): Promise<string[]> =>
        (await client.list(...args)).map(({ name }) => name);
      assert.deepEqual(await names(), ["a:1", "a:2", "b"]);
      assert.deepEqual(await names("a:"), ["a:1", "a:2"]);
      assert.deepEqual(await names("", { after: "a:1", limit: 1 }), ["a:2"]);
      assert.equal((await client.inspect("nobody's")).holder, undefined);
      await lease.release();
      await (await waiting).release();
    });

    on("a lease has the owner that it was taken with", async (client) => {
      const owner = client.owner();
      await using lease = await client.acquire("a", { owner });
      assert.equal(lease.owner?.number, owner.number);
      await using other = await client.acquire("b");
      assert.equal(other.owner, undefined);
      assert.notEqual(client.owner().number, owner.number);
    });

    on("shutdown tells holders and refuses waiters", async (client) => {
      const lease = await client.acquire("a");
      const waiting = client.acquire("a").catch((error: unknown) => error);
      await queued(client, "a");
      assert.ok(await client.shutdown("5s"));
      assert.equal(lease.lostReason, "shutdown");
      assert.ok(lease.signal.aborted);
      assert.ok((await waiting) instanceof ShutDownError);
      await assert.rejects(client.acquire("a"), ShutDownError);
      await assert.rejects(client.ping(), ShutDownError);
    });

    on("500 at a time", async (client) => {
      let [inside, most, done] = [0, 0, 0];
      const body = async (): Promise<void> => {
        inside += 1;
        most = Math.max(most, inside);
        await null;
        inside -= 1;
        done += 1;
      };
      const one = Array.from({ length: 100 }, () => client.withLock("a", body));
      const many = Array.from({ length: 400 }, (_, n) => client.withLock(`n${n}`, () => n));
      await Promise.all([...one, ...many]);
      assert.deepEqual([most, done], [1, 100]);
      assert.deepEqual(await client.list(), []);
    });

    on("a forgotten lease is given back, with a warning", async (client) => {
      const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
      const forget = async (): Promise<void> => {
        assert.ok((await client.acquire("a", { ttl: "1h" })).isHeld);
      };
      await forget();
      await eventually(async () => {
        collect();
        return !(await client.isLocked("a"));
      }, "the lock given back");
      const warning = await warned;
      assert.equal(warning.name, "LeaseWarning");
      assert.match(warning.message, /"a" was never released/);
    });

    on("whoever keeps the signal keeps the lease", async (client) => {
      const { signal } = await client.acquire("a", { ttl: "1h" });
      for (let turn = 0; turn < 5; turn += 1) {
        collect();
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.ok(await client.isLocked("a"));
      await client.shutdown();
      await eventually(() => signal.aborted, "the news of the shutdown");
    });
  });
}

test("memory:// is private, memory://name is shared", async () => {
  const [one, two] = [connect("memory://"), connect("memory://")];
  await using _ = await one.acquire("a");
  assert.ok(await two.tryAcquire("a"));
  const [left, right] = [connect("memory://shared"), connect("memory://shared")];
  await using __ = await left.acquire("a");
  assert.equal(await right.tryAcquire("a"), null);
});

test("require takes the same locks", async () => {
  const required = createRequire(import.meta.url)("leasehold") as { connect: typeof connect };
  await using _ = await connect("memory://both").acquire("a");
  assert.equal(await required.connect("memory://both").tryAcquire("a"), null);
});

test("clients and leases show what they are, and no secret", async () => {
  const client = connect("memory://");
  await using lease = await client.acquire("a");
  assert.equal(inspect(client), "<Client of memory://>");
  assert.equal(inspect(lease), `<Lease of "a", fence ${lease.fence}, held>`);
  const secret = connect("redis://user:c4n4ry@127.0.0.1:1/");
  assert.doesNotMatch(`${inspect(secret)} ${secret.url} ${JSON.stringify(secret)}`, /c4n4ry/);
});

test("a client is given back by its block", async () => {
  let lease: Lease;
  {
    await using client = connect("memory://");
    lease = await client.acquire("a");
  }
  assert.equal(lease.lostReason, "shutdown");
});
