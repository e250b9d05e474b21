/**
 * Asking for a lock back, and hearing that one is asked. Its rules are shown in core/tests/manager; here it is
 * what Node makes of them.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { type AskedBack, type Client, InvalidInputError, connect } from "leasehold";

import { PATIENCE, STORES, collect, eventually, folder, run } from "./help.mjs";

/** A test of its own on each store. */
function onEachStore(what: string, body: (client: Client) => Promise<void>): void {
  for (const store of STORES) {
    test(`${store.name}: ${what}`, { skip: store.skip }, async () => {
      const client = connect(store.url());
      await body(client);
      await client.shutdown(5000);
    });
  }
}

onEachStore("a holder hears and gives back", async (client) => {
  const lease = await client.acquire("a", { note: "mine" });
  const asking = client.askBack("a", { why: "a newer one", grace: PATIENCE });
  for await (const asked of lease.askedBack()) {
    assert.equal(asked.why, "a newer one");
    assert.equal(asked.by.language, "node");
    assert.equal(asked.by.pid, process.pid);
    assert.ok(asked.grace > 0 && asked.grace <= PATIENCE);
    assert.ok(lease.isHeld);
    await lease.release();
  }
  const returned = await asking;
  assert.equal(returned.state, "given_back");
  assert.equal(returned.fence, lease.fence);
  assert.equal(returned.holder?.note, "mine");
  assert.deepEqual(await lease.askedBack().next(), { done: true, value: undefined });
});

onEachStore("one of several that were tried is asked for by its own name", async (client) => {
  const busy = await client.acquire("a");
  const [none, found] = await client.tryEach(["a", "b"]);
  assert.ok(none?.status === "fulfilled" && none.value === null);
  assert.ok(found?.status === "fulfilled" && found.value !== null);
  const next = found.value.askedBack().next();
  const asking = client.askBack("b", { why: "its own", grace: PATIENCE });
  assert.equal((await next).value?.why, "its own");
  await found.value.release();
  assert.equal((await asking).state, "given_back");
  await busy.release();
});

onEachStore("a holder that holds on", async (client) => {
  await client.withLock("a", async (lease) => {
    const returned = await client.askBack("a", { why: "now", grace: 50, fence: lease.fence });
    assert.deepEqual(
      [returned.state, returned.fence, returned.others],
      ["still_held", lease.fence, []],
    );
    const other = await client.askBack("a", { why: "now", grace: 50, fence: lease.fence + 1 });
    assert.deepEqual(other, { state: "not_held", others: [] });
  });
});

onEachStore("a callback is called with each request", async (client) => {
  const lease = await client.acquire("a");
  const told: string[] = [];
  lease.onAskedBack(({ why }) => {
    told.push(why);
  });
  for (const why of ["one", "other"]) {
    assert.equal((await client.askBack("a", { why, grace: 50 })).state, "still_held");
    await eventually(() => told.at(-1) === why, `it is told ${why}`);
  }
  assert.deepEqual(told, ["one", "other"]);
  assert.throws(() => lease.onAskedBack(1 as never), TypeError);
  await lease.release();
  lease.onAskedBack(({ why }) => {
    told.push(why);
  });
  assert.equal((await client.askBack("a", { why: "late", grace: 50 })).state, "not_held");
  assert.equal(told.length, 2);
});

onEachStore("what an aborted wait was told is told again", async (client) => {
  const lease = await client.acquire("a");
  for (let turns = 0; turns < 8; turns += 1) {
    const asking = new AbortController();
    const returned = client.askBack("a", {
      why: String(turns),
      grace: PATIENCE,
      signal: asking.signal,
    });
    const waiting = new AbortController();
    const next = lease.askedBack({ signal: waiting.signal }).next();
    // No event is awaited: the abort is to come at another moment each time, before and after the news.
    for (let turn = 0; turn < turns; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    waiting.abort(new Error("given up"));
    let asked: AskedBack | undefined;
    try {
      asked = (await next).value;
    } catch (error) {
      assert.equal((error as Error).message, "given up");
      // By an iterator of its own: the request is the lease's.
      asked = (await lease.askedBack().next()).value;
    }
    assert.equal(asked?.why, String(turns));
    asking.abort(new Error("enough"));
    await assert.rejects(returned, { message: "enough" });
  }
  await lease.release();
});

onEachStore("leaving the loop ends the wait", async (client) => {
  const lease = await client.acquire("a");
  const requests = lease.askedBack();
  const waiting = requests.next();
  await requests.return();
  assert.deepEqual(await waiting, { done: true, value: undefined });
  await lease.release();
});

onEachStore("a forgotten lease hears nothing and is given back", async (client) => {
  const warnings: string[] = [];
  const warned = (warning: Error): void => void warnings.push(warning.name);
  process.on("warning", warned);
  await (async (): Promise<void> => {
    const lease = await client.acquire("a", { ttl: "1h" });
    lease.onAskedBack(() => undefined);
  })();
  await eventually(async () => {
    collect();
    return !(await client.isLocked("a"));
  }, "it is given back");
  await eventually(() => warnings.length === 1, "that is said");
  process.off("warning", warned);
});

onEachStore("wrong requests are refused", async (client) => {
  for (const grace of [0, -1, NaN, "1x"]) {
    await assert.rejects(client.askBack("a", { why: "now", grace }), InvalidInputError);
  }
  await assert.rejects(
    client.askBack("a", { why: "x".repeat(257), grace: 100 }),
    InvalidInputError,
  );
  await assert.rejects(client.askBack("a", { grace: 100 } as never), TypeError);
});

test("a callback that throws keeps nobody from the news", async () => {
  const program = `
    import { connect } from "leasehold";
    const thrown = new Promise((resolve) =>
      process.on("uncaughtException", ({ message }) => resolve(message)),
    );
    const client = connect("memory://");
    const [a, b] = [await client.acquire("a"), await client.acquire("b")];
    a.onAskedBack(() => { throw new Error("not mine"); });
    const told = new Promise((resolve) => b.onAskedBack(({ why }) => resolve(why)));
    const options = { why: "please", grace: "1m" };
    const asking = [client.askBack("a", options), client.askBack("b", options)];
    console.log(await thrown, await told, await a.release(), await b.release());
    console.log((await Promise.all(asking)).map(({ state }) => state).join(" "));
  `;
  const { code, out, err } = await run(program);
  assert.deepEqual(
    [code, out, err],
    [0, "not mine please released released\ngiven_back given_back\n", ""],
  );
});

test("a listener in another process; it keeps none alive", async () => {
  const url = `sqlite://${folder()}/locks.db`;
  const client = connect(url);
  const program = `
    import { connect } from "leasehold";
    const lease = await connect(process.argv[1]).acquire("a");
    lease.onAskedBack(async ({ by, why }) => {
      console.log(by.pid, why, await lease.release());
      clearInterval(alive);
    });
    const alive = setInterval(() => {}, 1000);
  `;
  const holder = run(program, [url]);
  await eventually(() => client.isLocked("a"), "it is held there");
  const returned = await client.askBack("a", { why: "please", grace: PATIENCE });
  assert.equal(returned.state, "given_back");
  const { code, out, err } = await holder;
  assert.deepEqual([code, out, err], [0, `${process.pid} please released\n`, ""]);
  const idle = await run(
    `import { connect } from "leasehold";
     (await connect(process.argv[1]).acquire("a")).onAskedBack(console.log);`,
    [url],
  );
  assert.deepEqual([idle.code, idle.out], [0, ""]);
  await client.shutdown();
});

test("what is done to whom is in a file", async () => {
  const path = join(folder(), "audit.jsonl");
  const client = connect("memory://", { audit: path });
  await client.withLock("a", async () => {
    await client.askBack("a", { why: "now", grace: 20 });
  });
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const events = lines.map((line) => JSON.parse(line) as { outcome: string; lock: string });
  assert.deepEqual(
    events.map(({ outcome, lock }) => [outcome, lock]),
    [
      ["begun", "a"],
      ["still_held", "a"],
    ],
  );
  assert.throws(() => connect("memory://", { audit: join(path, "none") }), {
    code: "STORE_FAILED",
  });
  assert.throws(() => connect("memory://", { depth: 1 } as never), InvalidInputError);
});
