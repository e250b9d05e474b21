/**
 * The end of a process: whatever is held or under way, it ends soon, quietly, and leaves nothing locked
 * for longer than it must.
 *
 * The ttls are an hour: what is free afterwards was given back.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, test } from "node:test";

import { connect } from "leasehold";

import { HERE, SHARED, nothingLeft, run } from "./help.mjs";

const START = `
  import { connect } from "leasehold";
  const client = connect(process.argv[1]);
  const ttl = "1h";
`;

// Name, program, exit code.
const ENDS: readonly [string, string, number][] = [
  ["a lease that is kept", `globalThis.lease = await client.acquire("a", { ttl });`, 0],
  ["process.exit in the body", `await client.withLock("a", { ttl }, () => process.exit(3));`, 3],
  [
    "process.exit beside a waiter",
    `await client.acquire("a", { ttl });
     client.acquire("a", { ttl });
     while ((await client.inspect("a")).waiting === 0);
     process.exit(4);`,
    4,
  ],
  [
    "a loss would be told",
    `const lease = await client.acquire("a", { ttl });
     lease.onLost(() => console.log("lost"));
     lease.signal.addEventListener("abort", () => {});`,
    0,
  ],
  [
    "a lead that is kept, and who observes it",
    `globalThis.lead = await client.election("a").campaign({ value: "v", ttl });
     globalThis.observer = client.election("a").observe();
     await observer.next();`,
    0,
  ],
  [
    "a place inside a barrier",
    `globalThis.inside = await client.barrier("p", 1).enter({ ttl });`,
    0,
  ],
  [
    "some of several",
    `globalThis.both = await client.acquireAll(["b", "a"], { ttl });
     await both.each[0].release();
     globalThis.each = await client.tryEach(["c", "d"], { ttl });`,
    0,
  ],
  [
    "process.exit beside a candidate, a latch and half a barrier",
    `globalThis.lead = await client.election("a").campaign({ ttl });
     client.election("a").campaign({ ttl });
     client.latch("l", 1).wait();
     client.barrier("b", 2).enter({ ttl });
     while ((await client.inspect("a")).waiting === 0 || !(await client.isLocked("b")));
     process.exit(5);`,
    5,
  ],
  [
    "the program's own exit hook",
    `const lease = await client.acquire("a", { ttl });
     process.on("beforeExit", async () => console.log(lease.isHeld, await lease.release()));
     process.once("beforeExit", () => {});`,
    0,
  ],
  [
    "many leases",
    `const all = [await client.acquire("a", { ttl })];
     for (let n = 0; n < 100; n += 1) all.push(await client.acquire("a" + n, { ttl }));
     process.exit(all.length - 101);`,
    0,
  ],
  ["nothing but the import", "", 0],
];

for (const store of SHARED) {
  describe(store.name, { skip: store.skip }, () => {
    for (const [what, program, code] of ENDS) {
      test(what, async () => {
        const url = store.url();
        const started = performance.now();
        const end = await run(START + program, [url]);
        assert.deepEqual([end.code, end.err], [code, ""]);
        if (what.includes("hook")) {
          assert.match(end.out, /^true released\n/);
        } else {
          assert.equal(end.out, what.includes("told") ? "lost\n".repeat(0) : "");
        }
        const client = connect(url);
        await nothingLeft(client, "a");
        assert.deepEqual(await client.list(), []);
        assert.equal(await client.election("a").leader(), null);
        assert.ok(performance.now() - started < 30_000);
      });
    }

    test("an uncaught error in the body", async () => {
      const url = store.url();
      const program = `await client.withLock("a", { ttl }, () => { throw new RangeError("mine"); });`;
      const end = await run(START + program, [url]);
      assert.equal(end.code, 1);
      assert.match(end.err, /RangeError: mine/);
      await nothingLeft(connect(url), "a");
    });

    test("process.exit with 1,000 attempts in every state", async () => {
      const url = store.url();
      const program = `
        const held = Array.from({ length: 20 }, (_, n) => client.acquire("n" + n, { ttl }));
        if (process.argv[2] % 2) await Promise.all(held);
        const queued = Array.from({ length: 10 }, (_, n) => client.acquire("n" + n, { ttl }));
        const late = Array.from({ length: 10 }, (_, n) => client.withLock("m" + n, { ttl }, () => 0));
        for (let turn = 0; turn < process.argv[2] % 5; turn += 1) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        process.exit(0);
      `;
      const client = connect(url);
      for (let tries = 0; tries < 25; tries += 1) {
        const end = await run(START + program, [url, String(tries)]);
        assert.deepEqual(end, { code: 0, out: "", err: "" });
        for (const info of await client.list("", { limit: 1000 })) {
          await nothingLeft(client, info.name);
        }
      }
    });

    test("a kill costs the ttl and no more", async () => {
      const url = store.url();
      const client = connect(url);
      const program = `${START}
        await client.acquire("a", { ttl: "1s" });
        console.log("held");
        setInterval(() => {}, 1000);
      `;
      const child = spawn(process.execPath, ["--input-type=module", "-e", program, "--", url], {
        cwd: HERE,
        stdio: ["ignore", "pipe", "inherit"],
      });
      await once(child.stdout, "data");
      child.kill("SIGKILL");
      await once(child, "exit");
      await client.withLock("a", { wait: "60s" }, (lease) => assert.ok(lease.isHeld));
    });
  });
}

test("a process that only waits stays alive", async () => {
  const program = `
    import { connect } from "leasehold";
    const client = connect("memory://");
    const first = await client.acquire("a", { ttl: 200, renew: false });
    console.log((await client.acquire("a")).isHeld);
  `;
  assert.deepEqual(await run(program), { code: 0, out: "true\n", err: "" });
});
