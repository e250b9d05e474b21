/**
 * contender.mjs URL NAME COUNT DIR WHO: takes the lock COUNT times, with a section for the oracle under
 * each lease. JavaScript can't read the oracle's clock, so that a program ($STEP) does the section.
 *
 * Prints `ready`, waits for a line on its input, and prints `done` at the end.
 */

import { spawnSync } from "node:child_process";
import { once } from "node:events";
import process from "node:process";

import { connect } from "../../node/dist/index.mjs";

const [url, name, count, folder, who] = process.argv.slice(2);
console.log("ready");
await once(process.stdin, "data");
process.stdin.pause();
const client = connect(url);
for (let turn = 0; turn < Number(count); turn++) {
  await client.withLock(name, { ttl: "30s" }, (lease) => {
    const env = { ...process.env, LEASEHOLD_FENCE: String(lease.fence) };
    const step = spawnSync(process.env.STEP, [folder, who], { env, stdio: "inherit" });
    if (step.status !== 0) {
      throw step.error ?? new Error(`the section ended with ${step.status}`);
    }
  });
}
console.log("done");
