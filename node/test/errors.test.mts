/** Every code of the library has a class, and each says what it should. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";

import * as leasehold from "leasehold";
import { LockError, LockLostError, LockTimeoutError, StoreFailedError, connect } from "leasehold";

import { HERE, folder } from "./help.mjs";

const require = createRequire(import.meta.url);
const internal = (name: string): Record<string, unknown> =>
  require(join(HERE, "dist", `${name}.js`)) as Record<string, unknown>;
const { BY_CODE, fromFailure } = internal("errors") as unknown as {
  BY_CODE: Record<string, new (message: string) => LockError>;
  fromFailure: (failure: object, lock?: string) => LockError;
};
const { native } = internal("native") as {
  native: { errorCodes(): string[]; lostReasons(): string[] };
};

test("every code of the core has a class of its own, which is exported", () => {
  assert.deepEqual(Object.keys(BY_CODE).sort(), native.errorCodes().sort());
  for (const [code, kind] of Object.entries(BY_CODE)) {
    const error = new kind("what was wrong");
    assert.equal(error.code, code);
    assert.equal(error.name, kind.name);
    assert.equal((leasehold as Record<string, unknown>)[kind.name], kind, `${kind.name} exported`);
    assert.ok(error instanceof LockError && error instanceof Error);
    assert.match(String(error.stack), new RegExp(`^${kind.name}: what was wrong`));
  }
  assert.equal(new Set(Object.values(BY_CODE)).size, native.errorCodes().length);
});

test("every reason for a loss is known", () => {
  const { LOST_REASONS } = internal("plain") as { LOST_REASONS: string[] };
  assert.deepEqual([...LOST_REASONS].sort(), native.lostReasons().sort());
});

test("an error of each code carries the core's message, causes and word on a retry", () => {
  for (const code of native.errorCodes()) {
    const retryable = ["LOCK_TIMEOUT", "QUEUE_FULL", "CANCELLED", "STORE_UNAVAILABLE"].includes(
      code,
    );
    const causes = ["the near one", "the far one"];
    const error = fromFailure({ code, message: "m", retryable, causes, reason: "expired" }, "a");
    assert.equal(error.constructor, BY_CODE[code]);
    assert.deepEqual(
      [error.message, error.retryable, error.reason, error.lock],
      ["m", retryable, "expired", "a"],
    );
    const near = error.cause as Error;
    assert.equal(near.message, "the near one");
    assert.equal((near.cause as Error).message, "the far one");
    assert.equal((near.cause as Error).cause, undefined);
  }
});

test("a forked lease is a lost one", () => {
  assert.ok(new leasehold.ForkedError("m") instanceof LockLostError);
});

test("import and require give the same classes", () => {
  const required = require("leasehold") as typeof leasehold;
  for (const name of Object.keys(leasehold).filter((name) => name !== "default")) {
    const both = [leasehold, required] as unknown as Record<string, unknown>[];
    assert.equal(both[0]?.[name], both[1]?.[name], name);
  }
});

test("causes are chained, and the caller is in the stack", async () => {
  const blocked = join(folder(), "file");
  writeFileSync(blocked, "not a folder");
  async function caller(): Promise<void> {
    await connect(`sqlite://${blocked}/locks.db`).ping();
  }
  await assert.rejects(caller, (error: unknown) => {
    assert.ok(error instanceof StoreFailedError);
    assert.ok(error.message.includes(blocked), error.message);
    assert.equal(error.retryable, false);
    assert.ok(error.cause instanceof Error);
    assert.match(String(error.stack), /at caller/);
    return true;
  });
});

test("an error that comes later has its caller in the stack, too", async () => {
  const client = connect("memory://");
  await client.acquire("a");
  async function caller(): Promise<void> {
    await client.acquire("a", { wait: 20 });
  }
  await assert.rejects(caller, (error: unknown) => {
    assert.ok(error instanceof LockTimeoutError);
    assert.match(String(error.stack), /at async caller/);
    return true;
  });
  await client.shutdown();
});
