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
import type {
  Client,
  Inside,
  Latch,
  Leader,
  Leadership,
  Lease,
  Leases,
  Lock,
  LockOptions,
  Observer,
} from "leasehold";

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
  readonly locks?: readonly string[];
  readonly value?: string;
  readonly latch?: number;
  readonly parties?: number;
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
  readonly deadlock_priority?: number;
  readonly url?: string;
  readonly expect?: string | boolean | number | readonly string[];
}

class Runner {
  readonly #clients: readonly [Client, Client];
  readonly #leases = new Map<string, Lease | Leases>();
  readonly #observers = new Map<string, Observer>();
  readonly #asks = new Map<string, Promise<string>>();
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
        return assert.equal(await code(() => this.#one(who).downgrade()), expect);
      case "upgrade":
        return assert.equal(await code(() => this.#one(who).upgrade()), expect);
      case "proclaim": {
        const lead = this.#lease(who) as Leadership;
        return assert.equal(await code(() => lead.proclaim(step.value ?? "")), expect);
      }
      case "leave": {
        const inside = this.#lease(who) as Inside;
        return assert.equal(await code(() => inside.leave({ wait: step.wait })), expect);
      }
      case "each":
        return assert.deepEqual(await this.#each(step), expect);
      case "observe":
        return void this.#observers.set(who, this.#client(step).election(lock).observe());
      case "change":
        return this.#change(step);
      case "leader":
        return assert.ok(this.#shows(step, await this.#client(step).election(lock).leader()));
      case "count_down":
        return assert.equal(await number(() => this.#latch(step).countDown(step.count)), expect);
      case "left":
        return assert.equal(await number(() => this.#latch(step).left()), expect);
      case "kind":
        return assert.equal(this.#one(who).kind, expect);
      case "epoch":
        return assert.equal(this.#one(who).epoch, this.#fence(step.holder));
      case "resize": {
        const slots = this.#client(step).semaphore(lock, step.capacity ?? 0);
        return assert.equal(await code(() => slots.resize(step.permits ?? 0)), expect);
      }
      case "ask_back": {
        const asked = { why: step.note ?? "", grace: step.wait ?? 0 };
        const state = this.#client(step)
          .askBack(lock, asked)
          .then(
            (returned) => returned.state as string,
            (error: unknown) => (error instanceof LockError ? error.code : String(error)),
          );
        return void this.#asks.set(who, state);
      }
      case "asked":
        return assert.equal((await this.#one(who).askedBack().next()).value?.why, step.note);
      case "returned":
        return assert.equal(await this.#asks.get(who), expect);
      case "evict": {
        const fence = who === "" ? undefined : this.#one(who).fence;
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
        assert.deepEqual([holder?.fence, waiting], [this.#fence(step.holder), step.waiting]);
        return assert.equal(holder?.who.note, step.note ?? holder?.who.note);
      }
      case "fences": {
        const fences = (step.order ?? []).map((name) => this.#one(name).fence);
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
    const described = (name: string): Lock => {
      if (step.permits !== undefined) {
        return client.semaphore(name, step.capacity ?? 0).permits(step.permits);
      }
      return step.read === true ? client.rwlock(name).read() : client.lock(name);
    };
    const all = { ...common, wait, priority, deadlockPriority: step.deadlock_priority };
    const take = async (): Promise<Lease | Leases | null> => {
      if (step.value !== undefined) {
        const [election, { value }] = [client.election(lock), step];
        return step.do === "try"
          ? election.tryCampaign({ ...common, value })
          : election.campaign({ ...all, value });
      }
      if (step.parties !== undefined) {
        return client.barrier(lock, step.parties).enter({ ttl, note, wait, signal });
      }
      if (step.locks !== undefined) {
        const locks = step.locks.map(described);
        return step.do === "try"
          ? client.tryAcquireAll(locks, common)
          : client.acquireAll(locks, all);
      }
      return step.do === "try" ? described(lock).tryAcquire(common) : described(lock).acquire(all);
    };
    try {
      if (step.latch !== undefined) {
        await this.#latch(step).wait({ wait, signal });
        return "ok";
      }
      const lease = await take();
      if (lease !== null) {
        this.#leases.set(who, lease);
      }
      return lease === null ? "busy" : "held";
    } catch (error) {
      return error instanceof LockError ? error.code : String(error);
    }
  }

  /** What each of several locks came to. */
  async #each(step: Step): Promise<readonly string[] | string> {
    const { locks = [], who, ttl } = step;
    try {
      const each = await this.#client(step).tryEach(locks, { ttl });
      return each.map((one, index) => {
        if (one.status === "fulfilled" && one.value !== null) {
          this.#leases.set(`${who}.${locks[index]}`, one.value);
          return "held";
        }
        return one.status === "fulfilled" ? "busy" : (one.reason as LockError).code;
      });
    } catch (error) {
      return error instanceof LockError ? error.code : String(error);
    }
  }

  /**
   * Waits until the observer is told what the step says. Of several changes in a row it may be told only
   * the last, and of more than the step names: that nobody led in between.
   */
  async #change(step: Step): Promise<void> {
    const observer = this.#observers.get(step.who ?? "");
    for (;;) {
      const { value = null } = (await observer?.next()) ?? assert.fail(`${step.who} observes`);
      if (this.#shows(step, value)) {
        return;
      }
    }
  }

  #shows({ holder, value }: Step, leader: Leader | null): boolean {
    const told = leader === null ? [] : [leader.fence, String(leader.value)];
    return told.join() === (holder == null ? "" : [this.#fence(holder), value].join());
  }

  #latch(step: Step): Latch {
    return this.#client(step).latch(step.lock ?? "", step.latch ?? assert.fail("it is a latch"));
  }

  #client({ client = 1 }: Step): Client {
    return this.#clients[client - 1] as Client;
  }

  #lease(who: string): Lease | Leases {
    const lease = this.#leases.get(who);
    assert.ok(lease, `${who} has a lease`);
    return lease;
  }

  #one(who: string): Lease {
    return this.#lease(who) as Lease;
  }

  #fence(who: string | null | undefined): number | undefined {
    return who == null ? undefined : this.#one(who).fence;
  }
}

/** The number that `action` yields, or the code of the error that it throws. */
async function number(action: () => Promise<number>): Promise<number | string> {
  let found = 0;
  const said = await code(async () => (found = await action()));
  return said === "ok" ? found : said;
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
