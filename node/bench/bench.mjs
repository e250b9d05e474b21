/**
 * What a lock costs a Node program, beside the usual libraries, on one Redis: `bench.mjs [ROUNDS]`.
 *
 * Two figures: an uncontended acquire and release, one after the other; and 64 of them at a time, each
 * with a name of its own. The libraries take turns in every round, so that what the machine does besides
 * hits all alike, and medians over the rounds are given. Not compared: what they promise (the others have
 * no fence and no queue).
 *
 * Needs a release build of the native half (`cargo build --release -p leasehold-node`, place.mjs), the
 * testkit's `redis` program, and the libraries that `make peers` fetched.
 */

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { connect } from "leasehold";

const REPOSITORY = join(import.meta.dirname, "..", "..");
const peers = process.env.LEASEHOLD_PEERS ?? join(REPOSITORY, ".cache", "peers");
const require = createRequire(join(peers, "node", "package.json"));
const { Redis } = require("ioredis");
const { default: Redlock } = require("redlock");
const { Mutex } = require("redis-semaphore");

const ROUNDS = Number(process.argv[2] ?? 9);
const TTL = 30_000;
const PAIRS = 1500;
const AT_A_TIME = 64;
const CONCURRENT = 9600;

const target = process.env.CARGO_TARGET_DIR ?? join(REPOSITORY, "target");
const server = spawn(join(target, "debug", "redis"), { stdio: ["pipe", "pipe", "inherit"] });
const [first] = await new Promise((resolve) => {
  createInterface(server.stdout).once("line", (line) => resolve([line]));
});
const url = first.split(" ")[2];
if (!first.startsWith("ready ")) {
  throw new Error(first);
}

const client = connect(url);
const [one, two] = [new Redis(url), new Redis(url)];
const redlock = new Redlock([one], { retryCount: 0 });
// Each pair is one acquire and one release, renewal included where the library has it by itself.
const LIBRARIES = {
  leasehold: async (name) => {
    const lease = await client.acquire(name, { ttl: TTL });
    await lease.release();
  },
  "redlock 5": async (name) => {
    const lock = await redlock.acquire([name], TTL);
    await lock.release();
  },
  "redis-semaphore": async (name) => {
    const mutex = new Mutex(two, name, { lockTimeout: TTL });
    await mutex.acquire();
    await mutex.release();
  },
};

/** Microseconds for each of `count` pairs, `lanes` at a time. */
async function measure(pair, count, lanes) {
  const each = count / lanes;
  const started = performance.now();
  const lane = async (name) => {
    for (let turn = 0; turn < each; turn += 1) {
      await pair(name);
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, n) => lane(`bench:${n}`)));
  return ((performance.now() - started) * 1000) / count;
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

const names = Object.keys(LIBRARIES);
const found = Object.fromEntries(names.map((name) => [name, { pair: [], many: [] }]));
for (let round = -1; round < ROUNDS; round += 1) {
  for (let turn = 0; turn < names.length; turn += 1) {
    const name = names[(turn + Math.max(round, 0)) % names.length];
    const pair = await measure(LIBRARIES[name], PAIRS, 1);
    const many = await measure(LIBRARIES[name], CONCURRENT, AT_A_TIME);
    // The first round warms up.
    if (round >= 0) {
      found[name].pair.push(pair);
      found[name].many.push(many);
    }
  }
}

const base = found.leasehold;
// Of each round by itself: a machine's speed drifts from second to second.
const ratio = (values, ours) => median(values.map((value, round) => value / ours[round]));
console.log(
  `${ROUNDS} rounds, interleaved; medians (lowest to highest), and of the rounds' own ratios`,
);
for (const [name, { pair, many }] of Object.entries(found)) {
  const cell = (values, ours) =>
    `${median(values).toFixed(0).padStart(6)} µs (${Math.min(...values).toFixed(0)} to ` +
    `${Math.max(...values).toFixed(0)}), ${ratio(values, ours).toFixed(2)} x ours`;
  console.log(`${name.padEnd(16)} pair ${cell(pair, base.pair)}`);
  console.log(`${"".padEnd(16)} ${AT_A_TIME} at a time ${cell(many, base.many)}`);
}
console.log("Promises");
for (const [name, { pair, many }] of Object.entries(found).slice(1)) {
  const promise = (what, value, least) =>
    console.log(
      `  ${`${what}: time of ${name} / ours`.padEnd(52)} ${value.toFixed(2)}  at least ${least}  ` +
        (value >= least ? "met" : "MISSED"),
    );
  promise("one after the other", ratio(pair, base.pair), 1);
  promise(`${AT_A_TIME} at a time`, ratio(many, base.many), 1.2);
}
await client.shutdown();
one.disconnect();
two.disconnect();
server.stdin.end();
