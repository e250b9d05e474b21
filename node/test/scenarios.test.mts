/** What every language must do alike: the scenarios of scenarios/*.json, on every store. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { LockError, Owner, connect } from "leasehold";
import type { Client, Lease, Lock, LockOptions } from "leasehold";

import { HERE, PATIENCE, STORES, TARGET, nothingLeft, queued, redis } from "./help.mjs";

const FOLDER = join(HERE, "..", "scenarios");

/** The file for what this run plays, from which the table in FEATURES.md is made. */
const PLAYED = join(TARGET, "scenarios", "node.tsv");
mkdirSync(join(TARGET, "scenarios"), { recursive: true });
writeFileSync(PLAYED, "");

interface Step {
  readonly do: string;
  readonly who?: string;
  readonly client?: 1 | 2;
  readonly lock?: string;
  readonly ttl?: number;
  readonly wait?: number;
  readonly renew?: boolean;
  readonly max_hold?: number;
  readonly priority?: number;
  readonly note?: string;
  readonly read?: boolean;
  readonly permits?: number;
  readonly capacity?: number;
  readonly owner?: number;
  readonly min?: number;
  readonly count?: number;
  readonly holder?: string | null;
  readonly waiting?: number;
  readonly order?: readonly string[];
  readonly url?: string;
  readonly expect?: string | boolean;
}

class Runner {
  readonly #clients: readonly [Client, Client];
  readonly #leases = new Map<string, Lease>();
  readonly #started = new Map<string, { abort: AbortController; outcome: Promise<string> }>();

  readonly #url: string;
  readonly #others = new Map<string, ChildProcess>();

  /** At `url`; the first client is behind a network that can be cut, where there is one. */
  constructor(url: string) {
    this.#url = url;
    const first = redis === undefined ? url : url.replace(redis.direct, redis.url);
    this.#clients = [connect(first), connect(url)];
  }

  async step(step: Step): Promise<void> {
    const { lock = "", who = "", expect } = step;
    const observer = this.#clients[1];
    switch (step.do) {
      case "acquire":
      case "try":
        return assert.equal(await this.#take(step), expect);
      case "start": {
        const abort = new AbortController();
        const outcome = this.#take(step, abort.signal);
        return void this.#started.set(who, { abort, outcome });
      }
      case "outcome":
        return assert.equal(await this.#started.get(who)?.outcome, expect);
      case "cancel":
        return this.#started.get(who)?.abort.abort("cancelled");
      case "release":
        return assert.equal(await this.#lease(who).release(), expect);
      case "extend":
        return assert.equal(await code(() => this.#lease(who).extend(step.ttl ?? 0)), expect);
      case "downgrade":
        return assert.equal(await code(() => this.#lease(who).downgrade()), expect);
      case "upgrade":
        return assert.equal(await code(() => this.#lease(who).upgrade()), expect);
      case "kind":
        return assert.equal(this.#lease(who).kind, expect);
      case "epoch":
        return assert.equal(
          this.#lease(who).epoch,
          step.holder == null ? undefined : this.#lease(step.holder).fence,
        );
      case "evict": {
        const fence = who === "" ? undefined : this.#lease(who).fence;
        return assert.equal(
          (await observer.evict(lock, { fence, why: "a test" })) !== null,
          expect,
        );
      }
      case "check":
        return assert.equal(await code(() => this.#lease(who).check(step.min)), expect);
      case "held":
        return assert.equal(this.#lease(who).isHeld, expect);
      case "lost": {
        const { signal } = this.#lease(who);
        await sleep(PATIENCE, null, { signal }).catch(() => null);
        return assert.equal(this.#lease(who).lostReason, expect);
      }
      case "queued":
        return queued(observer, lock, step.count);
      case "free":
        return nothingLeft(observer, lock);
      case "inspect": {
        const { holder, waiting } = await observer.inspect(lock);
        const wanted = step.holder == null ? undefined : this.#lease(step.holder).fence;
        assert.deepEqual([holder?.fence, waiting], [wanted, step.waiting]);
        return assert.equal(holder?.who.note, step.note ?? holder?.who.note);
      }
      case "fences": {
        const fences = (step.order ?? []).map((name) => this.#lease(name).fence);
        return fences.forEach((fence, n) => assert.ok(n === 0 || fence > Number(fences[n - 1])));
      }
      case "shutdown":
        return void (await this.#client(step).shutdown(5000));
      case "partition":
        return void (await redis?.do("black-hole"));
      case "heal":
        return void (await redis?.do("heal"));
      case "process":
        return void this.#others.set(who, await this.#process(step));
      case "kill": {
        const other = this.#others.get(who);
        const gone = once(other ?? assert.fail(`${who} is a process`), "exit");
        other?.kill("SIGKILL");
        return void (await gone);
      }
      case "connect":
        return assert.equal(await code(() => connect(step.url)), expect);
      default:
        assert.fail(`${step.do} is unknown`);
    }
  }

  /** Another process that takes the lock, or waits for it: testkit/src/bin/holder.rs. */
  async #process({ lock = "", ttl = 30_000, expect }: Step): Promise<ChildProcess> {
    const child = spawn(join(TARGET, "debug", "holder"), [this.#url, lock, String(ttl)]);
    child.stderr.pipe(process.stderr);
    if (expect === "held") {
      for await (const line of createInterface(child.stdout)) {
        if (line.startsWith("granted")) {
          return child;
        }
      }
      assert.fail("it was never granted");
    }
    return child;
  }

  async end(): Promise<void> {
    await redis?.do("heal");
    this.#others.forEach((other) => other.kill("SIGKILL"));
    await Promise.all(this.#clients.map((client) => client.shutdown(5000)));
  }

  async #take(step: Step, signal?: AbortSignal): Promise<string> {
    const { lock = "", who = "", ttl, wait, renew, max_hold: maxHold, priority, note } = step;
    const owner = step.owner === undefined ? undefined : new Owner(BigInt(step.owner));
    const common: LockOptions = { ttl, renew, maxHold, note, owner, signal };
    const client = this.#client(step);
    const described = (): Lock => {
      if (step.permits !== undefined) {
        return client.semaphore(lock, step.capacity ?? 0).permits(step.permits);
      }
      return step.read === true ? client.rwlock(lock).read() : client.lock(lock);
    };
    try {
      const lease =
        step.do === "try"
          ? await described().tryAcquire(common)
          : await described().acquire({ ...common, wait, priority });
      if (lease !== null) {
        this.#leases.set(who, lease);
      }
      return lease === null ? "busy" : "held";
    } catch (error) {
      return error instanceof LockError ? error.code : String(error);
    }
  }

  #client({ client = 1 }: Step): Client {
    return this.#clients[client - 1] as Client;
  }

  #lease(who: string): Lease {
    const lease = this.#leases.get(who);
    assert.ok(lease, `${who} has a lease`);
    return lease;
  }
}

/** "ok", or the code of the error that `action` throws. */
async function code(action: () => unknown): Promise<string> {
  try {
    await action();
    return "ok";
  } catch (error) {
    return error instanceof LockError ? error.code : String(error);
  }
}

let named = 0;
for (const store of STORES) {
  describe(store.name, { skip: store.skip }, () => {
    for (const file of readdirSync(FOLDER).filter((name) => name !== "schema.json")) {
      const { scenarios } = JSON.parse(readFileSync(join(FOLDER, file), "utf8")) as {
        scenarios: { name: string; stores?: string[]; steps: Step[] }[];
      };
      const here = scenarios.filter(({ stores }) => stores?.includes(store.name) ?? true);
      for (const { name, steps } of here) {
        test(name, async () => {
          named += 1;
          const runner = new Runner(store.name === "memory" ? `memory://${named}` : store.url());
          try {
            for (const [index, step] of steps.entries()) {
              await runner.step(step).catch((cause: unknown) => {
                throw new Error(`${file}: step ${index + 1}: ${JSON.stringify(step)}`, { cause });
              });
            }
          } finally {
            await runner.end();
          }
          appendFileSync(PLAYED, `${basename(file, ".json")}\t${name}\t${store.name}\n`);
        });
      }
    }
  });
}
