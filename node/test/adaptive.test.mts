/**
 * A ttl from a lock's history. Its numbers are shown in core/src/recipes; here it is what JavaScript makes
 * of them.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";

import { AdaptiveTtl, InvalidInputError, LockTimeoutError, Manager, connect } from "leasehold";

import { STORES, nothingLeft } from "./help.mjs";

for (const { name, skip, url } of STORES) {
  describe(`on ${name}`, { skip }, () => {
    test("it follows what is taken", async () => {
      await using client = connect(url());
      const reports = new AdaptiveTtl();
      assert.deepEqual([reports.choose().ttl, reports.choose().holds], [30_000, 0]);
      assert.match(reports.choose().words, /says nothing yet/);
      const report = reports.adapt(client.lock("report"));
      for (let round = 0; round < 5; round++) {
        await report.withLock({ note: "a report" }, async (lease) => {
          assert.ok(lease.remaining > 25_000 && lease.remaining <= 30_000, `${lease.remaining}`);
          assert.equal((await client.inspect("report")).holder?.who.note, "a report");
        });
      }
      const { ttl, wait, holds, hold } = reports.choose();
      assert.deepEqual([ttl, wait, holds], [1000, 1000, 5]);
      assert.ok(hold >= 0 && hold <= 1000);
      const lease = await report.acquire();
      assert.ok(lease.remaining > 0 && lease.remaining <= 1000, `${lease.remaining}`);
      assert.equal(reports.choose().holds, 5);
      await lease.release();
      assert.equal(await lease.release(), "repeated");
      assert.equal(reports.choose().holds, 6);
      assert.equal(inspect(report), '<AdaptedLock "report">');
      assert.equal(inspect(reports), `<AdaptiveTtl: ${reports.choose().words}>`);
      await nothingLeft(client, "report");
    });

    test("the chosen wait runs out, and a signal ends it before", async () => {
      await using client = connect(url());
      const reports = new AdaptiveTtl();
      for (let round = 0; round < 10; round++) {
        reports.waited(0);
        reports.held("4s");
      }
      assert.ok(Math.abs(reports.choose().ttl - 6000) < 1);
      assert.equal(reports.choose().load, 0);
      const report = reports.adapt(client.lock("report"));
      await client.withLock("report", async () => {
        const { signal } = new AbortController();
        await assert.rejects(report.acquire({ signal }), LockTimeoutError);
        const ended = AbortSignal.timeout(20);
        await assert.rejects(report.acquire({ signal: ended }), (error) => error === ended.reason);
      });
      assert.ok(reports.choose().load > 0);
      await nothingLeft(client, "report");
    });
  });
}

test("what is wrong is said", async () => {
  await using client = connect("memory://");
  const reports = new AdaptiveTtl();
  // What TypeScript would refuse, and JavaScript doesn't.
  const wrong = (value: unknown): never => value as never;
  assert.throws(() => reports.held(-1), InvalidInputError);
  assert.throws(() => reports.waited(wrong({})), TypeError);
  assert.throws(() => reports.adapt(wrong("report")), TypeError);
  const report = reports.adapt(client.lock("report"));
  await assert.rejects(report.acquire(wrong({ ttl: 1 })), /ttl/);
  await assert.rejects(report.acquire(wrong({ wait: 1 })), /wait/);
  const manager = new Manager({
    stores: { main: { url: "memory://" } },
    defaults: { store: "main" },
  });
  assert.equal(reports.choose().holds, 0);
  // A manager's lock has a history, too.
  await (await reports.adapt(manager.lock("a")).acquire()).release();
  await manager.shutdown();
  assert.equal(reports.choose().holds, 1);
});
