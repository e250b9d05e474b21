/**
 * An attempt that is given up at any point leaves neither a held lock nor a place in the queue. Each
 * moment is tried 1,000 times.
 *
 * The ttl of every lock here is an hour: what is free at the end was given back.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { connect } from "leasehold";
import type { Client, Lease } from "leasehold";

import { STORES, block, collect, eventually, nothingLeft, queued, randomness } from "./help.mjs";

const TRIES = 1000;
const ttl = "1h";

/** What came of an attempt: its lease, or the error. */
const outcome = (taken: Promise<Lease>): Promise<Lease | unknown> =>
  taken.catch((error: unknown) => error);

for (const store of STORES) {
  describe(store.name, { skip: store.skip }, () => {
    const on = (what: string, body: (client: Client) => Promise<void>): void => {
      test(what, async () => {
        const client = connect(store.url());
        await body(client);
        await client.shutdown(5000);
      });
    };

    on("a signal that is aborted already", async (client) => {
      for (let tries = 0; tries < TRIES; tries += 1) {
        const reason = new Error(`reason ${tries}`);
        const signal = AbortSignal.abort(reason);
        const taken =
          tries % 2 ? client.acquire("a", { ttl, signal }) : client.tryAcquire("a", { signal });
        await assert.rejects(taken, (error: unknown) => error === reason);
      }
      assert.deepEqual(await client.list(), []);
    });

    on("aborted while it waits", async (client) => {
      const first = await client.acquire("a", { ttl });
      const reason = new Error("enough");
      for (let tries = 0; tries < TRIES; tries += 50) {
        const aborts = Array.from({ length: 50 }, () => new AbortController());
        const taken = aborts.map(({ signal }) => outcome(client.acquire("a", { ttl, signal })));
        if (tries % 100 === 0) {
          await queued(client, "a", 50);
        }
        aborts.forEach((one) => one.abort(reason));
        assert.ok((await Promise.all(taken)).every((error) => error === reason));
        await queued(client, "a", 0);
      }
      assert.ok(first.isHeld);
      assert.equal(await first.release(), "released");
      await nothingLeft(client, "a");
    });

    on("aborted after the grant, before its delivery", async (client) => {
      const reason = new Error("too late");
      let late = 0;
      for (let tries = 0; tries < TRIES; tries += 1) {
        const first = await client.acquire("a", { ttl });
        const abort = new AbortController();
        const taken = outcome(client.acquire("a", { ttl, signal: abort.signal }));
        await queued(client, "a");
        const given = first.release();
        // The grant is made and told by other threads. This one takes no turn of its loop meanwhile, so
        // that the news of the grant lies in the mailbox when the signal is aborted.
        block(1);
        abort.abort(reason);
        assert.equal(await taken, reason);
        await given;
        late += (await client.isLocked("a")) ? 1 : 0;
        await nothingLeft(client, "a");
      }
      console.log(
        `${store.name}: seen held in ${late} of ${TRIES} after the abort, before it was free`,
      );
    });

    on("aborted at any time around the grant", async (client) => {
      const random = randomness();
      const reason = new Error("whenever");
      const came = { granted: 0, aborted: 0 };
      for (let tries = 0; tries < TRIES; tries += 1) {
        const abort = new AbortController();
        const taken = outcome(client.acquire("a", { ttl, signal: abort.signal }));
        const turns = Math.floor(random() * 12);
        for (let turn = 0; turn < turns; turn += 1) {
          await (turn % 2 ? new Promise((resolve) => setImmediate(resolve)) : null);
        }
        abort.abort(reason);
        const result = await taken;
        if (result === reason) {
          came.aborted += 1;
        } else {
          came.granted += 1;
          assert.equal(await (result as Lease).release(), "released");
        }
        if (tries % 10 === 0) {
          await nothingLeft(client, "a");
        }
      }
      await nothingLeft(client, "a");
      assert.equal(came.granted + came.aborted, TRIES);
      console.log(`${store.name}: ${came.granted} granted, ${came.aborted} aborted`);
    });

    on("a promise that is dropped", async (client) => {
      const dropped: string[] = [];
      const warned = (warning: Error): void => void dropped.push(warning.message);
      process.on("warning", warned);
      for (let tries = 0; tries < TRIES; tries += 100) {
        for (let one = 0; one < 50; one += 1) {
          // Free ones, and some that wait for one another.
          void client.acquire(`free ${tries + one}`, { ttl });
          void client.acquire(`taken ${one % 10}`, { ttl });
        }
        await eventually(async () => {
          collect();
          return (await client.list()).length === 0;
        }, "all given back");
      }
      process.off("warning", warned);
      assert.ok(dropped.length > 0 && dropped.every((text) => text.includes("was never released")));
    });

    on("listeners don't pile up on a long-lived signal", async (client) => {
      const { signal } = new AbortController();
      let [added, removed] = [0, 0];
      const { addEventListener, removeEventListener } = signal;
      signal.addEventListener = (...args: unknown[]): void => {
        added += 1;
        Reflect.apply(addEventListener, signal, args);
      };
      signal.removeEventListener = (...args: unknown[]): void => {
        removed += 1;
        Reflect.apply(removeEventListener, signal, args);
      };
      for (let tries = 0; tries < 20; tries += 1) {
        const first = await client.acquire("a", { ttl, signal });
        const next = client.acquire("a", { ttl, signal });
        await queued(client, "a");
        await first.release();
        await (await next).release();
      }
      assert.ok(added >= 20);
      assert.equal(added, removed);
    });

    on("a timeout around an acquire", async (client) => {
      await using _ = await client.acquire("a", { ttl });
      const timeout = client.acquire("a", { ttl, signal: AbortSignal.timeout(20) });
      await assert.rejects(timeout, { name: "TimeoutError" });
      await queued(client, "a", 0);
    });

    on("aborted in a storm of grants", async (client) => {
      for (let round = 0; round < 10; round += 1) {
        const aborts = Array.from({ length: 20 }, () => new AbortController());
        const taken = aborts.map(({ signal }) =>
          client.withLock("a", { ttl, signal }, () => null).catch((error: unknown) => error),
        );
        for (const abort of aborts.filter((_, n) => n % 3 === round % 3)) {
          abort.abort();
          await new Promise((resolve) => setImmediate(resolve));
        }
        const errors = (await Promise.all(taken)).filter((result) => result !== null);
        assert.ok(errors.length <= 7, `${errors}`);
      }
      await nothingLeft(client, "a");
    });
  });
}
