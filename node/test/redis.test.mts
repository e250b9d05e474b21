/**
 * A real Redis on a network that fails: what JavaScript that holds a lock is told, and when.
 *
 * The lock is kept by a thread that JavaScript can't hold up. So a loop that is blocked costs nobody
 * the lock; and where it is lost at the same time, the first look says so.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { afterEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { LockLostError, StoreUnavailableError, connect } from "leasehold";
import type { Client, Lease } from "leasehold";

import { PATIENCE, block, noRedis, queued, redis } from "./help.mjs";

/** Short enough to be waited out. */
const TTL = 1000;
/** What a loaded machine may add. */
const SLACK = 2000;

/** Waits for the loss, with the process kept alive meanwhile. */
async function lost(lease: Lease): Promise<LockLostError> {
  await sleep(PATIENCE, null, { signal: lease.signal }).catch(() => null);
  assert.ok(lease.signal.aborted, "the loss was told");
  assert.ok(lease.signal.reason instanceof LockLostError);
  return lease.signal.reason;
}

describe("redis", { skip: noRedis }, () => {
  const on = (what: string, body: (client: Client, other: Client) => Promise<void>): void => {
    test(what, async () => {
      const client = connect(redis?.url);
      // Another program, on a network that doesn't fail.
      const other = connect(redis?.direct);
      await body(client, other);
      await redis?.do("heal");
      await redis?.do("plug");
      await client.shutdown();
      await other.shutdown();
    });
  };
  const tell = async (command: string): Promise<void> => void (await redis?.do(command));

  afterEach(async () => {
    for (const command of ["heal", "plug", "wake", "admin FLUSHALL"]) {
      await tell(command);
    }
  });

  on("cut off while holding", async (client, other) => {
    const lease = await client.acquire("a", { ttl: TTL });
    const told: string[] = [];
    lease.onLost((reason) => told.push(reason));
    const rival = other.acquire("a", { wait: PATIENCE }).then((theirs) => {
      // The one thing that must never be: at this moment both believe.
      assert.ok(!lease.isHeld);
      return theirs;
    });
    await queued(other, "a");
    await tell("black-hole");
    const { remaining } = lease;
    const cut = performance.now();
    assert.ok(remaining <= TTL);
    const error = await lost(lease);
    assert.ok(performance.now() <= cut + remaining + SLACK);
    assert.deepEqual(
      [error.code, error.reason, error.lock],
      ["LOCK_LOST", "store_unreachable", "a"],
    );
    assert.ok(!lease.isHeld);
    assert.deepEqual(told, ["store_unreachable"]);
    const theirs = await rival;
    assert.ok(theirs.fence > lease.fence);
    await tell("heal");
    assert.equal(await lease.release(), "lost");
    assert.equal(await theirs.release(), "released");
  });

  on("cut off in a body, which passes the signal on", async (client) => {
    let [cut, remaining] = [0, 0];
    const body = async (lease: Lease): Promise<void> => {
      await tell("black-hole");
      [cut, remaining] = [performance.now(), lease.remaining];
      await sleep(PATIENCE, null, { signal: lease.signal });
    };
    await assert.rejects(client.withLock("a", { ttl: TTL }, body), (error: unknown) => {
      // The body's own error is what sleep() made of the reason.
      assert.ok(error instanceof Error && error.name === "AbortError");
      assert.ok(error.cause instanceof LockLostError);
      assert.equal(error.cause.reason, "store_unreachable");
      return true;
    });
    assert.ok(performance.now() <= cut + remaining + SLACK, "the release waited for nothing");
  });

  on("a blocked loop keeps its lock", async (client, other) => {
    const lease = await client.acquire("a", { ttl: TTL });
    const { signal } = lease;
    block(3 * TTL);
    assert.ok(lease.isHeld, lease.lostReason);
    assert.equal((await other.inspect("a")).holder?.fence, lease.fence);
    // Nothing that was put off meanwhile says otherwise.
    await sleep(50);
    assert.ok(lease.isHeld && !signal.aborted);
    assert.equal(await lease.release(), "released");
  });

  on("what a blocked loop does not read is read", async (client, other) => {
    // From here on the loop reads by itself.
    await (await client.acquire("warm", { ttl: TTL })).release();
    const first = await other.acquire("b");
    const waiting = client.acquire("b", { ttl: TTL });
    await queued(other, "b");
    const names = ["b", "a", "c", "d", "e", "f"];
    const asked = names.slice(1).map((name) => client.acquire(name, { ttl: TTL }));
    const released = first.release();
    // The answers, and the push of a grant, lie in the socket. Time itself is what is waited for: the look
    // comes when whatever was not renewed has expired.
    const look = `
      import { connect } from "leasehold";
      const client = connect(${JSON.stringify(redis?.direct)});
      await new Promise((resolve) => setTimeout(resolve, ${2 * TTL}));
      const locks = await Promise.all(${JSON.stringify(names)}.map((name) => client.inspect(name)));
      console.log(JSON.stringify(locks.map((lock) => lock.holder?.fence)));
    `;
    const seen = execFileSync(process.execPath, ["--input-type=module", "--eval", look], {
      cwd: import.meta.dirname,
    });
    assert.equal(await released, "released");
    const leases = await Promise.all([waiting, ...asked]);
    // Else they expired before anyone knew of them, and were taken a second time.
    assert.deepEqual(
      leases.map((lease) => lease.fence),
      JSON.parse(seen.toString()),
    );
    assert.ok(leases.every((lease) => lease.isHeld));
  });

  on("a blocked loop knows of its loss at the first look", async (client) => {
    const lease = await client.acquire("a", { ttl: TTL });
    const { signal } = lease;
    await tell("black-hole");
    block(3 * TTL);
    assert.ok(!lease.isHeld, "the first look");
    assert.ok(!signal.aborted, "no turn of the loop yet");
    assert.throws(() => lease.signal.throwIfAborted(), LockLostError);
    assert.ok(signal.aborted, "the same signal");
  });

  on("an attempt that is cut off ends with its wait, or its signal", async (client, other) => {
    const first = await other.acquire("a");
    await client.ping();
    await tell("black-hole");
    const started = performance.now();
    await assert.rejects(client.acquire("a", { wait: 200 }), /./);
    const signal = AbortSignal.timeout(200);
    await assert.rejects(client.acquire("a", { signal }), { name: "TimeoutError" });
    assert.ok(performance.now() - started < 400 + SLACK);
    await tell("heal");
    await first.release();
    await queued(other, "a", 0);
    await other.withLock("a", { wait: PATIENCE }, (lease) => assert.ok(lease.isHeld));
  });

  on("a release that is cut off goes on in the background", async (client, other) => {
    const lease = await client.acquire("a", { ttl: "1h" });
    await tell("black-hole");
    const started = performance.now();
    assert.equal(await lease.release(), "background");
    assert.ok(performance.now() - started < 1000 + SLACK);
    assert.ok(!lease.isHeld);
    await tell("heal");
    await other.withLock("a", { wait: PATIENCE }, (next) => assert.ok(next.fence > lease.fence));
  });

  on("a stopped server", async (client) => {
    const long = await client.acquire("long", { ttl: "60s" });
    const short = await client.acquire("short", { ttl: TTL });
    await tell("pause");
    assert.equal((await lost(short)).reason, "store_unreachable");
    await tell("wake");
    assert.ok(long.isHeld);
    assert.equal(await short.release(), "lost");
    await client.withLock("short", { wait: PATIENCE }, ({ fence }) =>
      assert.ok(fence > short.fence),
    );
  });

  on("a restarted server, without its data", async (client) => {
    const lease = await client.acquire("a", { ttl: TTL });
    await tell("restart");
    assert.match((await lost(lease)).reason ?? "", /^(expired|superseded)$/);
    await client.withLock("a", { wait: PATIENCE }, ({ fence }) => assert.ok(fence > lease.fence));
  });

  test("an unreachable server is named, its password isn't", async () => {
    await tell("unplug");
    const client = connect(redis?.url.replace("://", "://locks:c4n4ry@"));
    await assert.rejects(client.acquire("a"), (error: unknown) => {
      assert.ok(error instanceof StoreUnavailableError);
      assert.match(error.message, /127\.0\.0\.1/);
      assert.doesNotMatch(`${error.stack} ${error.cause} ${client.url}`, /c4n4ry/);
      return true;
    });
  });
});
