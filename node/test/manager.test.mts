/**
 * Locks by name from one configuration. Its rules are shown in core/tests/manager; here it is what Node makes
 * of them.
 */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";

import {
  InvalidInputError,
  LockError,
  LockTimeoutError,
  Manager,
  StoreFailedError,
  UnsupportedError,
  connect,
} from "leasehold";

import { eventually, folder } from "./help.mjs";

const toml = (local: string): string => `
  [stores.main]
  url = "memory://${randomUUID()}"
  [stores.local]
  url = "${local}"

  [defaults]
  store = "main"
  ttl = "20s"
  note = "by default"

  [prefix."report:"]
  store = "local"
  wait = "none"

  [name."workers"]
  kind = "semaphore"
  capacity = 3
  [name."prices"]
  kind = "rwlock"

  [permissions]
  evict = true
`;

function managed(context: TestContext): [manager: Manager, local: string] {
  const local = `sqlite://${folder()}/locks.db`;
  const manager = Manager.fromToml(toml(local));
  context.after(() => manager.shutdown(5000));
  return [manager, local];
}

test("the configuration says what a name is", async (context) => {
  const [manager, local] = managed(context);
  await manager.lock("a").withLock(async (lease) => {
    assert.ok(lease.remaining > 0 && lease.remaining <= 20_000);
    assert.ok(await manager.isLocked("a"));
    const holder = await manager.holder("a");
    assert.equal(holder?.fence, lease.fence);
    const { host, pid, language, note } = holder.who;
    assert.deepEqual([host, pid, language, note], [hostname(), process.pid, "node", "by default"]);
  });
  assert.equal(await manager.holder("a"), null);
  const options = { ttl: "5s", note: "said here" };
  await manager.lock("report:1").withLock(options, async (lease) => {
    assert.ok(lease.remaining <= 5000);
    await assert.rejects(manager.lock("report:1").acquire(), LockTimeoutError);
    assert.equal(await manager.lock("report:1").tryAcquire(), null);
    // In the other store, by its plain name.
    const held = (await connect(local).inspect("report:1")).holder;
    assert.deepEqual([held?.fence, held?.who.note], [lease.fence, "said here"]);
  });
  const [one, other] = [
    await manager.rwlock("prices").read().acquire(),
    await manager.rwlock("prices").read().acquire(),
  ];
  assert.equal(one.epoch, other.epoch);
  assert.equal(await manager.rwlock("prices").write().tryAcquire(), null);
  const slots = manager.semaphore("workers");
  assert.equal(slots.capacity, 3);
  const all = await slots.permits(3).acquire();
  await slots.resize(4);
  await slots.permits().withLock(() => undefined);
  for (const lease of [one, other, all]) {
    await lease.release();
  }
});

test("all stores are listed", async (context) => {
  const [manager, local] = managed(context);
  const client = connect(local);
  // What lies under a name that belongs elsewhere is left out.
  const leases = [await client.acquire("a")];
  for (const name of ["a", "report:2", "report:1"]) {
    leases.push(await manager.lock(name).acquire());
  }
  const found = (await manager.list()).map(({ store, lock }) => [store, lock.name]);
  assert.deepEqual(found, [
    ["main", "a"],
    ["local", "report:1"],
    ["local", "report:2"],
  ]);
  const page = await manager.list("report:", { after: "report:1", limit: 5 });
  assert.deepEqual(
    page.map(({ lock }) => lock.name),
    ["report:2"],
  );
  for (const lease of leases) {
    await lease.release();
  }
});

test("a lock is taken away", async (context) => {
  const [manager] = managed(context);
  const lease = await manager.lock("a").acquire();
  const heard = lease.askedBack().next();
  const revoked = await manager.revoke("a", { why: "now", grace: 50 });
  assert.equal((await heard).value?.why, "now");
  assert.deepEqual([revoked.state, revoked.fence], ["evicted", lease.fence]);
  await assert.rejects(lease.extend("20s"), { code: "LOCK_LOST" });
  const other = await manager.lock("a").acquire();
  assert.equal(await manager.evict("a", { why: "now", fence: lease.fence }), null);
  assert.equal((await manager.askBack("a", { why: "now", grace: 20 })).state, "still_held");
  assert.equal(await manager.evict("a", { why: "now" }), other.fence);
  await other.release();
});

test("what is not permitted is refused", async () => {
  const audit = join(folder(), "audit.jsonl");
  const manager = new Manager({ stores: { main: { url: "memory://" } } }, { audit });
  const lease = await manager.lock("a").acquire();
  await assert.rejects(manager.evict("a", { why: "now" }), UnsupportedError);
  await assert.rejects(manager.revoke("a", { why: "now", grace: 20 }), UnsupportedError);
  assert.ok(lease.isHeld);
  await lease.release();
  await manager.shutdown();
});

test("an object says the same", async () => {
  const manager = new Manager({
    stores: { main: { url: "memory://" }, other: { url: "memory://" } },
    defaults: { store: "main", ttl: 2.5, wait: "forever" },
    prefix: { "x:": { store: "other", ttl: "7s", renew: false } },
    name: { s: { kind: "semaphore", capacity: 2 } },
  });
  await manager.lock("a").withLock((lease) => assert.ok(lease.remaining <= 2500));
  await manager.lock("x:1").withLock(async (lease) => {
    assert.ok(lease.remaining > 2500 && lease.remaining <= 7000);
    assert.equal((await manager.list())[0]?.store, "other");
  });
  assert.equal(manager.semaphore("s").capacity, 2);
  await manager.shutdown();
});

test("what is wrong is named, without a secret", () => {
  const stores = { m: { url: "memory://" } };
  const wrong: [config: unknown, message: RegExp][] = [
    [{}, /no store/],
    [{ stores, nmae: {} }, /nmae/],
    [{ stores: { m: { url: "nowhere://host" } } }, /store "m"/],
    [{ stores, prefix: { "r:": { store: "n" } } }, /prefix "r:".*no store "n"/],
    [{ stores, name: { s: { kind: "semaphore" } } }, /name "s"/],
    [{ stores, defaults: { ttl: true } }, /number of seconds/],
    [{ stores: { m: "redis://u:canary@host" } }, /the configuration/],
    [{ stores, defaults: { store: "redis://u:canary@host" } }, /no store/],
  ];
  for (const [config, message] of wrong) {
    assert.throws(
      () => new Manager(config as never),
      (error: unknown) => {
        assert.ok(error instanceof InvalidInputError || error instanceof UnsupportedError);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /canary/);
        return true;
      },
    );
  }
  assert.throws(() => new Manager("stores" as never), TypeError);
  const path = join(folder(), "locks.toml");
  assert.throws(() => Manager.fromFile(path), StoreFailedError);
  writeFileSync(path, "stores = 1\n");
  assert.throws(() => Manager.fromFile(path), /line 1/);
});

test("a name has one kind", (context) => {
  const [manager] = managed(context);
  assert.throws(() => manager.lock("workers"), /semaphore/);
  assert.throws(() => manager.rwlock("workers"), InvalidInputError);
  assert.throws(() => manager.semaphore("a"), InvalidInputError);
  assert.throws(() => manager.lock(""), InvalidInputError);
});

test("a lock of a manager is of no client", async (context) => {
  const [manager] = managed(context);
  await assert.rejects(connect("memory://").acquireAll([manager.lock("a")]), /another client/);
});

test("usage is counted by name", async (context) => {
  const [manager] = managed(context);
  assert.equal(manager.usage("a"), null);
  const lease = await manager.lock("a").acquire();
  const waiting = manager.lock("a").acquire();
  await eventually(() => manager.usage("a")?.waiting === 1, "one waits");
  const usage = manager.usage("a");
  assert.equal(usage?.held, 1);
  assert.ok(usage.lastUsed instanceof Date && usage.lastUsed.getTime() > 1.6e12);
  assert.deepEqual(
    manager.usages().map(({ name }) => name),
    ["a"],
  );
  await lease.release();
  await (await waiting).release();
  assert.equal(manager.usage("a")?.held, 0);
});

test("health says what each store does", async () => {
  const nowhere = join(folder(), "file");
  writeFileSync(nowhere, "");
  const manager = new Manager({
    stores: { good: { url: "memory://" }, bad: { url: `sqlite://${nowhere}/locks.db` } },
    defaults: { store: "good" },
  });
  const lease = await manager.lock("a").acquire();
  const [bad, good] = await manager.health();
  assert.deepEqual([bad?.store, good?.store], ["bad", "good"]);
  assert.ok(bad?.error instanceof LockError);
  assert.equal(bad.roundTrip, undefined);
  assert.ok(good?.roundTrip !== undefined && good.roundTrip >= 0);
  assert.deepEqual([good.held, good.waiting, good.error], [1, 0, undefined]);
  await lease.release();
  await manager.shutdown();
});
