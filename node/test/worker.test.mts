/** Worker threads: they exclude one another, and the end of one gives back its own locks only. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";

import { connect } from "leasehold";

import { HERE, SHARED, nothingLeft, run } from "./help.mjs";

const START = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { connect } = require(${JSON.stringify(HERE)});
  const client = connect(workerData.url);
  const ttl = "1h";
`;

/** A worker that said something, and how it ends. */
interface Started {
  readonly worker: Worker;
  /** Its exit code, and the message of the error that it ended with. */
  readonly end: Promise<{ code: number; error?: string }>;
}

/** A worker that runs `program`, once it has said something. Its end is listened for from the start:
 * it may come before anybody here runs again. */
async function start(url: string, program: string, data: object = {}): Promise<Started> {
  const worker = new Worker(`${START}(async () => { ${program} })();`, {
    eval: true,
    workerData: { url, ...data },
  });
  const said = new Promise((resolve) => worker.once("message", resolve));
  let error: string | undefined;
  worker.once("error", (thrown: Error) => (error = thrown.message));
  const end = new Promise<{ code: number; error?: string }>((resolve) => {
    worker.once("exit", (code) => resolve(error === undefined ? { code } : { code, error }));
  });
  await Promise.race([said, end]);
  return { worker, end };
}

const STORES = [{ name: "memory", skip: false, url: () => "memory://workers" } as const, ...SHARED];

for (const store of STORES) {
  describe(store.name, { skip: store.skip }, () => {
    test("workers exclude one another", async () => {
      const url = store.url();
      const counter = new Int32Array(new SharedArrayBuffer(8));
      const program = `
        parentPort.postMessage("ready");
        for (let round = 0; round < 50; round += 1) {
          await client.withLock("a", async () => {
            const seen = workerData.counter[0];
            await new Promise((resolve) => setImmediate(resolve));
            workerData.counter[0] = seen + 1;
          });
        }
      `;
      const workers = await Promise.all([1, 2, 3, 4].map(() => start(url, program, { counter })));
      for (const { end } of workers) {
        assert.deepEqual(await end, { code: 0 });
      }
      assert.equal(counter[0], 200);
    });

    for (const [what, last, how] of [
      ["ends", "", { code: 0 }],
      ["calls process.exit", "process.exit(3);", { code: 3 }],
      ["throws", "setImmediate(() => { throw new Error('mine'); });", { code: 1, error: "mine" }],
    ] as const) {
      test(`a worker that ${what} gives back its own`, async () => {
        const url = store.url();
        const client = connect(url);
        const ours = await client.acquire("ours", { ttl: "1h" });
        const { end } = await start(
          url,
          `globalThis.lease = await client.acquire("its", { ttl });
           globalThis.lead = await client.election("its lead").campaign({ ttl });
           globalThis.inside = await client.barrier("its place", 1).enter({ ttl });
           globalThis.each = await client.tryEach(["its row"], { ttl });
           client.acquire("ours", { ttl }).catch(() => 0);
           while ((await client.inspect("ours")).waiting === 0);
           parentPort.postMessage("held");
           ${last || "process.exitCode = 0; setImmediate(() => process.exit());"}`,
        );
        assert.deepEqual(await end, how);
        for (const its of ["its", "its lead", "its place", "its row"]) {
          await nothingLeft(client, its);
        }
        assert.ok(ours.isHeld);
        assert.equal(await ours.release(), "released");
        await nothingLeft(client, "ours");
      });
    }

    test("workers that are terminated with 1,000 attempts in every state", async () => {
      const url = store.url();
      const client = connect(url);
      const ours = await client.acquire("ours", { ttl: "1h" });
      for (let tries = 0; tries < 20; tries += 1) {
        const { worker } = await start(
          url,
          `const held = Array.from({ length: 20 }, (_, n) => client.acquire("n" + n, { ttl }));
           if (workerData.tries % 2) await Promise.all(held);
           const queued = Array.from({ length: 10 }, (_, n) => client.acquire("n" + n, { ttl }));
           parentPort.postMessage("busy");
           client.acquire("ours", { ttl });
           for (let n = 0; ; n = (n + 1) % 19) {
             await client.withLock("m" + n, { ttl }, () => new Promise((go) => setImmediate(go)));
           }`,
          { tries },
        );
        await worker.terminate();
        for (const { name } of await client.list("", { limit: 1000 })) {
          if (name !== "ours") {
            await nothingLeft(client, name);
          }
        }
      }
      assert.ok(ours.isHeld);
      await ours.release();
      await nothingLeft(client, "ours");
    });
  });
}

for (const store of SHARED) {
  test(`${store.name}: the end of the process gives back what its workers hold`, async () => {
    const url = store.url();
    for (const here of [
      "",
      `await import(${JSON.stringify(pathToFileURL(`${HERE}/dist/index.mjs`))});`,
    ]) {
      const program = `
        import { once } from "node:events";
        import { Worker } from "node:worker_threads";
        ${here}
        const worker = new Worker(${JSON.stringify(
          `${START}(async () => {
            globalThis.lease = await client.acquire("a", { ttl });
            globalThis.both = await client.acquireAll(["b", "c"], { ttl });
            await both.each[0].release();
            parentPort.postMessage("held");
            setInterval(() => {}, 1000);
          })();`,
        )}, { eval: true, execArgv: [], workerData: { url: process.argv[1] } });
        await once(worker, "message");
        process.exit(5);
      `;
      assert.deepEqual(await run(program, [url]), { code: 5, out: "", err: "" });
      await nothingLeft(connect(url), "a");
      await nothingLeft(connect(url), "c");
    }
  });
}
