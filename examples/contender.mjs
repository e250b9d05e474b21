/**
 * The demo's contender in Node: `contender.mjs LOCK URL FOLDER WHO`, with `oracle-step` on PATH. Orders
 * come in on stdin and what happens goes out on stdout, a line each; contender.py does the same.
 *
 * What it does under the lock is deliberately unsafe without it: `oracle-step` reads a number and writes
 * the next one a little later, and nothing but the lock keeps another from doing so meanwhile. (It also
 * logs when, by a clock that JavaScript can't read.)
 */

import { spawnSync } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";

import { connect } from "../node/dist/index.mjs";

const [lock, url, folder, who] = process.argv.slice(2);
const client = connect(url);
const orders = createInterface({ input: process.stdin })[
  Symbol.asyncIterator
]();
const order = async () => (await orders.next()).value;

while ((await order()) === "take") {
  console.log("waits");
  const lease = await client.acquire(lock, { ttl: "2s" });
  try {
    console.log("held", lease.fence);
    if ((await order()) !== "write") {
      break;
    }
    // However long the order took, or this whole process was stopped: ask the lease first.
    if (lease.isHeld) {
      const env = { ...process.env, LEASEHOLD_FENCE: String(lease.fence) };
      const step = spawnSync("oracle-step", [folder, who, "--hold-ms", "20"], {
        env,
        stdio: "inherit",
      });
      if (step.status !== 0) {
        throw step.error ?? new Error(`oracle-step ended with ${step.status}`);
      }
      console.log("wrote", lease.fence);
    } else {
      console.log("refused", lease.fence, lease.lostReason);
    }
  } finally {
    await lease.release();
  }
}
