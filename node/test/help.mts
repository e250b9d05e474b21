/**
 * What the tests share: a place of its own on each store, a real Redis behind a network that fails on
 * command, child processes, and the one bounded wait.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import type { Client } from "leasehold";

/** Beyond it something hangs. Never a measure: the machine may be slow and busy. */
export const PATIENCE = 60_000;

/** The package's folder. */
export const HERE = join(import.meta.dirname, "..");

/** What cargo has built. */
export const TARGET = process.env["CARGO_TARGET_DIR"] ?? join(HERE, "..", "target");

/** A Redis of our own, and the testkit's fault proxy before it (testkit/src/bin/redis.rs). */
export class Redis {
  /** Through the proxy. */
  readonly url: string;
  /** Not through the proxy. */
  readonly direct: string;
  readonly #say: (command: string) => Promise<string>;

  private constructor(urls: string, say: (command: string) => Promise<string>) {
    [this.url = "", this.direct = ""] = urls.split(" ");
    this.#say = say;
  }

  /** Starts one, or says why there is none. */
  static async start(): Promise<Redis | string> {
    const program = join(TARGET, "debug", "redis");
    if (!existsSync(program)) {
      return `${program} is missing: cargo build -p leasehold-testkit --bins`;
    }
    const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const line = async (): Promise<string> => (await lines.next()).value ?? "error it has ended";
    after(() => child.stdin.end());
    const [word, ...rest] = (await line()).split(" ");
    if (word !== "ready") {
      return rest.join(" ");
    }
    return new Redis(rest.join(" "), (command) => {
      child.stdin.write(`${command}\n`);
      return line();
    });
  }

  /** Tells it something and waits until that is done. */
  async do(command: string): Promise<string> {
    const answer = await this.#say(command);
    assert.ok(!answer.startsWith("error "), answer);
    return answer;
  }
}

const found = await Redis.start();
const required = (process.env["REQUIRE"] ?? "").replaceAll(",", " ").split(" ");
if (typeof found === "string" && required.includes("redis")) {
  throw new Error(`REQUIRE names redis, which can't be had: ${found}`);
}

/** The server, where there is one. */
export const redis = typeof found === "string" ? undefined : found;

/** Why tests that need it are skipped. */
export const noRedis = typeof found === "string" ? found : false;

/** A PostgreSQL or a MariaDB of our own (testkit/src/bin/database.rs): its URL, or why there is none. */
export async function database(name: "postgresql" | "mariadb"): Promise<URL | string> {
  const program = join(TARGET, "debug", "database");
  const start = async (): Promise<URL | string> => {
    if (!existsSync(program)) {
      return `${program} is missing: cargo build -p leasehold-testkit --bins`;
    }
    const child = spawn(program, [name], { stdio: ["pipe", "pipe", "inherit"] });
    after(() => child.stdin.end());
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const [word, ...rest] = ((await lines.next()).value ?? "absent it has ended").split(" ");
    return word === "ready" ? new URL(rest.join(" ")) : rest.join(" ");
  };
  const found = await start();
  if (typeof found === "string" && required.includes(name)) {
    throw new Error(`REQUIRE names ${name}, which can't be had: ${found}`);
  }
  return found;
}

/** A store that tests run on. */
export interface Store {
  readonly name: string;
  /** Why its tests are skipped. */
  readonly skip: string | false;
  /** A place of its own, on each call. */
  url(): string;
}

/** Stores that other threads and processes can reach. */
export const SHARED: readonly Store[] = [
  { name: "sqlite", skip: false, url: () => `sqlite://${folder()}/locks.db` },
  {
    name: "redis",
    skip: noRedis,
    url: () => `${redis?.direct}?prefix=${crypto.randomUUID()}:`,
  },
];

/** Every store. */
export const STORES: readonly Store[] = [
  { name: "memory", skip: false, url: () => "memory://" },
  ...SHARED,
];

/** A folder of the test's own, removed at the end. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "leasehold-node-"));
  folders.push(path);
  return path;
}

const folders: string[] = [];
after(() => folders.forEach((path) => rmSync(path, { recursive: true, force: true })));

/**
 * Waits until `condition` holds. What a dropped attempt or lease leaves is cleared in the background,
 * and nothing tells when: hence the polling.
 */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
): Promise<void> {
  const limit = performance.now() + PATIENCE;
  while (!(await condition())) {
    assert.ok(performance.now() < limit, `never came true: ${what}`);
    await sleep(2);
  }
}

/** Asserts that the lock becomes free and its queue empty. The callers' ttls are far longer. */
export function nothingLeft(client: Client, name: string): Promise<void> {
  return eventually(async () => {
    const { holder, waiting } = await client.inspect(name);
    return holder === undefined && waiting === 0;
  }, `lock ${name} free and without waiters`);
}

/** Waits until `count` attempts wait for the lock. */
export function queued(client: Client, name: string, count = 1): Promise<void> {
  return eventually(
    async () => (await client.inspect(name)).waiting === count,
    `${count} waiters of ${name}`,
  );
}

/** Blocks this thread and its event loop. */
export function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

setFlagsFromString("--expose-gc");
/** Collects what nobody refers to. */
export const collect = runInNewContext("gc") as () => void;

/** A number from 0 to 1, from a seed that is printed: SEED=… replays it. */
export function randomness(): () => number {
  let state = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`SEED=${state}`);
  // mulberry32, by Tommy Ettinger (public domain).
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How a program ended. */
export interface End {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a program in a process of its own, which is never left behind, to its end. */
export async function run(
  program: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<End> {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program, "--", ...args], {
    cwd: HERE,
    env: { ...process.env, NODE_OPTIONS: "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: PATIENCE,
    killSignal: "SIGKILL",
  });
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, out, err };
}
